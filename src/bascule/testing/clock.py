"""A clock that a test moves by hand.

It is a Clock (called, it tells the time) and has a `sleep` that returns when the clock has been moved far enough. It
may be read, moved and slept on from several threads and event loops at once.
"""

import asyncio
import threading
from typing import NamedTuple


class _Waiter(NamedTuple):
    """Who waits until the time, or the number of sleepers, has reached a mark."""

    mark: float
    loop: asyncio.AbstractEventLoop
    woken: "asyncio.Future[None]"

    def wake(self) -> None:
        self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class ManualClock:
    """A clock that stands still until `advance`; times in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._sleepers: list[_Waiter] = []
        self._watchers: list[_Waiter] = []

    def __call__(self) -> float:
        """The time."""
        return self._now

    @property
    def sleeping(self) -> int:
        """How many sleep on this clock now."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake whoever has slept long enough. Raises ValueError for a step backwards."""
        if seconds < 0:
            raise ValueError(f"A clock goes forward only, not by {seconds:g} seconds")
        with self._lock:
            self._now += seconds
            due = sorted((one for one in self._sleepers if one.mark <= self._now), key=lambda one: one.mark)
            self._sleepers = [one for one in self._sleepers if one.mark > self._now]
        for sleeper in due:
            sleeper.wake()

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been moved forward by so much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with self._lock:
            sleeper = self._waiter(self._now + seconds)
            self._sleepers.append(sleeper)
            content = [one for one in self._watchers if one.mark <= len(self._sleepers)]
        for watcher in content:
            watcher.wake()
        try:
            await sleeper.woken
        finally:
            self._drop(self._sleepers, sleeper)

    async def until_sleeping(self, count: int = 1) -> None:
        """Return when at least so many sleep on this clock: the moment to move it."""
        with self._lock:
            if len(self._sleepers) >= count:
                return
            watcher = self._waiter(count)
            self._watchers.append(watcher)
        try:
            await watcher.woken
        finally:
            self._drop(self._watchers, watcher)

    def _waiter(self, mark: float) -> _Waiter:
        loop = asyncio.get_running_loop()
        return _Waiter(mark, loop, loop.create_future())

    def _drop(self, waiters: list[_Waiter], waiter: _Waiter) -> None:
        with self._lock:
            if waiter in waiters:
                waiters.remove(waiter)
