"""Patterns: which of them cost more than others to read a text with."""

import pytest

from bascule.checks.pattern_steps import pattern_steps

COMMON = pattern_steps("^[a-z]+$")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "hello, world: a long text without any choice",
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        r"^.{1,5000}$",
        r"^\p{L}{1,64}$",
        r"\.\[\]\{9\}",
        "(a+)+$",
        "((",
    ],
)
def test_what_needs_few_states_is_common(pattern: str) -> None:
    assert pattern_steps(pattern) == COMMON


@pytest.mark.parametrize(
    "pattern",
    [
        "[ab]*a[ab]{20}",
        "^.*a.{20}$",
        "a[]b]{12}",
        r"a\w{4,12}",
        "^[ab]{20,}",
        "((a|b){5}x){5}",
        "^a[ab]{20}|b",
        "[ab]*a" + "[ab]" * 20,
    ],
)
def test_what_may_need_a_state_for_every_character_costs_more(pattern: str) -> None:
    assert pattern_steps(pattern) > 50 * COMMON


def test_what_is_tracked_at_once_adds_up_to_a_limit() -> None:
    assert pattern_steps("x[ab]{20}") < pattern_steps("x[ab]{200}") < pattern_steps("x[ab]{999999999}")
    assert pattern_steps("x([ab]{30}){30}") == pattern_steps("x[ab]{900}")
