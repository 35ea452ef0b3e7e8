"""Counters in this process's memory: sliding windows, exact, bounded, and gone with the process.

A window keeps when its starts happened, oldest first. One of more than GROUP calls keeps them in groups of equal size,
each under the time of its latest: it may then let a call in late, by less than a GROUPth of its limit, and never early.
Time stands still where the clock goes back. No I/O; one thread.

Costs: a charge is two look-ups and a binary search among at most 2 * GROUP numbers. A key takes about 300 bytes and 8
for each start in its windows, 16 KiB a window at most.
"""

import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from bascule.engine.policy import Window
from bascule.engine.ports import Clock, Verdict

MAX_KEYS = 100_000
GROUP = 1024
MAX_LIMITS = 1000
"""How many different limits may be in use at once."""

_LONGEST = 64
"""Characters of a key that is kept as it is; a longer one is kept as its digest, which is longer than these."""

_SWEPT = 2
"""Idle keys that each new key drops, if there are so many: they go faster than they came."""

_DEAD = 16

Log: TypeAlias = "array[float]"
"""The starts of one window: how many the newest group stands for, and then the times of the groups."""

Logs: TypeAlias = "tuple[array[float], ...]"


class Row(NamedTuple):
    """One window as it is counted: `group` starts stand together."""

    limit: int
    per: float
    group: int
    window: Window


