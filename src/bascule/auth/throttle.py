"""The throttle on failures: how many wrong credentials one address may show before it is not heard for a while.

Counts in windows that begin with an address's first failure, so that whoever shares an address with a client that
fails without end gets a chance in each. Memory is bounded: of too many addresses, those that failed first are
forgotten. An IPv6 address counts as its /64, because one subscriber has at least so many.
"""

import ipaddress

from bascule.engine.ports import Clock
from bascule.errors import TooManyFailures

MAX_ADDRESSES = 20_000
"""How many addresses are remembered; some 200 bytes each."""

_LONGEST = 64


class _Failures:
    __slots__ = ("count", "until")

    def __init__(self, until: float) -> None:
        self.count = 0
        self.until = until


class Throttle:
    """Counts failures by address. `window` in seconds, of the `clock`."""

    def __init__(self, limit: int, window: float, clock: Clock, max_addresses: int = MAX_ADDRESSES) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._max = max_addresses
        self._failures: dict[str, _Failures] = {}
        """By the moment when their window ends, because all are equally long."""

    def __len__(self) -> int:
        return len(self._failures)

    def check(self, address: str) -> None:
        """Raise TooManyFailures for an address that has failed too often."""
        if not self._failures:
            return
        failures = self._failures.get(_network(address))
        now = self._clock()
        if failures is not None and failures.count >= self._limit and self._runs(failures, now):
            raise TooManyFailures(failures.until - now)

    def note(self, address: str) -> None:
        """Count a failure of an address."""
        name, now = _network(address), self._clock()
        failures = self._failures.get(name)
        if failures is None or not self._runs(failures, now):
            self._failures.pop(name, None)
            self._forget(now)
            failures = self._failures[name] = _Failures(now + self._window)
        failures.count += 1

    def _runs(self, failures: _Failures, now: float) -> bool:
        """Whether a window is not over; one that a clock set back would make longer is."""
        return failures.until - self._window <= now < failures.until

    def _forget(self, now: float) -> None:
        """Forget the addresses whose window is over, and one more where that is not enough."""
        while self._failures:
            first = next(iter(self._failures))
            if self._runs(self._failures[first], now) and len(self._failures) < self._max:
                return
            del self._failures[first]


def _network(address: str) -> str:
    if ":" not in address:
        return address[:_LONGEST]
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address[:_LONGEST]
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
