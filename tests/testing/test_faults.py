"""Rules of faults: which request each falls on, and which rules contradict themselves."""

import pytest

from bascule import ConfigError
from bascule.testing import Faults
from bascule.testing.faults import NO_FAULT, Plan, envelope


def taken(plan, *methods):
    return [plan.take(method, b"") for method in methods]


def test_without_a_rule_nothing_happens_and_everything_is_noted():
    plan = Plan([])
    assert taken(plan, "a", None) == [NO_FAULT, NO_FAULT]
    assert [(seen.number, seen.method) for seen in plan.requests] == [(1, "a"), (2, None)]


def test_nth_counts_the_requests_that_method_and_predicate_choose():
    rule = Faults(garbage=b"?", method="tools/call", nth=2)
    assert taken(Plan([rule]), "tools/call", "ping", "tools/call", "tools/call") == [NO_FAULT, NO_FAULT, rule, NO_FAULT]
    several = Faults(garbage=b"?", nth=(1, 3))
    assert taken(Plan([several]), "a", "a", "a", "a") == [several, NO_FAULT, several, NO_FAULT]
    chosen = Faults(delay=1, when=lambda seen: b"x" in seen.body)
    plan = Plan([chosen])
    assert [plan.take("a", body) for body in (b"x", b"y")] == [chosen, NO_FAULT]


def test_the_first_rule_that_applies_counts_and_the_others_count_on():
    first, second = Faults(status=500, nth=1), Faults(status=429, nth=2)
    every = Faults(delay=1)
    assert taken(Plan([first, second, every]), "a", "a", "a") == [first, second, every]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"status": 500, "garbage": b""}, "both status and garbage"),
        ({"drop_after": 0, "truncate": 0}, "both drop_after and truncate"),
        ({"close_before_answer": True, "truncate": 1}, "both truncate and close_before_answer"),
        ({"retry_after": 1}, "retry_after goes with a status"),
        ({"status": 100}, "200 to 599"),
        ({"delay": -1}, "not negative"),
        ({"truncate": -1}, "not negative"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Faults(**options)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', ("ping", 1)),
        (b'{"jsonrpc":"2.0","method":"note"}', ("note", None)),
        (b'{"jsonrpc":"2.0","id":"a","result":{}}', (None, "a")),
        (b"[1]", (None, None)),
        (b"\xff", (None, None)),
        (b"", (None, None)),
    ],
)
def test_an_envelope_is_read_from_any_bytes(message, expected):
    assert envelope(message) == expected