def rows(windows: tuple[Window, ...]) -> tuple[Row, ...]:
    """How windows are counted."""
    return tuple(Row(window.limit, window.per, -(-window.limit // GROUP), window) for window in windows)


class _Table:
    """The keys of one limit, the one that started longest ago first, and what those without a place share."""

    __slots__ = ("logs", "overflow", "rows", "span")

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self.rows = rows(windows)
        self.span = max(window.per for window in windows)
        self.logs: OrderedDict[str, Logs] = OrderedDict()
        self.overflow = _fresh(self.rows)

    def idle(self, logs: Logs, now: float) -> bool:
        return len(logs[0]) < 2 or logs[0][-1] <= now - self.span


class MemoryCounters:
    """Counts starts in memory. `clock` tells seconds that never go back, `wall` those since the epoch.

    At most `max_keys` keys have a count of their own, together over all limits. New ones beyond share one count for
    each limit, as if they were one caller, until some have been idle for the longest of their windows.
    """

    def __init__(self, max_keys: int = MAX_KEYS, clock: Clock = time.monotonic, wall: Clock = time.time) -> None:
        self._max_keys = max_keys
        self._clock = clock
        self._wall = wall
        self._now = clock()
        self._tables: OrderedDict[tuple[Window, ...], _Table] = OrderedDict()
        self._keys = 0

    def __len__(self) -> int:
        return self._keys

    async def charge(self, key: str, windows: tuple[Window, ...]) -> Verdict:
        """Count one start in every window, or in none where one is full. Raises ValueError after MAX_LIMITS limits."""
        return self.take(key, windows)

    async def close(self) -> None:
        """There is nothing to close."""

    def take(self, key: str, windows: tuple[Window, ...]) -> Verdict:
        """The same, at once."""
        if len(key) > _LONGEST:
            key = digest(key)
        now = self._clock()
        if now > self._now:
            self._now = now
        else:
            now = self._now
        table = self._tables.get(windows)
        if table is None:
            table = self._new_table(windows, now)
        logs = table.logs.get(key)
        if logs is None:
            logs = self._place(table, key, now)
        verdict = _charged(table.rows, logs, now, self._wall)
        if verdict.allowed and logs is not table.overflow:
            table.logs.move_to_end(key)
        return verdict

    def over(self, key: str, windows: tuple[Window, ...]) -> Verdict | None:
        """The refusal, if a charge would be refused for the starts of this very key; counts nothing."""
        if len(key) > _LONGEST:
            key = digest(key)
        table = self._tables.get(windows)
        logs = None if table is None else table.logs.get(key)
        if table is None or logs is None:
            return None
        now = self._now = max(self._now, self._clock())  # the order matters: what is not a number changes nothing
        return _refusal(table.rows, logs, now, self._wall)

    def note(self, key: str, windows: tuple[Window, ...]) -> None:
        """Count a start that has been allowed elsewhere, if there is room to."""
        if len(key) > _LONGEST:
            key = digest(key)
        now = self._now = max(self._now, self._clock())  # the order matters: what is not a number changes nothing
        table = self._tables.get(windows)
        if table is None:
            table = self._new_table(windows, now)
        logs = table.logs.get(key)
        if logs is None:
            if not self._has_room(table, now):
                return
            logs = table.logs[key] = _fresh(table.rows)
            self._keys += 1
        for row, log in zip(table.rows, logs, strict=True):
            _add(log, row.group, bisect_right(log, now - row.per, 1), now)
        table.logs.move_to_end(key)

    def _place(self, table: _Table, key: str, now: float) -> Logs:
        """The logs of a new key: its own, or those that all newcomers share.

        Its own begin with what is shared, as long as that is not idle: some of it may have been this key's.
        """
        if not self._has_room(table, now):
            return table.overflow
        shared = table.overflow
        logs = _fresh(table.rows) if table.idle(shared, now) else tuple(log[:] for log in shared)
        table.logs[key] = logs
        self._keys += 1
        return logs

    def _has_room(self, table: _Table, now: float) -> bool:
        """Whether one more key has a place, once idle ones of this limit, and of another in turn, have lost theirs."""
        self._sweep(table, now)
        if self._keys >= self._max_keys:
            turn = next(iter(self._tables))
            self._tables.move_to_end(turn)
            self._sweep(self._tables[turn], now)
        return self._keys < self._max_keys

    def _sweep(self, table: _Table, now: float) -> None:
        logs = table.logs
        for _ in range(_SWEPT):
            if not logs:
                return
            oldest = next(iter(logs))
            if not table.idle(logs[oldest], now):
                return
            del logs[oldest]
            self._keys -= 1

    def _new_table(self, windows: tuple[Window, ...], now: float) -> _Table:
        if len(self._tables) >= MAX_LIMITS:
            for each, table in list(self._tables.items()):
                self._sweep(table, now)
                if not table.logs and table.idle(table.overflow, now):
                    del self._tables[each]
            if len(self._tables) >= MAX_LIMITS:
                raise ValueError(f"More than {MAX_LIMITS} different limits are in use at once; use fewer")
        table = self._tables[windows] = _Table(windows)
        return table


def digest(key: str) -> str:
    """A key of any length as 65 characters that are no other key's."""
    return "#" + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def _fresh(rows: tuple[Row, ...]) -> Logs:
    return tuple([array("d", (0.0,)) for _ in rows])


def _charged(rows: tuple[Row, ...], logs: Logs, now: float, wall: Clock) -> Verdict:
    """The verdict on one start now, which is counted where it is allowed."""
    if len(rows) > 1:
        return _charged_in_all(rows, logs, now, wall)
    limit, per, group, window = rows[0]
    log = logs[0]
    first = bisect_right(log, now - per, 1)
    alive = len(log) - first
    left = limit - (alive if group == 1 or not alive else (alive - 1) * group + int(log[0]))
    if left <= 0:
        wait = log[first] + per - now
        return Verdict(False, 0, wall() + wait, wait, window)
    wait = log[_add(log, group, first, now)] + per - now
    return Verdict(True, left - 1, wall() + wait, wait, window)


def _charged_in_all(rows: tuple[Row, ...], logs: Logs, now: float, wall: Clock) -> Verdict:
    """The same for several windows: all of them are charged, or none."""
    refused = _refusal(rows, logs, now, wall)
    if refused is not None:
        return refused
    least, wait, window = 0, 0.0, None
    for (limit, per, group, each), log in zip(rows, logs, strict=True):
        first = bisect_right(log, now - per, 1)
        first = _add(log, group, first, now)
        left = limit - _used(log, first, group)
        if window is None or left < least:
            least, wait, window = left, log[first] + per - now, each
    assert window is not None
    return Verdict(True, least, wall() + wait, wait, window)


def _refusal(rows: tuple[Row, ...], logs: Logs, now: float, wall: Clock) -> Verdict | None:
    """The refusal by the window that is full for longest; None where all have room."""
    longest, window = 0.0, None
    for (limit, per, group, each), log in zip(rows, logs, strict=True):
        if len(log) * group <= limit:
            continue
        first = bisect_right(log, now - per, 1)
        used = _used(log, first, group)
        if used >= limit:
            wait = log[first + (used - limit) // group] + per - now
            if window is None or wait > longest:
                longest, window = wait, each
    return None if window is None else Verdict(False, 0, wall() + longest, longest, window)


def _used(log: Log, first: int, group: int) -> int:
    alive = len(log) - first
    return alive if group == 1 or not alive else (alive - 1) * group + int(log[0])


def _add(log: Log, group: int, first: int, now: float) -> int:
    """Count one start; `first` is where the groups begin that still count, before and, as it is returned, after."""
    if group > 1 and first < len(log) and log[0] < group:
        log[-1] = now
        log[0] += 1
    else:
        log.append(now)
        log[0] = 1.0
    if first > _DEAD and first * 2 > len(log):
        del log[1:first]
        return 1
    return first
