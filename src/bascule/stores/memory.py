"""Shared state in this process's memory: the default, bounded in every direction, gone with the process."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from bascule.engine.ports import Recorded

MAX_STREAM_BYTES = 1024 * 1024
MAX_BYTES = 64 * 1024 * 1024
MAX_STREAMS = 10_000
MAX_MARKS = 100_000
KEPT_FOR = 300.0
"""Seconds for which the events of a stream can be fetched after its end."""


class _Stream:
    """The events of one stream that are still kept, in order; `dropped` is the number of the last one that is not."""

    __slots__ = ("changed", "dropped", "ended", "events", "number", "size")

    def __init__(self, number: int) -> None:
        self.events: list[Recorded] = []
        self.number = number
        self.dropped = number
        self.size = 0
        self.ended = False
        self.changed = asyncio.Event()


class MemoryReplay:
    """The events of event streams, for clients that come back. The oldest go first where there are too many.

    A stream that has not ended is kept for as long as it takes: its client was let go for a long call, perhaps.
    """

    def __init__(
        self,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        max_bytes: int = MAX_BYTES,
        max_streams: int = MAX_STREAMS,
        kept_for: float = KEPT_FOR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_stream_bytes = max_stream_bytes
        self._max_bytes = max_bytes
        self._max_streams = max_streams
        self._kept_for = kept_for
        self._clock = clock
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()
        """The streams that have ended, in the order of their ends, and when that was."""
        self._floor = 0
        """New streams begin after this number: one that was forgotten before its end gives none of its own again."""
        self.size = 0
        """Bytes of all events that are kept."""

    def __len__(self) -> int:
        return len(self._streams)

    async def append(self, stream: str, data: bytes, *, last: bool = False) -> int:
        """Keep one event; returns its number, from 1. The `last` one ends the stream."""
        now = self._clock()
        self._forget_old(now)
        found = self._streams.get(stream)
        if found is None:
            found = self._streams[stream] = _Stream(self._floor)
        self._streams.move_to_end(stream)
        found.number += 1
        found.events.append(Recorded(found.number, data))
        if last:
            found.ended = True
            self._ended[stream] = now
        found.size += len(data)
        self.size += len(data)
        while found.size > self._max_stream_bytes and len(found.events) > 1:
            self._drop(found)
        while len(self._streams) > self._max_streams or (self.size > self._max_bytes and len(self._streams) > 1):
            self._forget()
        found.changed.set()
        return found.number

    async def after(self, stream: str, number: int) -> list[Recorded] | None:
        """The events after one, waited for where there is none yet; empty at the end, None where they are not kept."""
        while True:
            found = self._streams.get(stream)
            if found is None or not found.dropped <= number <= found.number:
                return None
            if number < found.number:
                return [event for event in found.events if event.number > number]
            if found.ended:
                return []
            found.changed.clear()
            await found.changed.wait()

    async def knows(self, stream: str, number: int) -> bool:
        """Whether all events after this one are still kept, or will be."""
        self._forget_old(self._clock())
        found = self._streams.get(stream)
        return found is not None and found.dropped <= number <= found.number

    def forget(self, prefix: str) -> None:
        """Drop all streams whose name begins so."""
        for name in [name for name in self._streams if name.startswith(prefix)]:
            self._remove(name)

    def _drop(self, stream: _Stream) -> None:
        gone = stream.events.pop(0)
        stream.dropped = gone.number
        stream.size -= len(gone.data)
        self.size -= len(gone.data)

    def _forget_old(self, now: float) -> None:
        while self._ended:
            name, when = next(iter(self._ended.items()))
            if when > now - self._kept_for:
                return
            self._remove(name)

    def _forget(self) -> None:
        self._remove(next(iter(self._streams)))

    def _remove(self, name: str) -> None:
        gone = self._streams.pop(name)
        self._ended.pop(name, None)
        if not gone.ended:
            self._floor = max(self._floor, gone.number)
        self.size -= gone.size
        gone.changed.set()


class MemoryMarks:
    """Marks of this process. Where there are too many to remember, none is given: what may happen once does not."""

    def __init__(self, max_marks: int = MAX_MARKS, clock: Callable[[], float] = time.time) -> None:
        self._taken: OrderedDict[str, float] = OrderedDict()
        self._max = max_marks
        self._clock = clock

    async def take(self, mark: str, until: float) -> bool:
        """Take a mark; False where it was taken before, or cannot be remembered."""
        now = self._clock()
        while self._taken and next(iter(self._taken.values())) < now:
            self._taken.popitem(last=False)
        if mark in self._taken or len(self._taken) >= self._max:
            return False
        self._taken[mark] = until
        return True
