"""Every client and every server of the matrix understand each other: see matrix.py, and docs/interoperability.md."""

import re
from collections.abc import Iterator

import pytest

from tests.peers import known
from tests.peers.conftest import wanted
from tests.peers.known import Known, difference, known_failures, known_of, over
from tests.peers.matrix import Run
from tests.peers.orders import OWN, fits, judged, steps_of
from tests.peers.parties import CELLS, CLIENTS, SERVERS, Cell, pinned, program

KNOWN_FAILURES = known_failures(known.KNOWN.read_text())
SOME = Cell("mcp", "fastmcp", "http", "new")


def environments(cell: Cell) -> set[str]:
    return {CLIENTS[cell.client].environment, SERVERS[cell.server].environment}


@pytest.fixture(scope="module")
def run(request) -> Iterator[Run]:
    """All cells that this session has tests for and this machine has programs for, running meanwhile."""
    asked = [item.callspec.params.get("cell") for item in request.session.items if hasattr(item, "callspec")]
    cells = [cell for cell in asked if isinstance(cell, Cell) and all(map(program, environments(cell)))]
    running = Run(cells)
    yield running
    running.close()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_they_understand_each_other(cell, request):
    for environment in environments(cell):
        wanted(environment)
    outcome = request.getfixturevalue("run").outcome(cell)
    expected = known_of(cell, KNOWN_FAILURES)
    assert difference(outcome.failed, expected) == [], outcome.details
    ours = [entry.reason for entry in expected.values() if entry.fault == "bascule"]
    if ours:
        pytest.xfail("; ".join(ours))


def test_what_fails_now_and_then_still_does(run, capsys):
    assert [entry for entry in KNOWN_FAILURES if over(entry, run.failed())] == []
    with capsys.disabled():
        print(f"\n\n{known.tables(KNOWN_FAILURES)}\n")


def test_every_known_failure_is_of_a_cell_and_a_step_that_exist():
    for entry in KNOWN_FAILURES:
        assert entry.cells
        assert entry.reason
        assert entry.fault in {*CLIENTS, *SERVERS}
        for cell in entry.cells:
            assert entry.step in {"connect", *steps_of(cell.server)}


def test_no_step_of_a_cell_is_known_twice():
    for cell in CELLS:
        steps = [entry.step for entry in KNOWN_FAILURES if cell in entry.cells]
        assert len(steps) == len(set(steps))


def test_the_page_shows_what_is_known_and_the_versions_that_are_pinned():
    page = known.PAGE.read_text()
    assert known.tables(KNOWN_FAILURES) in page, "python -m tests.peers.matrix --write"
    assert [line for line in pinned() if line not in page] == []


def test_the_matrix_has_every_pair_in_every_era_that_both_speak():
    assert len(CELLS) == 2 * (5 * 6 + 4 * 4)
    assert len(set(CELLS)) == len(CELLS)
    assert {cell.era for cell in CELLS if "typescript-v1" in cell} == {"old"}


@pytest.mark.parametrize(
    ("right", "good", "bad"),
    [
        (1, 1, 2),
        ({"a": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ([1, {"a": 1}], [1, {"a": 1}], [1]),
        ({"x"}, ["y", "x"], ["y"]),
        (re.compile("moon"), "the moon", "the sun"),
        ({"a": 1}, {"a": 1}, None),
        ([1], [1], None),
        ({"x"}, ["x"], None),
    ],
)
def test_an_outcome_is_compared_part_by_part(right, good, bad):
    assert fits(right, good)
    assert not fits(right, bad)


def test_each_step_that_goes_wrong_is_named_with_its_reason():
    connected = {"connect": {"protocolVersion": "2026-07-28"}}
    failed = judged(
        SOME, {**connected, "call": {"structuredContent": {"sum": 6, "of": [2, 3]}}, "read": {"failed": "no"}}
    )
    assert failed.keys() == OWN.keys()
    assert '"sum": 6' in failed["call"]
    assert failed["read"] == "no"


def test_another_version_than_the_eras_newest_is_no_connection():
    assert judged(SOME, {"connect": {"protocolVersion": "2025-11-25"}}).keys() == {"connect"}
    assert judged(SOME, {"connect": {"failed": "refused"}}) == {"connect": "refused"}


def test_a_new_failure_and_one_that_is_gone_are_both_told():
    expected = {"call": Known(frozenset([SOME]), "call", "mcp", "it cannot count")}
    assert difference({"call": "6"}, expected) == []
    assert difference({"call": "6", "read": "no"}, expected) == ["read: no"]
    assert difference({}, expected) == ["call works now: take it out of known_failures.toml"]


def test_what_is_racy_may_work_in_a_cell_but_not_in_all():
    other = SOME._replace(client="bascule")
    entry = Known(frozenset([SOME, other]), "call", "mcp", "it cannot count", racy=True)
    assert difference({}, {"call": entry}) == []
    assert difference({"read": "no"}, {"call": entry}) == ["read: no"]
    assert not over(entry, {SOME: {}, other: {"call": "6"}})
    assert not over(entry, {SOME: {}})
    assert over(entry, {SOME: {}, other: {}})


def test_known_failures_name_cells_by_what_they_have_in_common():
    text = """
        [[failure]]
        client = "mcp"
        server = ["mcp", "bascule"]
        era = "new"
        step = "call"
        fault = "mcp"
        reason = "it cannot count"
    """
    (entry,) = known_failures(text)
    assert {str(cell) for cell in entry.cells} == {
        f"mcp-{server}-{transport}-new" for server in ("mcp", "bascule") for transport in ("stdio", "http")
    }
    assert known_of(Cell("mcp", "mcp", "http", "new"), [entry]) == {"call": entry}
    assert known_of(Cell("mcp", "mcp", "http", "old"), [entry]) == {}
    with pytest.raises(KeyError):
        known_failures('[[failure]]\nclient = "nobody"\nstep = "call"\nfault = "mcp"\nreason = "x"')


def test_the_table_counts_what_works_and_points_to_the_reason():
    entries = [Known(frozenset([SOME]), "call", "mcp", "it cannot count")]
    assert known.mark(SOME, entries) == "7/8 [1]"
    assert known.mark(SOME, [entries[0]._replace(step="connect")]) == "0/8 [1]"
    assert known.mark(SOME._replace(client="bascule"), entries) == "8/8"
    assert "1. `call`, mcp: it cannot count" in known.tables(entries)
