"""Counters in Redis, for several processes together: sliding windows on the server's clock, one script a charge.

While Redis answers, it decides. A caller that it has refused is not asked about again before its time. What it allows
is noted in this process too. When Redis does not answer in time, `fail` decides at once, with no waiting and no
exception for each call, while a task of its own looks whether Redis is back:

    local    this process counts by itself, with what it has noted: N processes allow at most N times the limit
    closed   every call is refused
    open     every call is allowed, without a bound

Having come back, Redis may have lost its counts; for the length of a window, this process holds to its own notes as
well. So the bound of `local` holds throughout, and after `closed` at most twice the limit has started in a window.
A time-out may leave a charge counted that was decided by `fail`.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from bascule.engine.policy import Window
from bascule.engine.ports import Clock, Verdict
from bascule.engine.settings import Fail
from bascule.stores.limits_link import Command, Link, Reply, charge
from bascule.stores.limits_memory import MAX_KEYS, MemoryCounters, rows

log = logging.getLogger("bascule")

TIMEOUT = 0.05
_CONNECT = 2.0
"""Seconds in which a connection must be made while nobody waits for it."""

_BATCH = 256
"""How many charges go out at once."""

_SHORTEST, _LONGEST = 0.05, 2.0
"""Seconds between two looks whether Redis is back: each pause is twice the one before."""

_STEADY = 10.0
"""Seconds after which Redis counts as being back for good."""

_IDLE = 1.0
"""Seconds after which it is looked whether the server has closed the connection, before anything is sent on it."""

_STALL = 0.01
"""Seconds by which a timer may be late before it counts as this process that stood still."""

_CLOSED = 1.0
"""Seconds after which a caller that is refused for want of Redis may try again."""

_PREFIX = "bascule:limits:1:"
"""Before every key; the number is that of the format of the logs."""


class _Plan(NamedTuple):
    """What the script is told of windows, how their logs are named behind a key, and the seconds of the longest."""

    names: tuple[str, ...]
    arguments: tuple[int, ...]
    span: float


class _Known(NamedTuple):
    """A caller that Redis has refused, and until when, by this process's clock."""

    until: float
    reset_at: float
    window: Window


class _Waiting(NamedTuple):
    """A charge that waits for its reply; `noted` is what this process has said of it already."""

    future: "asyncio.Future[Reply | None]"
    command: Command
    key: str
    windows: tuple[Window, ...]
    noted: Verdict | None


