"""Skills: what is offered of a folder, what is refused, and that nothing outside of it is reached."""

import base64
import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule import Client, MCPError, Server
from bascule.engine.demands import Demands
from bascule.engine.exchange import Principal
from bascule.engine.settings import LimitSettings, Settings
from bascule.errors import DeclarationError
from bascule.pipeline import Pipeline
from bascule.server import skill_files
from bascule.server.front_matter import MAX_MANIFEST, front_matter
from bascule.server.skills import DIRECTORY
from tests.guards.desk import Desk
from tests.messages import headers, line, request
from tests.serving import serving

httpx2 = pytest.importorskip("httpx2")

MANIFEST = """---
name: {name}
description: Does {name}.
metadata:
  since: 2024-01-02
---

Body of {name}.
"""


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "skills"
    for name in ("alpha", "beta-2"):
        (root / name / "references" / "deep").mkdir(parents=True)
        (root / name / "SKILL.md").write_text(MANIFEST.format(name=name))
    (root / "alpha" / "references" / "FORMS.md").write_text("# Forms")
    (root / "alpha" / "references" / "deep" / "a b.bin").write_bytes(b"\xff\x00")
    (root / "not-a-skill").mkdir()
    return root


@pytest.fixture
def app(folder):
    app = Server("t", page_size=1)
    app.skills(folder)
    return app


