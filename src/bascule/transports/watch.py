"""Watching for a client that leaves while its request waits for something.

Over ASGI only somebody who waits for the next message learns of it; so a task does, from the moment when the handler
first suspends until its answer is ready.
"""

import asyncio

from bascule.engine.exchange import Exchange
from bascule.transports.http_headers import Receive


class Watch:
    """Cancels the current task when the client disconnects, until stopped."""

    __slots__ = ("_exchange", "_receive", "_task", "_watched")

    def __init__(self, exchange: Exchange, receive: Receive) -> None:
        self._exchange = exchange
        self._receive = receive
        self._watched = asyncio.current_task()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Watch no longer."""
        self._task.cancel()

    async def _run(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._exchange.cancelled = True
        if self._watched is not None:
            self._watched.cancel()
