"""A world without time and without I/O: an event loop whose clock jumps, and stores that are slow and fail.

Whatever is random comes from a generator that is handed in, so that the same seed gives the same run.
"""

import asyncio

from bascule.stores.memory import MemoryMarks, MemoryReplay

SECRET = "secret-of-the-disk"


MOST_TURNS = 200_000


class Stuck(Exception):
    """Nothing is ready, and no timer will ever make it so; or there is no end of what is."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop in simulated time: where nothing is ready, it is at once the time of the next timer."""

    def __init__(self, start=1_000_000.0):
        super().__init__()
        self._now = start
        self._selector = self
        self.turns = 0
        self.failures = []
        self.set_exception_handler(lambda loop, context: self.failures.append(context))

    def time(self):
        return self._now

    def select(self, timeout):
        self.turns += 1
        if timeout is None or self.turns > MOST_TURNS:
            raise Stuck
        self._now += timeout
        return ()

    def timers(self):
        """What is still to come."""
        return [handle for handle in self._scheduled if not handle.cancelled()]

    def _process_events(self, events):
        """There are none."""

    def _write_to_self(self):
        """There is no other thread to be woken by."""


class Disk:
    """What a store stands on: it takes its time, and fails now and then, before or after what it was to do."""

    def __init__(self, random, failing, slow):
        self.random = random
        self.failing = failing
        self.slow = slow

    async def work(self, action):
        """Do it, or fail. The slow ones wait for a few turns of the loop, or for seconds."""
        if self.random.random() < self.slow:
            await asyncio.sleep(self.random.choice((0, 0, 0.01, 2)))
        before, after = (self.random.random() < self.failing for _ in range(2))
        kind = self.random.choice((OSError, ConnectionResetError))
        if before:
            raise kind(SECRET)
        outcome = await action()
        if after:
            raise kind(SECRET)
        return outcome


class DiskReplay(MemoryReplay):
    """Events kept on a disk; `failed` is told when some could not be."""

    def __init__(self, disk, clock, failed):
        super().__init__(clock=clock)
        self.disk = disk
        self.failed = failed

    async def append(self, stream, data, *, last=False):
        keep = super().append
        try:
            return await self.disk.work(lambda: keep(stream, data, last=last))
        except OSError:
            self.failed()
            raise

    async def after(self, stream, number):
        read = super().after
        return await self.disk.work(lambda: read(stream, number))

    async def knows(self, stream, number):
        look = super().knows
        return await self.disk.work(lambda: look(stream, number))


class DiskMarks(MemoryMarks):
    """Marks kept on a disk that several processes share."""

    def __init__(self, disk, clock):
        super().__init__(clock=clock)
        self.disk = disk

    async def take(self, mark, until):
        take = super().take
        return await self.disk.work(lambda: take(mark, until))