@pytest.fixture
def ask(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:

        def asked(method, params=None):
            message = request(method, params)
            return http.post(running.url, json=message, headers=headers(message)).json()

        yield asked


def test_skills_are_listed_with_a_manifest_that_holds(ask, folder):
    first = ask("skills/list")["result"]
    second = ask("skills/list", {"cursor": first["nextCursor"]})["result"]
    assert "nextCursor" not in second
    assert first["ttlMs"] >= 0
    (alpha,), (beta,) = first["skills"], second["skills"]
    assert alpha["frontmatter"] == {
        "name": "alpha",
        "description": "Does alpha.",
        "metadata": {"since": "2024-01-02"},
    }
    files = {one["uri"]: one for one in alpha["resources"]}
    assert next(iter(files)) == "skill://alpha/SKILL.md"
    assert set(files) == {
        "skill://alpha/SKILL.md",
        "skill://alpha/references/FORMS.md",
        "skill://alpha/references/deep/a%20b.bin",
    }
    forms = (folder / "alpha" / "references" / "FORMS.md").read_bytes()
    assert files["skill://alpha/references/FORMS.md"] == {
        "uri": "skill://alpha/references/FORMS.md",
        "digest": "sha256:" + hashlib.sha256(forms).hexdigest(),
        "size": len(forms),
    }
    assert ask("skills/get", {"uri": beta["uri"]})["result"]["skill"] == beta


def test_directories_are_read_level_by_level(ask):
    found = []
    cursor = {}
    while True:
        page = ask("resources/directory/read", {"uri": "skill://alpha", **cursor})["result"]
        found += page["resources"]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [(one["uri"], one.get("mimeType")) for one in found] == [
        ("skill://alpha/SKILL.md", "text/markdown"),
        ("skill://alpha/references", DIRECTORY),
    ]
    inner = ask("resources/directory/read", {"uri": "skill://alpha/references/deep"})["result"]["resources"]
    assert [one["uri"] for one in inner] == ["skill://alpha/references/deep/a%20b.bin"]
    assert ask("resources/directory/read", {"uri": "skill://beta-2/references/deep"})["result"]["resources"] == []


@pytest.mark.parametrize("uri", ["skill://none", "skill://alpha/SKILL.md", "skill://alpha/..", "file:///etc", ""])
def test_what_is_no_directory_cannot_be_read_as_one(ask, uri):
    assert ask("resources/directory/read", {"uri": uri})["error"]["code"] == -32602


@pytest.mark.parametrize("uri", ["skill://none/SKILL.md", "skill://alpha", "skill://alpha/../beta-2/SKILL.md"])
def test_what_is_no_skill_is_not_found(ask, uri):
    assert ask("skills/get", {"uri": uri})["error"]["code"] == -32602


async def test_files_are_read_as_resources_and_stay_as_they_were_promised(app, folder):
    async with Client(app) as client:
        listed = {one.uri: one for one in await client.list_resources()}
        manifest = listed["skill://alpha/SKILL.md"]
        assert (manifest.name, manifest.description, manifest.mime_type) == ("alpha", "Does alpha.", "text/markdown")
        (folder / "alpha" / "SKILL.md").write_text("changed meanwhile")
        (contents,) = (await client.read_resource("skill://alpha/SKILL.md")).contents
        assert contents.text == MANIFEST.format(name="alpha")
        (contents,) = (await client.read_resource("skill://alpha/references/deep/a%20b.bin")).contents
        assert contents.blob == "/wA="


def test_a_server_without_skills_has_no_such_methods():
    app = Server("t")
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        for method in ("skills/list", "skills/get", "resources/directory/read"):
            message = request(method, {"uri": "skill://a"})
            answer = http.post(running.url, json=message, headers=headers(message)).json()
            assert answer["error"]["code"] == -32601
    assert app.facts.capabilities.extensions is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no front matter", "front matter"),
        ("---\nname: alpha\n", "front matter"),
        ("---\nname: alpha\n---\n", "description"),
        ("---\nname: other\ndescription: d\n---\n", "name of its folder"),
        ("---\nname: alpha\ndescription: ' '\n---\n", "description"),
        ("---\n[1, 2]\n---\n", "mapping"),
        ("---\nname: alpha\ndescription: d\nx: &a [1]\ny: *a\n---\n", "cannot be read"),
        ("---\nname: alpha\ndescription: d\nx: !!python/object/apply:os.system ['true']\n---\n", "cannot be read"),
        ("---\nname: alpha\ndescription: d\nmetadata: {io.modelcontextprotocol/x: 1}\n---\n", "protocol's own"),
        ("---\nname: alpha\ndescription: d\nx: {0xFFFF: 1}\n---\n", r"\(line 4\): a key must be text"),
        ("---\nname: alpha\ndescription: d\nmetadata: {null: 1}\n---\n", r"\(line 4\): a key must be text"),
        ("---\nname: alpha\ndescription: d\nname: alpha\n---\n", r"\(line 4\): a key stands there for the second"),
        ("---\nname: alpha\ndescription: d\nx: .nan\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: 1e999\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: " + "9" * 5000 + "\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: !!int foo\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: !!bool maybe\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: !!timestamp foo\n---\n", "no form in JSON"),
        ("---\nname: alpha\ndescription: d\nx: !!set {a}\n---\n", "no form in JSON"),
        ('---\nname: alpha\ndescription: "\\ud800"\n---\n', "surrogate"),
        ("---\nname: alpha\ndescription: d\n---\n" + "x" * MAX_MANIFEST, "more than"),
        ("---\na: {" + "[" * 5000 + "\n---\n", "cannot be read|nests"),
    ],
)
def test_a_skill_that_is_not_as_it_must_be_is_refused(folder, text, reason):
    (folder / "alpha" / "SKILL.md").write_text(text)
    with pytest.raises(DeclarationError, match=reason) as refused:
        Server("t").skills(folder)
    assert str(folder) not in str(refused.value), "no path of the machine"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-99-99", "2024-99-99"),
        ("2024-01-02 10:00:00", "2024-01-02 10:00:00"),
        ("1_000", "1_000"),
        ("017", 17),
        ("0o17", 15),
        ("0x1f", 31),
        ("1.50", 1.5),
        ("~", None),
        ("True", True),
        ("'true'", "true"),
        ("!!str 5", "5"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("{<<: {a: 1}}", {"<<": {"a": 1}}),
    ],
)
def test_front_matter_is_read_as_hosts_read_it(written, value):
    found = front_matter("alpha", f"---\nx: {written}\n---\n".encode())
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


