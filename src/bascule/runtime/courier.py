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
        self._running: asyncio.Future[None] | None = None
        self._warned = False

    def deliver(self, *arguments: Any) -> None:
        """Call the callback with these, now if it is free, otherwise when it is. Never raises."""
        if self._running is None:
            self._begin(arguments)
        elif len(self._waiting) < self._limit:
            self._waiting.append(arguments)
        elif not self._warned:
            self._warned = True
            log.warning("%r is too slow: notifications to it are dropped", self._callback)

    async def finish(self) -> None:
        """Wait until all that was delivered has been handled."""
        while self._running is not None:
            await asyncio.wait([self._running])

    def stop(self) -> None:
        """Drop what waits and cancel what runs."""
        self._waiting.clear()
        if self._running is not None:
            self._running.cancel()

    def _begin(self, arguments: tuple[Any, ...]) -> None:
        try:
            begun = self._callback(*arguments)
        except Exception:
            log.exception("%r failed on a notification", self._callback)
            return
        if begun is not None:
            self._running = asyncio.ensure_future(begun)
            self._running.add_done_callback(self._go_on)

    def _go_on(self, ended: asyncio.Future[None]) -> None:
        self._running = None
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("%r failed on a notification", self._callback, exc_info=error)
        while self._waiting and self._running is None:
            self._begin(self._waiting.popleft())
