"""Watching for a client that leaves while its request runs.

Over ASGI only somebody who waits for the next message learns of it. The watch starts on the loop's next turn, so a
handler that never suspends pays for one callback and no task.
"""

import asyncio

from bascule.engine.exchange import Exchange
from bascule.transports.http_edge import Receive


class Watch:
    """Cancels the current task when the client disconnects, until stopped."""

    __slots__ = ("_exchange", "_handle", "_loop", "_receive", "_task", "_watched")

    def __init__(self, exchange: Exchange, receive: Receive) -> None:
        self._exchange = exchange
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._watched = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self._handle = self._loop.call_soon(self._start)

    def stop(self) -> None:
        """Watch no longer."""
        self._handle.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._exchange.cancelled = True
        if self._watched is not None:
            self._watched.cancel()