@pytest.mark.parametrize("name", ["Alpha", "a--b", "-a", "a_b", "a" * 65])
def test_a_skill_of_another_name_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "SKILL.md").write_text(MANIFEST.format(name=name))
    with pytest.raises(DeclarationError, match="needs a name"):
        Server("t").skills(tmp_path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "../beta-2/SKILL.md", "/etc"])
def test_no_link_leads_out_of_a_skill(folder, target):
    (folder.parent / "secret").write_text("secret")
    (folder / "alpha" / "link").symlink_to(target)
    with pytest.raises(DeclarationError, match="leads out"):
        Server("t").skills(folder)


def test_links_that_lead_nowhere_are_passed_over(folder):
    for name, target in (("loop", "loop"), ("gone", "nowhere")):
        (folder / "alpha" / name).symlink_to(target)
    Server("t").skills(folder)


def test_a_name_that_is_not_unicode_is_refused(folder):
    try:
        Path(os.fsdecode(os.fsencode(folder / "alpha") + b"/\xff")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DeclarationError, match="not UTF-8") as refused:
        Server("t").skills(folder)
    assert str(folder) not in str(refused.value), "no path of the machine"


def test_what_cannot_be_read_is_refused_and_not_left_out(folder, monkeypatch):
    def closed(top, onerror):
        onerror(PermissionError(13, "Permission denied", str(top)))

    monkeypatch.setattr(skill_files.os, "walk", closed)
    with pytest.raises(DeclarationError, match="Permission denied") as refused:
        Server("t").skills(folder)
    assert str(folder) not in str(refused.value), "no path of the machine"


def test_of_a_folder_with_a_wrong_skill_none_is_taken(folder, tmp_path):
    app, more = Server("t"), tmp_path / "more"
    (more / "aardvark").mkdir(parents=True)
    (more / "aardvark" / "SKILL.md").write_text(MANIFEST.format(name="aardvark"))
    (more / "beta-2").mkdir()
    (more / "beta-2" / "SKILL.md").write_text("wrong")
    with pytest.raises(DeclarationError):
        app.skills(more)
    assert app.facts.capabilities.extensions is None
    app.skills(folder)
    (more / "beta-2" / "SKILL.md").write_text(MANIFEST.format(name="beta-2"))
    with pytest.raises(DeclarationError, match="already"):
        app.skills(more)
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        message = request("skills/list")
        found = http.post(running.url, json=message, headers=headers(message)).json()["result"]["skills"]
    assert [one["frontmatter"]["name"] for one in found] == ["alpha", "beta-2"]


def test_without_the_extra_the_sentence_names_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    for name in ("skills", "skill_files", "front_matter"):
        monkeypatch.delitem(sys.modules, f"bascule.server.{name}")
    with pytest.raises(DeclarationError, match=r"bascule\[skills\]"):
        Server("t").skills(folder)


def test_a_skill_is_bounded_in_number_and_size(folder, monkeypatch):
    monkeypatch.setattr(skill_files, "MAX_BYTES", 50)
    with pytest.raises(DeclarationError, match="more than"):
        Server("t").skills(folder)
    monkeypatch.undo()
    monkeypatch.setattr(skill_files, "MAX_FILES", 1)
    with pytest.raises(DeclarationError, match="more than"):
        Server("t").skills(folder)


def test_no_folder_and_no_skill_are_said(tmp_path, folder):
    with pytest.raises(DeclarationError, match="not there"):
        Server("t").skills(tmp_path / "none")
    with pytest.raises(DeclarationError, match="no skill"):
        Server("t").skills(folder / "not-a-skill")
    app = Server("t")
    app.skills(folder)
    with pytest.raises(DeclarationError, match="already"):
        app.skills(folder)


@given(st.text(max_size=200))
def test_no_front_matter_does_worse_than_be_refused(text):
    try:
        found = front_matter("alpha", f"---\n{text}\n---\n".encode("utf-8", "replace"))
    except DeclarationError:
        return
    assert isinstance(found, dict)


