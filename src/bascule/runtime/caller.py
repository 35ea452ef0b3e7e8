"""The client's side of a byte stream (stdio, memory): calls out, answers in, many at a time over one stream.

Knows frames and a Stream; does not know what carries the bytes, nor which era they belong to.
Source: the specification, basic/transports/stdio and basic/patterns/cancellation.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from bascule.engine.connection import Stream
from bascule.engine.era import Outbound
from bascule.errors import CallTimedOut
from bascule.runtime.inbox import Inbox
from bascule.wire.jsonrpc import Request, RequestId, encode
from bascule.wire.notices import CANCELLED, CancelledParams

log = logging.getLogger("bascule")

PROBE_TIMEOUT = 5.0

_NEVER_CANCELLED = frozenset({"initialize", "server/discover"})
"""`initialize` must not be cancelled, and a server that is still unknown is not sent what it may not understand."""


class Caller:
    """A Connection over a stream."""

    carries_headers = False

    def __init__(self, stream: Stream, inbox: Inbox, probe_timeout: float = PROBE_TIMEOUT) -> None:
        self.probe_timeout: float | None = probe_timeout
        self._stream = stream
        self._inbox = inbox
        self._link = inbox.link

    @property
    def lost(self) -> bool:
        """Whether the stream has ended."""
        return self._link.lost

    async def start(self) -> None:
        """Open the stream. Raises ConnectionLost where the server cannot be reached."""
        self._inbox.reply = self._stream.write
        await self._stream.start(self._take, self._lose)

    async def call(
        self, method: str, outbound: Outbound, within: float | None, begun: Callable[[RequestId], None] | None = None
    ) -> Raw:
        """Send a request and return its result.

        Raises MCPError (the server's error), CallTimedOut or ConnectionLost. A call that is cut off is cancelled at the
        server by a notification.
        """
        waiter: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        request_id = self._link.next_id()
        line = encode(Request(method, outbound.params, request_id))
        self._link.open(request_id, waiter)
        if begun is not None:
            begun(request_id)
        reason = "The caller was cancelled"
        try:
            async with asyncio.timeout(within):
                self._stream.write(line)
                await self._stream.drain()
                return await waiter
        except TimeoutError:
            reason = "The caller waited too long"
            raise CallTimedOut(f"The server did not answer {method} within {within:g} seconds") from None
        finally:
            if self._link.abandon(request_id) and method not in _NEVER_CANCELLED:
                self._cancel(request_id, reason)

    async def notify(self, method: str, outbound: Outbound) -> None:
        """Send a notification."""
        self._stream.write(encode(Request(method, outbound.params)))
        await self._stream.drain()

    async def listen(self) -> None:
        """All comes on the one stream."""

    async def close(self) -> None:
        """End the stream; calls under way fail with ConnectionLost."""
        self._link.lose("The client was closed")
        await self._stream.close()

    def _take(self, line: bytes) -> None:
        reply = self._inbox.take(line)
        if reply is not None:
            self._stream.write(reply)

    def _lose(self, cause: Exception | None) -> None:
        self._link.lose("The server closed the connection" if cause is None else str(cause))
        self._inbox.tell_end()

    def _cancel(self, request_id: RequestId, reason: str) -> None:
        params: Any = CancelledParams(request_id, reason)
        self._stream.write(encode(Request(CANCELLED, params)))
