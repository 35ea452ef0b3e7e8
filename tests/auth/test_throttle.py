"""The throttle: its limit, its window, and its bound on memory."""

import sys

import pytest

from bascule.auth.throttle import MAX_ADDRESSES, Throttle
from bascule.errors import TooManyFailures
from bascule.testing import ManualClock


def failing(throttle, address, times):
    for _ in range(times):
        throttle.note(address)


def refused(throttle, address):
    try:
        throttle.check(address)
    except TooManyFailures:
        return True
    return False


def test_an_address_is_refused_from_its_limit_until_its_window_ends():
    clock = ManualClock(1000)
    throttle = Throttle(3, 60, clock)
    failing(throttle, "1.2.3.4", 2)
    assert not refused(throttle, "1.2.3.4")
    clock.advance(10)
    failing(throttle, "1.2.3.4", 1)
    with pytest.raises(TooManyFailures) as caught:
        throttle.check("1.2.3.4")
    assert (caught.value.status, caught.value.retry_after) == (429, 50)
    assert caught.value.data == {"code": "too_many_failures", "retryAfter": 50}
    assert not refused(throttle, "1.2.3.5")
    clock.advance(49.9)
    assert refused(throttle, "1.2.3.4")
    clock.advance(0.1)
    assert not refused(throttle, "1.2.3.4")
    failing(throttle, "1.2.3.4", 1)
    assert not refused(throttle, "1.2.3.4")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.5", False),
        ("not:an:address", "not:another", False),
        ("", "", True),
    ],
)
def test_what_counts_as_one_address(one, other, together):
    throttle = Throttle(1, 60, ManualClock())
    throttle.note(one)
    assert refused(throttle, other) is together


def test_a_million_addresses_cost_bounded_memory_and_hide_no_late_comer():
    clock = ManualClock()
    throttle = Throttle(2, 60, clock)
    for number in range(1_000_000):
        throttle.note(f"{number >> 16}.{number >> 8 & 255}.{number & 255}.1")
    assert len(throttle) == MAX_ADDRESSES
    held = sum(
        sys.getsizeof(name) + sys.getsizeof(one) + sys.getsizeof(one.until) for name, one in throttle._failures.items()
    )
    assert held + sys.getsizeof(throttle._failures) < 8_000_000
    failing(throttle, "9.9.9.9", 2)
    assert refused(throttle, "9.9.9.9")


def test_a_long_name_of_an_address_is_cut():
    throttle = Throttle(1, 60, ManualClock())
    throttle.note("x" * 60_000)
    assert max(map(len, throttle._failures)) <= 64


def test_windows_that_are_over_are_forgotten():
    clock = ManualClock()
    throttle = Throttle(1, 60, clock)
    for number in range(100):
        throttle.note(f"1.1.1.{number}")
    clock.advance(60)
    throttle.note("2.2.2.2")
    assert len(throttle) == 1


def test_a_clock_that_is_set_back_locks_nobody_out():
    now = [10_000.0]
    throttle = Throttle(1, 60, lambda: now[0])
    throttle.note("1.2.3.4")
    assert refused(throttle, "1.2.3.4")
    now[0] = 5_000.0
    assert not refused(throttle, "1.2.3.4")