async def test_under_a_prefix_a_file_is_read_and_named_by_the_uri_that_was_asked_for(app):
    outer = Server("outer")
    outer.mount(app, prefix="own")
    async with Client(outer) as client:
        (contents,) = (await client.read_resource("skill://own/alpha/SKILL.md")).contents
    assert contents.uri == "skill://own/alpha/SKILL.md"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("prefixes", "below"), [([None, None], ""), (["own"], "own/"), (["in", "out"], "out/in/")])
async def test_a_mounting_server_offers_the_skills_under_its_prefix_now_and_later(folder, prefixes, below, late):
    servers = [Server(f"s{number}", page_size=1) for number in range(len(prefixes) + 1)]
    if not late:
        servers[0].skills(folder)
    for inner, outer, prefix in zip(servers, servers[1:], prefixes, strict=False):
        outer.mount(inner, prefix=prefix)
    if late:
        servers[0].skills(folder)
    async with Client(servers[-1]) as client:
        assert "io.modelcontextprotocol/skills" in client.capabilities.extensions
        first = await client.request("skills/list", {})
        second = await client.request("skills/list", {"cursor": first["nextCursor"]})
        (alpha,), (beta,) = first["skills"], second["skills"]
        assert (alpha["uri"], beta["uri"]) == (f"skill://{below}alpha/SKILL.md", f"skill://{below}beta-2/SKILL.md")
        for file in alpha["resources"]:
            (read,) = (await client.read_resource(file["uri"])).contents
            data = base64.b64decode(read.blob) if read.text is None else read.text.encode()
            assert (read.uri, len(data)) == (file["uri"], file["size"])
            assert file["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert (await client.request("skills/get", {"uri": beta["uri"]}))["skill"] == beta
        inner = await client.request("resources/directory/read", {"uri": f"skill://{below}alpha/references/deep"})
        assert [one["uri"] for one in inner["resources"]] == [f"skill://{below}alpha/references/deep/a%20b.bin"]
        if below:
            with pytest.raises(MCPError):
                await client.request("skills/get", {"uri": "skill://alpha/SKILL.md"})
            with pytest.raises(MCPError):
                await client.request("resources/directory/read", {"uri": "skill://alpha"})


async def test_mounting_leaves_the_skills_of_the_mounted_server_as_they_were(app):
    Server("outer").mount(app, prefix="own")
    async with Client(app) as client:
        assert (await client.request("skills/list", {}))["skills"][0]["uri"] == "skill://alpha/SKILL.md"
        found = await client.request("resources/directory/read", {"uri": "skill://alpha"})
        assert found["resources"][0]["uri"] == "skill://alpha/SKILL.md"


async def test_a_directory_that_two_servers_fill_shows_what_both_have(folder, app):
    other = Server("other")
    lone = folder.parent / "lone"
    (lone / "references").mkdir(parents=True)
    (lone / "references" / "SKILL.md").write_text(MANIFEST.format(name="references"))
    other.skills(lone)
    outer = Server("outer")
    outer.mount(app)
    outer.mount(other, prefix="alpha")
    async with Client(outer) as client, Client(app) as inner:
        found = await client.request("resources/directory/read", {"uri": "skill://alpha/references"})
        assert {one["uri"].rpartition("/")[2] for one in found["resources"]} == {"SKILL.md", "FORMS.md", "deep"}
        own = await inner.request("resources/directory/read", {"uri": "skill://alpha/references"})
        assert len(own["resources"]) == 1, "a page"
        assert own["resources"][0]["uri"] != "skill://alpha/references/SKILL.md"


def test_skills_that_a_mounting_server_has_already_are_refused_whole(app, folder):
    inner, outer = Server("inner"), Server("outer")
    outer.mount(app)
    outer.mount(inner)
    with pytest.raises(DeclarationError, match="already"):
        inner.skills(folder)
    assert inner.facts.capabilities.extensions is None
    assert inner.facts.capabilities.resources is None


async def test_nothing_hidden_is_offered_and_no_link_shows_it(folder):
    alpha = folder / "alpha"
    (alpha / ".env").write_text("secret")
    (alpha / ".git" / "objects").mkdir(parents=True)
    (alpha / ".git" / "config").write_text("secret")
    (alpha / "references" / ".DS_Store").write_text("secret")
    (alpha / "shown").symlink_to(".env")
    (alpha / ".outwards").symlink_to("/etc/passwd")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "SKILL.md").write_text("no skill at all")
    app = Server("t")
    app.skills(folder)
    async with Client(app) as client:
        uris = [one.uri for one in await client.list_resources()]
        skills = (await client.request("skills/list", {}))["skills"]
        top = await client.request("resources/directory/read", {"uri": "skill://alpha"})
        with pytest.raises(MCPError):
            await client.request("resources/directory/read", {"uri": "skill://alpha/.git"})
    assert sorted(file["uri"] for skill in skills for file in skill["resources"]) == sorted(uris)
    assert len(uris) == 4
    assert {one["uri"] for one in top["resources"]} == {"skill://alpha/SKILL.md", "skill://alpha/references"}


