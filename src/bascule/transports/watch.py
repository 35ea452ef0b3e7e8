"""While a request waits for something: watching for a client that leaves, and showing life on a stream that is quiet.

Over ASGI only somebody who waits for the next message learns that a client has left; so a task does, from the moment
when the handler first suspends until its answer is ready.
"""

import asyncio

from bascule.engine.exchange import Exchange
from bascule.transports.http_headers import Receive
from bascule.transports.http_reply import Reply


class Beat:
    """Sends a comment on an open stream every `interval` seconds, so that nothing on the way takes it for dead."""

    __slots__ = ("_handle", "_interval", "_loop", "_reply", "_sending")

    def __init__(self, reply: Reply, interval: float) -> None:
        self._reply = reply
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._sending: asyncio.Task[None] | None = None
        self._handle = self._loop.call_later(interval, self._show_life)

    def stop(self) -> None:
        """Send no more."""
        self._handle.cancel()

    def _show_life(self) -> None:
        if self._reply.streaming and (self._sending is None or self._sending.done()):
            self._sending = self._loop.create_task(self._reply.comment())
        self._handle = self._loop.call_later(self._interval, self._show_life)


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
