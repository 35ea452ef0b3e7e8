"""The snapshot of a server: what is in it, what is not, and that it is the same every time."""

import json

import pytest

from bascule import Annotations, Client, ConfigError, Context, Icon, Server, ToolAnnotations
from bascule.testing import compare, read_snapshot, serve_http, snapshot


def build(order=1):
    app = Server("shop", version=f"{order}.0", instructions="Buy.")

    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    def search(text: str) -> list[str]:
        return [text]

    def review(tone: str, code: str) -> str:
        return code

    declared = [
        lambda: app.tool(annotations=ToolAnnotations(read_only_hint=True), meta={"x": 1}, icons=[Icon("data:,")])(add),
        lambda: app.tool(search),
        lambda: app.resource("r://b", name="b", size=order, annotations=Annotations(priority=0.5))(lambda: "b"),
        lambda: app.resource("r://a", name="a")(lambda: "a"),
        lambda: app.resource("r://{x}", name="family")(lambda x: x),
        lambda: app.prompt(review),
    ]
    for declare in declared[::order]:
        declare()
    return app


async def test_it_holds_what_callers_rely_on_in_order():
    taken = await snapshot(build())
    assert (taken.server, [tool.name for tool in taken.tools]) == ("shop", ["add", "search"])
    assert [resource.uri for resource in taken.resources] == ["r://a", "r://b"]
    assert [template.uri_template for template in taken.resource_templates] == ["r://{x}"]
    assert [argument.name for argument in taken.prompts[0].arguments] == ["code", "tone"]
    assert taken.tools[0].annotations.read_only_hint is True
    assert taken.tools[0].output_schema is not None
    assert taken.capabilities.tools is not None


async def test_neither_versions_nor_sizes_nor_the_order_of_declaration_change_it():
    assert (await snapshot(build(1))).encoded() == (await snapshot(build(-1))).encoded()
    text = (await snapshot(build())).encoded().decode()
    assert not [word for word in ('"version"', '"size"', '"icons"', '"_meta"', '"priority"') if word in text]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_both_eras_and_http_show_the_same_features(era):
    app = build()
    async with Client(app, era=era) as client:
        near = await snapshot(client)
    with serve_http(app) as serving:
        async with Client(serving.url, era=era) as client:
            far = await snapshot(client)
    assert near.encoded() == far.encoded()


async def test_a_file_gives_back_what_was_written(tmp_path):
    taken = await snapshot(build())
    taken.write(tmp_path / "kept.json")
    kept = read_snapshot(tmp_path / "kept.json")
    assert compare(kept, taken) == []
    assert kept.encoded() == taken.encoded() == (tmp_path / "kept.json").read_bytes()
    assert json.loads(taken.encoded())["snapshot"] == 1
    assert b'\n  "server": "shop",\n' in taken.encoded()


async def test_a_server_that_offers_nothing_has_an_empty_snapshot():
    taken = await snapshot(Server("empty"))
    assert (taken.tools, taken.resources, taken.resource_templates, taken.prompts) == ([], [], [], [])


async def test_the_snapshot_of_a_changed_function_tells_the_change():
    app, other = Server("s"), Server("s")

    @app.tool
    def find(text: str, limit: int = 10) -> list[str]:
        return [text]

    @other.tool(name="find")
    async def narrower(ctx: Context, text: str, limit: int = 5, *, city: str) -> list[str]:
        return [text]

    changes = [str(change) for change in compare(await snapshot(app), await snapshot(other)) if change.breaking]
    assert changes == [
        "tool find: parameter city is new and required",
        "tool find: parameter limit has the default 5 instead of 10 (callers who leave it out get something else)",
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "There is no snapshot .*; write one first"),
        ("{", "is no snapshot"),
        ('{"snapshot": 2, "capabilities": {}}', "is no snapshot that this version can read"),
        ("[]", "is no snapshot"),
        ('{"tools": []}', "capabilities"),
        ("[" * 100_000, "is no snapshot"),
    ],
)
def test_what_is_no_snapshot_is_told_in_a_sentence(tmp_path, content, complaint):
    path = tmp_path / "kept.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        read_snapshot(path)


async def test_a_file_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        (await snapshot(Server("x"))).write(tmp_path / "none" / "kept.json")