def test_a_file_of_a_skill_is_not_removed_alone(folder):
    app = Server("t")
    app.skills(folder)
    with pytest.raises(DeclarationError, match="part of a skill"):
        app.remove_resource("skill://alpha/SKILL.md")


class TestScopes:
    """Who may not read a skill hears nothing of it."""

    @pytest.fixture
    def asked(self, app):
        app.use_guards(
            Pipeline(
                Settings(
                    policy={
                        "resource:skill://beta-2/*": Demands(deny=True),
                        "skill://alpha/*": Demands(scopes=("a",)),
                        "*/deep/*": Demands(scopes=("deep",)),
                    }
                )
            )
        )

        async def ask(scopes, method, **params):
            message = request(method, params)
            principal = Principal("i", "ann", scopes=frozenset(scopes), anonymous=False)
            return await Desk(app).send(line(message), principal)

        return ask

    @pytest.mark.parametrize(("scopes", "files"), [((), None), (("a",), 2), (("a", "deep"), 3), (("*",), 3)])
    async def test_lists_show_what_may_be_read(self, asked, scopes, files):
        listed = (await asked(scopes, "skills/list"))["result"]
        assert listed["cacheScope"] == "private"
        assert "nextCursor" not in listed
        assert [len(one["resources"]) for one in listed["skills"]] == ([] if files is None else [files])
        got = await asked(scopes, "skills/get", uri="skill://alpha/SKILL.md")
        inside = await asked(scopes, "resources/directory/read", uri="skill://alpha/references/deep")
        if files is None:
            assert got["error"]["code"] == inside["error"]["code"] == -32602
        else:
            assert got["result"]["skill"] == listed["skills"][0]
            assert len(inside["result"]["resources"]) == files - 2

    async def test_what_is_denied_is_unknown_to_all(self, asked):
        for method, uri in (
            ("skills/get", "skill://beta-2/SKILL.md"),
            ("resources/directory/read", "skill://beta-2"),
            ("resources/directory/read", "skill://beta-2/references"),
        ):
            assert (await asked("*", method, uri=uri))["error"]["code"] == -32602

    async def test_another_policy_changes_what_is_listed(self, app, asked):
        assert (await asked("", "skills/list"))["result"]["skills"] == []
        app.use_guards(Pipeline(Settings()))
        assert len((await asked("", "skills/list"))["result"]["skills"]) == 1

    async def test_asking_for_these_lists_is_counted(self, app, asked):
        app.use_guards(Pipeline(Settings(limits=LimitSettings(lists="1/min"))))
        for method, params in (("skills/list", {}), ("resources/directory/read", {"uri": "skill://alpha"})):
            assert "result" in await asked("", method, **params)
            assert (await asked("", method, **params))["error"]["data"]["code"] == "rate_limited"
