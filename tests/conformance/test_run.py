"""The conformance runner's verdicts: nothing that went wrong, or did not run, can look like success."""

import json

import pytest

from tests.conformance.run import Case, Outcome, compare, expected_failures, judge

CASE = Case("server", "ping", "2025-11-25")
OTHER = Case("server", "ping", "2026-07-28")
GOOD = Outcome(2, [])
BAD = Outcome(1, ["failure: ping: no answer"])


def check(status, name="ping"):
    return {"id": name, "status": status, "description": "answers"}


@pytest.mark.parametrize(
    ("checks", "faults"),
    [
        ([check("SUCCESS"), check("SKIPPED"), check("INFO")], []),
        ([check("SUCCESS"), check("FAILURE")], ["failure: ping: answers"]),
        ([check("SUCCESS"), check("WARNING")], ["warning: ping: answers"]),
        ([check("SKIPPED")], ["nothing was checked"]),
        ([check("SUCCESS", "wire-schema-valid")], ["nothing was checked"]),
        ([], ["nothing was checked"]),
        (None, ["no checks.json: the scenario did not run to its end"]),
    ],
)
def test_a_scenario_passes_only_if_it_checked_something_and_all_was_well(checks, faults, tmp_path):
    if checks is not None:
        place = tmp_path / "server-ping-2026-01-01T00-00-00-000Z"
        place.mkdir()
        (place / "checks.json").write_text(json.dumps(checks))
    assert judge(tmp_path, CASE).faults == faults


def test_the_newest_result_counts_and_a_longer_name_is_another_scenario(tmp_path):
    for name, status in (("ping-2026-01-01", "FAILURE"), ("ping-2026-01-02", "SUCCESS"), ("ping-more-2026", "FAILURE")):
        place = tmp_path / f"server-{name}"
        place.mkdir()
        (place / "checks.json").write_text(json.dumps([check(status)]))
    assert judge(tmp_path, CASE) == Outcome(1, [])


def test_expected_failures_name_leg_scenario_and_wire():
    text = "# why\nserver:\n  - ping  # because\n\nclient:\n  - auth/x@2026-07-28\n"
    assert expected_failures(text) == {("server", "ping"), ("client", "auth/x@2026-07-28")}


@pytest.mark.parametrize(
    ("outcomes", "expected", "complaint"),
    [
        ({CASE: GOOD, OTHER: GOOD}, [], None),
        ({CASE: BAD, OTHER: BAD}, ["ping"], None),
        ({CASE: GOOD, OTHER: BAD}, ["ping@2026-07-28"], None),
        ({CASE: BAD, OTHER: GOOD}, [], "ping@2025-11-25: failure: ping: no answer"),
        ({CASE: BAD, OTHER: GOOD}, ["ping"], "ping@2026-07-28: stale"),
        ({CASE: GOOD}, ["ping@2025-11-25"], "ping@2025-11-25: stale"),
        ({CASE: GOOD, OTHER: GOOD}, ["pong"], "pong: listed in expected-failures.yml, unknown"),
    ],
)
def test_surprises_are_failures_stale_entries_and_unknown_names(outcomes, expected, complaint):
    wrong = compare(outcomes, {("server", name) for name in expected}, [CASE, OTHER])
    assert len(wrong) == (complaint is not None)
    assert complaint is None or complaint in wrong[0]
