"""`bascule approvals`: an operator sees what waits, in full and harmless, and decides under a name."""

import asyncio
import json

import pytest

from bascule.engine.ports import Wanted
from bascule.stores.sqlite_approvals import SqliteApprovals
from tests.cli.command import run as command

EVIL = 'Paris"\x1b[2J\u202e\napproved by "ann"'


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "approvals")


def asked(path, name="drop", arguments=None, owner=("", "issuer", "subject", "")):
    """A call that waits."""

    async def present():
        store = SqliteApprovals(path)
        text = json.dumps({"city": EVIL} if arguments is None else arguments).encode()
        try:
            return (await store.present(Wanted(owner, "shop", "tool", "tools/call", name, text))).id
        finally:
            await store.close()

    return asyncio.run(present())


@pytest.fixture
def run(path, tmp_path):
    def run(*words, file=("--file", path), **environment):
        done = command("approvals", *words, *file, cwd=tmp_path, **environment)
        return done.returncode, done.stdout, done.stderr

    return run


def test_what_waits_is_listed_shown_and_decided_under_a_name(path, run):
    one = asked(path)
    other = asked(path, "sell", {})
    code, listed, _ = run("list")
    assert code == 0
    assert [line.split()[:2] for line in listed.splitlines()[1:]] == [[one, "pending"], [other, "pending"]]
    code, shown, _ = run("show", one)
    assert code == 0
    assert shown.splitlines()[2:] == [
        'server = "shop"',
        'caller = "subject" of "issuer"',
        'tool = "drop"',
        "argument city =",
        r'  "Paris\"\u001b[2J\u202e\n"',
        r'  "approved by \"ann\""',
    ]
    code, shown, _ = run("approve", one, "--as", "Ann Lee")
    assert code == 0
    assert shown.startswith(f"approval {one}, approved\n")
    assert 'approved by "Ann Lee (user ' in shown
    assert run("deny", other)[0] == 0
    assert run("list")[1] == ""
    decided = json.loads(run("list", "--all", "--json")[1])
    assert [(entry["id"], entry["state"]) for entry in decided] == [(one, "approved"), (other, "denied")]
    assert decided[0]["decidedBy"].startswith("Ann Lee (user ")
    assert decided[0]["arguments"] == {"city": EVIL}
    assert decided[1]["caller"] == {"tenant": "", "issuer": "issuer", "subject": "subject", "session": ""}


def test_nothing_that_a_caller_wrote_reaches_the_screen_as_it_is(path, run):
    one = asked(path, arguments={EVIL: [EVIL]}, owner=("", EVIL, EVIL, ""))
    for words in (["list"], ["show", one], ["list", "--json"], ["show", one, "--json"], ["approve", one]):
        out = run(*words)[1]
        assert all(letter == "\n" or letter.isprintable() for letter in out)
        assert '\napproved by "ann"' not in out


def test_all_of_it_is_shown_however_long_it_is(path, run):
    one = asked(path, arguments={"a": "x" * 60_000 + "end", **{f"k{number}": number for number in range(200)}})
    shown = run("show", one)[1]
    assert "NOT SHOWN" not in shown
    assert 'end"' in shown
    assert shown.count("argument ") == 201


def test_what_is_too_late_or_was_never_there_is_said(path, run):
    one = asked(path)
    run("deny", one, "--as", "ann")
    code, _, said = run("approve", one)
    assert (code, "too late" in said, "denied by" in said) == (2, True, True)
    assert run("show", "nothing")[0] == 2
    assert run("show")[0] == 2
    assert run("list", one)[0] == 2
    code, _, said = run("approve", asked(path, "other"), "--as", "a\nb")
    assert (code, "printable" in said) == (2, True)


def test_the_file_comes_from_the_settings(path, run):
    code, _, said = run("list", file=())
    assert (code, "[approvals] file" in said) == (2, True)
    code, _, said = run("list", file=(), BASCULE_APPROVALS__FILE=path)
    assert (code, "There is no file" in said) == (2, True)
    one = asked(path)
    code, listed, _ = run("list", file=(), BASCULE_APPROVALS__FILE=path)
    assert (code, one in listed) == (0, True)


def test_a_file_that_is_something_else_is_refused(tmp_path, run):
    other = tmp_path / "other"
    other.write_text("this is no database, and longer than the head of one would be" * 20)
    before = other.read_bytes()
    code, _, said = run("list", file=("--file", str(other)))
    assert (code, "cannot be used" in said) == (2, True)
    assert other.read_bytes() == before
