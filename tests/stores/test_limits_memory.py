"""Counters in memory: what a list of all starts would say, at a bounded price."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.engine.policy import Window
from bascule.stores import limits_memory
from bascule.stores.limits_memory import MemoryCounters

MINUTE = (Window(60, 60.0),)
EPOCH = 1_700_000_000.0

LIMITS = st.lists(st.builds(Window, st.integers(1, 6), st.sampled_from([0.5, 1.0, 2.0, 7.0])), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.125, 0.5, 1.0, 3.0]), st.sampled_from("abcdef")), max_size=200)


class Clock:
    """A clock that tests set."""

    def __init__(self, now=100.0):
        self.now = now

    def __call__(self):
        return self.now


def counters(clock, max_keys=1000):
    return MemoryCounters(max_keys, clock, lambda: EPOCH + clock.now)


def started(starts, now, window):
    return sorted(start for start in starts if start > now - window.per)


@given(LIMITS, STEPS)
def test_it_says_what_a_list_of_all_starts_says(limit, steps):
    limit, clock, model = tuple(limit), Clock(), {}
    tested = counters(clock)
    for pause, key in steps:
        clock.now += pause
        starts = model.setdefault(key, [])
        refusal = tested.over(key, limit)
        verdict = tested.take(key, limit)
        alive = [started(starts, clock.now, window) for window in limit]
        full = [
            (each[len(each) - w.limit] + w.per, w) for each, w in zip(alive, limit, strict=True) if len(each) >= w.limit
        ]
        assert verdict.allowed == (not full)
        assert refusal == (verdict if full else None)
        if full:
            assert verdict.remaining == 0
            assert verdict.reset_at - EPOCH == pytest.approx(max(full)[0])
            assert (verdict.reset_at - EPOCH, verdict.window) in [(pytest.approx(until), w) for until, w in full]
        else:
            starts.append(clock.now)
            left = [w.limit - len(each) - 1 for each, w in zip(alive, limit, strict=True)]
            assert verdict.remaining == min(left)
            oldest = started(starts, clock.now, verdict.window)[0]
            assert verdict.wait == pytest.approx(oldest + verdict.window.per - clock.now)


@given(LIMITS, STEPS, st.integers(0, 3))
def test_nobody_starts_too_often_where_keys_are_more_than_there_is_room_for(limit, steps, room):
    limit, clock, model = tuple(limit), Clock(), {}
    tested = counters(clock, room)
    for pause, key in steps:
        clock.now += pause
        if tested.take(key, limit).allowed:
            model.setdefault(key, []).append(clock.now)
        assert len(tested) <= room
        for starts in model.values():
            assert all(len(started(starts, clock.now, window)) <= window.limit for window in limit)


@given(st.integers(5, 40), st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.125, 0.25, 1.0, 2.0]), max_size=300))
def test_a_large_limit_is_counted_in_groups_late_by_less_than_one_of_them_and_never_early(limit, pauses):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits_memory, "GROUP", 4)
        clock, starts, window = Clock(), [], Window(limit, 2.0)
        tested = counters(clock)
        group = -(-limit // 4)
        for pause in pauses:
            clock.now += pause
            used = len(started(starts, clock.now, window))
            verdict = tested.take("k", (window,))
            assert used <= limit
            assert verdict.allowed or used > limit - group
            if verdict.allowed:
                assert 0 <= limit - used - 1 - verdict.remaining < group
                starts.append(clock.now)
            else:
                clock.now += verdict.wait
                assert tested.over("k", (window,)) is None, "it said when"


@given(st.lists(st.sampled_from([0.1, 0.2, 0.9, -0.3, -50.0, 1e9, -1e9, math.nan]), max_size=100))
def test_a_clock_that_goes_back_lets_nobody_in_early(jumps):
    told, moments, true = Clock(), [], 0.0
    tested = counters(told)
    for jump in jumps:
        true += abs(jump) if abs(jump) < 1 else 0.05
        told.now = told.now + jump if math.isfinite(told.now) else math.nan
        allowed = tested.take("k", (Window(3, 1.0),)).allowed
        if jump == 1e9:
            moments.clear()
        if allowed:
            moments.append(true)
        assert len(started(moments, true, Window(3, 1.0))) <= 3


def test_windows_of_one_limit_are_all_charged_or_none():
    clock = Clock()
    tested, limit = counters(clock), (Window(2, 1.0), Window(3, 100.0))
    assert [tested.take("k", limit).allowed for _ in range(5)] == [True, True, False, False, False]
    clock.now += 1.0
    last = tested.take("k", limit)
    assert (last.allowed, last.remaining, last.window) == (True, 0, Window(3, 100.0))
    clock.now += 1.0
    refused = tested.take("k", limit)
    assert (refused.allowed, refused.wait, refused.window) == (False, 98.0, Window(3, 100.0))


def test_one_key_counts_apart_for_each_limit():
    tested = counters(Clock())
    one, two = (Window(1, 1.0),), (Window(1, 2.0),)
    assert [tested.take("k", limit).allowed for limit in (one, two, one, two)] == [True, True, False, False]


def test_a_million_callers_share_the_room_that_there_is():
    clock = Clock()
    tested = counters(clock, 1000)
    tested.take("old friend", MINUTE)
    allowed = sum(tested.take(f"stranger {number}", MINUTE).allowed for number in range(1_000_000))
    assert len(tested) == 1000
    assert allowed == 999 + 60, "those without room are counted as one"
    tracemalloc.start()
    try:
        for number in range(20_000):
            tested.take(f"another stranger {number}", MINUTE)
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()
    assert tested.take("old friend", MINUTE).remaining == 58
    clock.now += 60.0
    assert tested.take("a late stranger", MINUTE).remaining == 59


def test_a_newcomer_costs_no_more_where_many_limits_are_in_use():
    tested = counters(Clock(), 900)
    for number in range(900):
        tested.take("k", (Window(number + 1, 1.0),))
    swept = []
    tested._sweep = lambda table, now: swept.append(table)
    tested.take("newcomer", (Window(1, 1.0),))
    assert len(swept) == 2


def test_a_key_costs_what_is_said_of_it():
    tested = counters(Clock(), 20_000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            tested.take(f"7:example6:issuer12:user{number:08}4:tool11:get_weather", MINUTE)
        fresh = tracemalloc.get_traced_memory()[0] / 20_000
        for number in range(1000):
            for _ in range(59):
                tested.take(f"7:example6:issuer12:user{number:08}4:tool11:get_weather", MINUTE)
        full = (tracemalloc.get_traced_memory()[0] - fresh * 20_000) / 1000
    finally:
        tracemalloc.stop()
    assert fresh < 450
    assert full < 650


def test_a_busy_key_keeps_no_more_than_its_windows_need():
    clock = Clock()
    tested, limit = counters(clock), (Window(100_000, 10.0), Window(50, 0.05))
    for _ in range(50_000):
        clock.now += 0.001
        tested.take("k", limit)
    assert [len(log) < 2200 for log in tested._tables[limit].logs["k"]] == [True, True]
    assert len(tested._tables[limit].logs["k"][1]) < 150


def test_idle_keys_go_as_new_ones_come():
    clock = Clock()
    tested = counters(clock)
    for number in range(500):
        tested.take(f"old {number}", MINUTE)
    clock.now += 60.0
    for number in range(250):
        tested.take(f"new {number}", MINUTE)
    assert len(tested) == 250
    for number in range(800):
        tested.take(f"other {number}", (Window(1, 1.0),))
    assert len(tested) == 1000
    clock.now += 60.0
    verdicts = [tested.take(f"one more {number}", (Window(5, 5.0),)) for number in range(2)]
    assert [verdict.remaining for verdict in verdicts] == [4, 4], "room is made among the keys of every limit"


@pytest.mark.parametrize("key", ["", "\ud800", "\0" * 100, "x" * 5_000_000, "{}:{a}", "😀" * 70])
def test_any_text_is_a_key_and_costs_no_more(key):
    tested = counters(Clock())
    assert [tested.take(key, (Window(1, 1.0),)).allowed for _ in range(2)] == [True, False]
    assert tested.take(key + "x", (Window(1, 1.0),)).allowed
    assert all(len(each) <= 65 for each in tested._tables[(Window(1, 1.0),)].logs)


def test_no_key_poses_as_the_digest_of_another():
    tested = counters(Clock())
    long = "k" * 100
    tested.take(long, (Window(1, 1.0),))
    assert tested.take(limits_memory.digest(long), (Window(1, 1.0),)).allowed


def test_limits_without_end_are_refused_and_idle_ones_make_room():
    clock = Clock()
    tested = counters(clock, 5000)
    for number in range(1000):
        tested.take("k", (Window(number + 1, 1.0),))
    with pytest.raises(ValueError, match="different limits"):
        tested.take("k", (Window(1, 2.0),))
    clock.now += 1.0
    assert tested.take("k", (Window(1, 2.0),)).allowed


def test_what_was_allowed_elsewhere_counts():
    clock = Clock()
    tested, limit = counters(clock, 2), (Window(2, 1.0),)
    for _ in range(3):
        tested.note("k", limit)
    assert tested.over("k", limit).wait == 1.0
    assert not tested.take("k", limit).allowed
    for number in range(10):
        tested.note(f"other {number}", limit)
    assert len(tested) == 2
    assert tested.over("other 5", limit) is None, "nothing is known of it"


async def test_a_charge_is_the_same_awaited():
    assert (await counters(Clock()).charge("k", MINUTE)).remaining == 59
