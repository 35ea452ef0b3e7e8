"""Watching for a client that leaves while its request waits for something.

Over ASGI only somebody who waits for the next message learns of it; so a task does, from the moment when the handler
first suspends until its answer is ready.
"""

import asyncio

from bascule.engine.exchange import Exchange
from bascule.transports.http_headers import Receive
from bascule.transports.http_reply import Reply


class Watch:
    """Cancels the current task when the client disconnects, until stopped.

    Meanwhile an open stream carries a comment every `interval` seconds, so that nothing on the way takes it for dead.
    """

    __slots__ = ("_beat", "_exchange", "_interval", "_loop", "_receive", "_reply", "_task", "_watched")

    def __init__(self, exchange: Exchange, receive: Receive, reply: Reply, interval: float) -> None:
        self._exchange = exchange
        self._receive = receive
        self._reply = reply
        self._interval = interval
        self._watched = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())
        self._beat = self._loop.call_later(interval, self._show_life)

    def stop(self) -> None:
        """Watch no longer."""
        self._task.cancel()
        self._beat.cancel()

    def _show_life(self) -> None:
        if self._reply.streaming:
            self._reply.beating = self._loop.create_task(self._reply.comment())
        self._beat = self._loop.call_later(self._interval, self._show_life)

    async def _run(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._exchange.cancelled = True
        if self._watched is not None:
            self._watched.cancel()
