"""Pauses between attempts: longer each time, bounded, and spread."""

from bascule.runtime.pauses import LONGEST, pause_before


def test_each_pause_is_up_to_twice_the_last_and_bounded() -> None:
    for attempt in range(1000):
        longest = min(0.5 * 2**attempt, LONGEST)
        assert longest / 2 <= pause_before(attempt, 0.5) <= longest


def test_not_everybody_comes_back_at_once() -> None:
    assert len({pause_before(3, 1.0) for _ in range(100)}) > 90
