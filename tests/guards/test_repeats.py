"""The loop brake: who makes the same call again and again is told so, and nobody else is."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.engine.asking import Dialogue
from bascule.engine.exchange import ANONYMOUS, Conversation, Peer
from bascule.engine.settings import LoadSettings
from bascule.errors import RepeatedCall
from bascule.guards.repeats import Repeats, repeat_brake
from bascule.wire.requests import ClientCapabilities
from tests.guards.calls import exchange, feature, somebody

ANN = somebody("ann")


class Brake:
    """A tool with a brake, on a clock that stands still until it is set."""

    def __init__(self, limit=3, per=60.0, kind="tool", address=lambda one: None, max_calls=100, **policy):
        self.now = 1000.0
        self.repeats = Repeats(
            LoadSettings(max_repeats=limit, repeats_within=per), address, lambda: self.now, max_calls
        )
        self.tools = {name: self.guarded(name, kind, policy) for name in ("work", "other")}

    def guarded(self, name, kind, policy):
        async def handler(_):
            return "done"

        self.handler = handler
        return repeat_brake(self.repeats)(handler, feature(kind, name, **policy))

    def call(self, *args, tool="work", **options):
        """Whether a call was let through."""
        call = self.tools[tool](exchange(*args, **options))
        try:
            call.send(None)
        except StopIteration:
            return True
        except RepeatedCall as error:
            self.refused = error
            return False
        raise AssertionError("the brake waits for nothing")


def test_the_same_call_is_let_through_so_often():
    brake = Brake()
    assert [brake.call(ANN, {"city": "Rome"}) for _ in range(5)] == [True] * 3 + [False] * 2
    error = brake.refused
    assert (error.code, error.details) == ("repeated_call", {"limit": 3, "per": 60.0, "retryAfter": 60.0})
    assert "This same call of work, with the same arguments, was made 3 times within 60 s" in error.message


@pytest.mark.parametrize(
    "other",
    [
        {"arguments": {"city": "Rom"}},
        {"arguments": {"city": "Rome", "x": 1}},
        {"arguments": {}},
        {"arguments": None},
        {"principal": somebody("bob")},
        {"tool": "other"},
    ],
)
def test_another_call_is_another(other):
    brake = Brake()
    same = {"principal": ANN, "arguments": {"city": "Rome"}}
    for _ in range(4):
        brake.call(**same)
    assert not brake.call(**same)
    assert brake.call(**{**same, **other})


def test_time_releases_one_call_after_the_other():
    brake = Brake()
    for _ in range(3):
        assert brake.call(ANN)
        brake.now += 10
    brake.now = 1059.9
    assert not brake.call(ANN)
    assert brake.refused.details["retryAfter"] == pytest.approx(0.1)
    brake.now = 1060
    assert brake.call(ANN)
    assert not brake.call(ANN)
    brake.now = 1070
    assert brake.call(ANN)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=60))
def test_it_lets_through_what_a_plain_count_would(limit, steps):
    brake = Brake(limit, per=10.0)
    made = {name: deque() for name in "abc"}
    for pause, name in steps:
        brake.now += pause
        recent = [moment for moment in made[name] if moment > brake.now - 10]
        expected = len(recent) < limit
        assert brake.call(ANN, {"name": name}) == expected
        if expected:
            made[name].append(brake.now)


@pytest.mark.parametrize("off", [{"polls": True}, {"kind": "resource"}, {"kind": "prompt"}, {"limit": 0}])
def test_where_it_does_not_apply_nothing_is_there(off):
    brake = Brake(**off)
    assert brake.tools["other"] is brake.handler


def test_those_without_credentials_are_told_apart_or_left_alone():
    addresses = iter(["10.0.0.1"] * 4 + ["10.0.0.2"])
    brake = Brake(address=lambda one: next(addresses))
    assert [brake.call(ANONYMOUS) for _ in range(5)] == [True, True, True, False, True]
    brake = Brake()
    assert all(brake.call(ANONYMOUS) for _ in range(100)), "they may be a hundred people"
    one, two = (Conversation(Peer("", None, ClientCapabilities()), key) for key in ("one", "two"))
    assert [brake.call(ANONYMOUS, conversation=one) for _ in range(4)] == [True, True, True, False]
    assert brake.call(ANONYMOUS, conversation=two)


def test_the_rounds_of_one_call_are_one_call():
    brake = Brake()
    again, unsealed = Dialogue(), Dialogue()
    again.rounds = 1
    assert all(brake.call(ANN, dialogue=again) for _ in range(16))
    assert [brake.call(ANN, dialogue=unsealed) for _ in range(4)] == [True, True, True, False]


def test_the_memory_is_bounded_and_what_is_over_is_forgotten():
    brake = Brake(max_calls=100)
    for number in range(1000):
        assert brake.call(somebody(str(number)))
        assert len(brake.repeats) <= 100
    brake.now += 60
    for number in range(60):
        brake.call(ANN, {"number": number})
    assert len(brake.repeats) == 60


def test_a_loop_is_noticed_in_a_crowd():
    brake = Brake(max_calls=100)
    outcomes = []
    for number in range(10):
        outcomes.append(brake.call(ANN))
        for other in range(50):
            brake.call(somebody(f"{number}-{other}"))
    assert outcomes == [True] * 3 + [False] * 7


def test_large_arguments_are_not_kept():
    brake = Brake(limit=1)
    assert brake.call(ANN, {"text": "x" * 1_000_000})
    assert not brake.call(ANN, {"text": "x" * 1_000_000})
    assert all(isinstance(key, int) for key in brake.repeats._made)


async def test_a_call_that_waits_is_counted_when_it_begins():
    repeats = Repeats(LoadSettings(max_repeats=2))

    async def slow(_):
        await asyncio.sleep(0)
        return "done"

    tool = repeat_brake(repeats)(slow, feature())
    outcomes = await asyncio.gather(*(tool(exchange(ANN)) for _ in range(3)), return_exceptions=True)
    assert outcomes[:2] == ["done", "done"]
    assert isinstance(outcomes[2], RepeatedCall)