class RedisCounters:
    """Counts starts in the Redis at `url`, which has `timeout` seconds to answer. Raises ConfigError for a wrong URL.

    `max_keys` bounds what is noted in this process. `clock` tells seconds that never go back, `wall` those since the
    epoch.
    """

    def __init__(
        self,
        url: str,
        fail: Fail = "local",
        timeout: float = TIMEOUT,
        max_keys: int = MAX_KEYS,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self._link = Link(url)
        self._fail = fail
        self._timeout = timeout
        self._max_keys = max_keys
        self._clock = clock
        self._wall = wall
        self._notes = MemoryCounters(max_keys, clock, wall)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._waiting: list[_Waiting] = []
        self._pump: asyncio.Task[None] | None = None
        self._search: asyncio.Task[None] | None = None
        self._back = -math.inf
        self._used = -math.inf
        self._pause = _SHORTEST
        self._closed = False
        self.down = False
        """Whether `fail` decides."""

    async def charge(self, key: str, windows: tuple[Window, ...]) -> Verdict:
        """Count one start in every window, or in none where one is full."""
        name, plan, asked = _named(key), _plan(windows), self._clock()
        known = self._known.get(name + plan.names[0])
        if known is not None:
            if known.until > asked:
                return Verdict(False, 0, known.reset_at, known.until - asked, known.window)
            del self._known[name + plan.names[0]]
        if self.down:
            return self._decided(key, windows)
        noted = self._notes.take(key, windows) if asked - self._back < plan.span else None
        if noted is not None and not noted.allowed:
            return noted
        reply = await self._ask(charge(_keys(name, plan), plan.arguments), key, windows, noted)
        if reply is None:
            return noted if noted is not None and self._fail == "local" else self._decided(key, windows)
        allowed, remaining, wait, place, now = reply
        window = windows[place - 1]
        if not allowed:
            self._remember(name + plan.names[0], _Known(asked + wait / 1e6, (now + wait) / 1e6, window), asked)
        return Verdict(bool(allowed), remaining, (now + wait) / 1e6, wait / 1e6, window)

    async def close(self) -> None:
        """Close the connection for good; from now on, and for those who wait, `fail` decides."""
        self._closed = self.down = True
        for task in (self._search, self._pump):
            if task is not None:
                task.cancel()
        self._give_up([])
        await self._link.drop()

    def _remember(self, name: str, known: _Known, now: float) -> None:
        for _ in range(2):
            if self._known and next(iter(self._known.values())).until <= now:
                self._known.popitem(last=False)
        if len(self._known) < self._max_keys:
            self._known[name] = known

    def _decided(self, key: str, windows: tuple[Window, ...]) -> Verdict:
        """What holds while Redis cannot be asked."""
        self._seek()
        if self._fail == "local":
            return self._notes.take(key, windows)
        if self._fail == "open":
            return Verdict(True, windows[0].limit, self._wall(), 0.0, windows[0], False)
        return Verdict(False, 0, self._wall() + _CLOSED, _CLOSED, windows[0], False)

    def _ask(
        self, command: Command, key: str, windows: tuple[Window, ...], noted: Verdict | None
    ) -> "asyncio.Future[Reply | None]":
        """The reply to come; None where Redis does not give one in time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply | None] = loop.create_future()
        self._waiting.append(_Waiting(future, command, key, windows, noted))
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        """Ask for all that wait, until nobody waits. One failure ends it for all of them."""
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                replies = await self._replies([one.command for one in batch])
                for one, reply in zip(batch, replies, strict=True):
                    if reply[0] and one.noted is None:
                        self._notes.note(one.key, one.windows)  # here, before anything else can be decided by the notes
                    if not one.future.done():
                        one.future.set_result(reply)
        except Exception as error:
            self._fall(error)
        finally:
            self._give_up(batch)
        if self.down:
            await self._link.drop()

    async def _replies(self, commands: list[Command]) -> list[Reply]:
        """What Redis says, in time. Raises whatever went wrong."""
        now = self._clock()
        idle, self._used = now - self._used > _IDLE, now
        async with asyncio.timeout(None) as limit:
            watch = _Watch(limit, self._timeout)
            try:
                if idle:
                    await self._link.refresh()
                return await self._link.run(commands)
            finally:
                watch.end()

    def _give_up(self, batch: list[_Waiting]) -> None:
        left, self._waiting = [*batch, *self._waiting], []
        for one in left:
            if not one.future.done():
                one.future.set_result(None)

    def _fall(self, error: Exception) -> None:
        now = self._clock()
        self._pause = _SHORTEST if now - self._back >= _STEADY else min(self._pause * 2, _LONGEST)
        self.down = True
        log.warning("Redis does not count rate limits (%s); what holds is fail = %s", type(error).__name__, self._fail)

        self._seek()

    def _seek(self) -> None:
        """See that somebody looks whether Redis is back."""
        if not self._closed and (self._search is None or self._search.done()):
            self._search = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        """Ask Redis again and again, until it answers in time."""
        while self.down:
            await asyncio.sleep(self._pause)
            try:
                async with asyncio.timeout(_CONNECT):
                    await self._link.drop()
                    await self._link.open()
                await self._replies([_PROBE])
            except Exception:
                self._pause = min(self._pause * 2, _LONGEST)
            else:
                self._back = self._clock()
                self.down = False
                log.warning("Redis counts rate limits again")


class _Watch:
    """Ends a wait after some seconds. Begins anew, once, where this process stood still rather than Redis."""

    __slots__ = ("_again", "_due", "_handle", "_limit", "_loop", "_seconds")

    def __init__(self, limit: asyncio.Timeout, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._again = True
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + seconds
        self._handle = self._loop.call_at(self._due, self._overdue)

    def _overdue(self) -> None:
        now = self._loop.time()
        if self._again and now - self._due > _STALL:
            self._again = False
            self._due = now + self._seconds
            self._handle = self._loop.call_at(self._due, self._overdue)
        else:
            self._limit.reschedule(now)

    def end(self) -> None:
        self._handle.cancel()


@lru_cache(1024)
def _plan(windows: tuple[Window, ...]) -> _Plan:
    rate = "+".join(f"{limit}/{per!r}" for limit, per in windows)
    arguments = [(row.limit, max(round(row.per * 1e6), 1), row.group) for row in rows(windows)]
    names = tuple(f":{rate}:{place}" for place in range(len(windows)))
    span = max(window.per for window in windows)
    return _Plan(names, tuple(number for each in arguments for number in each), span)


def _named(key: str) -> str:
    """The key as Redis knows it: a digest, and one hash tag, so that all its logs are in one place."""
    return f"{_PREFIX}{{{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}}}"


def _keys(name: str, plan: _Plan) -> tuple[str, ...]:
    return tuple([name + each for each in plan.names])


_PROBE_PLAN = _plan((Window(1_000_000, 1.0),))
_PROBE = charge(_keys(f"{_PREFIX}{{probe}}", _PROBE_PLAN), _PROBE_PLAN.arguments)
