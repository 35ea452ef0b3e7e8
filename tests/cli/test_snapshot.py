"""bascule snapshot, as a user runs it: what it writes, what it tells, and the exit code."""

import json

import pytest

from tests.cli.command import run, words

OLD = """
from typing import Literal
from bascule import Server, ToolAnnotations
app = Server("shop", version="1.0")

@app.tool(annotations=ToolAnnotations(read_only_hint=True))
def find(text: str, kind: Literal["book", "film"] = "book") -> list[str]:
    "Find things."
    return []
"""
BREAKING = OLD.replace('["book", "film"]', '["book"]').replace("text: str", "text: str, city: str")
WORDING = OLD.replace("Find things.", "Find any thing.")
WIDER = OLD.replace('["book", "film"]', '["book", "film", "game"]')
FILE = "bascule.snapshot.json"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.py").write_text(OLD)
    done = run("snapshot", "shop.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Wrote {FILE}: 1 tool, 0 resources, 0 templates, 0 prompts\n"
    return tmp_path


def check(folder, text, *more):
    (folder / "shop.py").write_text(text)
    return run("snapshot", "shop.py", "--check", FILE, *more, cwd=folder)


def test_it_writes_readable_json_that_stays_the_same(folder):
    first = (folder / FILE).read_bytes()
    assert json.loads(first)["tools"][0]["name"] == "find"
    assert first.count(b"\n") > 20
    (folder / "shop.py").write_text(OLD.replace("1.0", "2.0"))
    assert run("snapshot", "shop.py", "--out", "other.json", cwd=folder).returncode == 0
    assert (folder / "other.json").read_bytes() == first


def test_nothing_changed_is_success(folder):
    done = check(folder, OLD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"Nothing changed since {FILE}\n")


def test_a_breaking_change_is_told_line_by_line_and_fails(folder):
    before = (folder / FILE).read_bytes()
    done = check(folder, BREAKING)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Breaking:",
        "  tool find: parameter city is new and required",
        '  tool find: parameter kind can no longer be "film"',
    ]
    assert done.stderr == f"Error: 2 breaking changes and 0 compatible changes since {FILE}\n"
    assert (folder / FILE).read_bytes() == before


def test_a_compatible_change_is_told_and_succeeds(folder):
    done = check(folder, WIDER)
    assert done.returncode == 0
    assert done.stdout == 'Compatible:\n  tool find: parameter kind can be "game" too\n'
    assert "0 breaking changes and 1 compatible change" in done.stderr


def test_wording_breaks_only_when_strict(folder):
    assert check(folder, WORDING).returncode == 0
    done = check(folder, WORDING, "--strict")
    assert (done.returncode, done.stdout) == (1, "Breaking:\n  tool find has another description\n")


def test_a_lost_promise_of_reading_only_breaks(folder):
    done = check(folder, OLD.replace("read_only_hint=True", "read_only_hint=False"))
    assert done.returncode == 1
    assert "readOnlyHint is false instead of true (who ran it unasked" in done.stdout


def test_programs_get_json(folder):
    done = check(folder, BREAKING, "--json")
    found = json.loads(done.stdout)
    assert [change["kind"] for change in found["breaking"]] == ["added", "enum"]
    assert found["compatible"] == []
    taken = run("snapshot", "shop.py", "--json", cwd=folder)
    assert json.loads(taken.stdout)["server"] == "shop"


def test_a_command_can_be_the_target(folder):
    done = run("snapshot", "--check", FILE, "--", *words("serve", str(folder / "shop.py")), cwd=folder)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, f"Nothing changed since {FILE}")


def test_check_and_out_together_compare_first_and_write_then(folder):
    done = check(folder, BREAKING, "--out", FILE)
    assert done.returncode == 1
    assert check(folder, BREAKING).returncode == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("shop.py --check none.json", "There is no snapshot none.json"),
        ("shop.py --check shop.py", "is no snapshot"),
        ("shop.py other.json", "'other.json' is left"),
        ("shop.py --strict", "--strict goes with --check"),
        ("shop.py --out none/x.json", "cannot be written"),
        ("", "Which server?"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(folder, line, complaint):
    done = run("snapshot", *line.split(), cwd=folder)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
