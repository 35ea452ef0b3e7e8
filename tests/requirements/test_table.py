"""The tables: each line names a test that exists, each test here has a line, and no sentence of the pages is missing.

The specification is not part of this repository; `digests.toml` holds the number and a digest of each page's sentences.
A line that is held only in part says in `later` which part of Bascule will hold the rest.
"""

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from scripts.requirements import BOOKS, digest, known, section

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def table(name):
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


LINES = [(book, line) for book in BOOKS for line in table(book)["requirement"]]


def named(line):
    """The test nodes that a line names."""
    test = line.get("test", [])
    return [test] if isinstance(test, str) else test


@cache
def nodes_in(file):
    """The tests of a file, as pytest would name them without parameters."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(
        f"{file}::{one.name}" for one in body if isinstance(one, functions) and one.name.startswith("test_")
    )


def test_every_line_has_a_section_a_sentence_and_a_proof():
    for _, line in LINES:
        kinds = ({"section", "text", "test"}, {"section", "text", "scenario"})
        assert set(line) - {"later"} in kinds, line
        assert line["section"] and line["text"], line
        assert "scenario" in line or named(line), line
        assert len(set(named(line))) == len(named(line)), line


def test_every_test_that_a_line_names_exists():
    nodes = {node for _, line in LINES for node in named(line)}
    assert sorted(node for node in nodes if node not in nodes_in(node.partition("::")[0])) == []


def test_a_scenario_that_a_line_names_is_not_expected_to_fail():
    text = (ROOT / "tests" / "conformance" / "expected-failures.yml").read_text(encoding="utf-8")
    failing = {line.strip().removeprefix("- ").partition("@")[0] for line in text.splitlines()}
    assert [line["scenario"] for _, line in LINES if line.get("scenario") in failing] == []


def test_every_test_of_this_folder_has_a_line():
    files = {path.relative_to(ROOT).as_posix() for path in HERE.glob("test_*.py")} - {
        "tests/requirements/test_table.py"
    }
    tests = {node for file in files for node in nodes_in(file)}
    assert tests
    assert sorted(tests - {node for _, line in LINES for node in named(line)}) == []


def test_no_sentence_stands_twice():
    entries = [(book, line["section"], line["text"]) for book, line in LINES]
    entries += [(one["book"], one["section"], one["text"]) for one in table("not-for-servers")["sentence"]]
    assert [entry for entry, times in Counter(entries).items() if times > 1] == []


def test_what_is_left_out_has_its_reason():
    others = table("not-for-servers")
    assert all(one["reason"] for one in [*others["page"], *others["sentence"]])


@pytest.mark.parametrize("book", BOOKS)
def test_the_sentences_of_every_page_are_all_there(book):
    found = {}
    for where, place, text in known()[0]:
        if where == book:
            page, _, heading = place.partition(", ")
            assert section(page, heading) == place
            found.setdefault(page, []).append((heading, text))
    seen = {page: {"sentences": len(lines), "digest": digest(lines)} for page, lines in found.items()}
    assert seen == table("digests")[book]
