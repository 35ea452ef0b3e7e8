"""A courier: hands what a server tells unasked to one callback, in order and one at a time, whether sync or async.

Knows callbacks, no protocol. A callback that raises is logged and goes on being called; one that
cannot keep up loses the newest, and a warning says so once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

log = logging.getLogger("bascule")

MAX_WAITING = 1000

Callback = Callable[..., Awaitable[None] | None]


class Courier:
    """Calls one callback; at most `limit` calls wait for an earlier one to end."""

    def __init__(self, callback: Callback, limit: int = MAX_WAITING) -> None:
        self._callback = callback
        self._limit = limit
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._warned = False

    def deliver(self, *arguments: Any) -> None:
        """Call the callback with these, now if it is free, otherwise when it is. Never raises."""
        if self._task is None:
            begun = self._begin(arguments)
            if begun is not None:
                self._task = asyncio.get_running_loop().create_task(self._continue(begun))
        elif len(self._waiting) < self._limit:
            self._waiting.append(arguments)
        elif not self._warned:
            self._warned = True
            log.warning("%r is too slow: notifications to it are dropped", self._callback)

    async def finish(self) -> None:
        """Wait until all that was delivered has been handled."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """Drop what waits and cancel what runs."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def _begin(self, arguments: tuple[Any, ...]) -> Awaitable[None] | None:
        try:
            return self._callback(*arguments)
        except Exception:
            log.exception("%r failed on a notification", self._callback)
            return None

    async def _continue(self, begun: Awaitable[None] | None) -> None:
        try:
            while True:
                if begun is not None:
                    await self._end(begun)
                if not self._waiting:
                    return
                begun = self._begin(self._waiting.popleft())
        finally:
            self._task = None

    async def _end(self, begun: Awaitable[None]) -> None:
        try:
            await begun
        except Exception:
            log.exception("%r failed on a notification", self._callback)
