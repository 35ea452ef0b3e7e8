"""HTTP with SSE, the transport before Streamable HTTP, client side: one event stream in, messages posted out.

A Stream like any other: its lines are the stream's `message` events. The first event names where to post, which must be
within the origin that the user named, because every post carries the user's headers.
Source: specification 2024-11-05, basic/transports, "HTTP with SSE".
"""

import asyncio
from collections.abc import Callable, Mapping

import httpx2

from bascule.engine.connection import MAX_REPLY_BYTES
from bascule.engine.framing import EventParser
from bascule.errors import BasculeError, CallTimedOut, ConnectionLost, MCPError
from bascule.transports.http_endpoint import CONNECT_TIMEOUT, READ_TIMEOUT, Endpoint
from bascule.transports.http_sender import Reply

MAX_WAITING = 1000
"""How many messages may wait to be posted, before `drain` waits."""

_MAX_ANSWER = 64 * 1024
_ACCEPT = {"Accept": "text/event-stream"}
_POST = {"Content-Type": "application/json", "Accept": "application/json"}


class SseStream:
    """The client's end of a stream to a server at a URL."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        connect_timeout: float | None = CONNECT_TIMEOUT,
        read_timeout: float | None = READ_TIMEOUT,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        """Raises ConfigError for a URL or a header that cannot be sent."""
        self._url = url
        self._user_headers = headers
        self._timeouts = (connect_timeout, read_timeout)
        self._source = Endpoint(url, headers, *self._timeouts)
        self._sink: Endpoint | None = None
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._reply: Reply | None = None
        self._parser = EventParser(max_bytes)
        self._room = asyncio.Event()
        self._on_line: Callable[[bytes], None] | None = None
        self._on_close: Callable[[Exception | None], None] | None = None

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Open the stream and wait for its first event.

        Raises ConnectionLost, CallTimedOut, or MCPError where the server offers no such stream.
        """
        self._on_line, self._on_close = on_line, on_close
        reply = self._reply = await self._source.send("GET", _ACCEPT, patient=True)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        status = reply.status
        if status != 200 or kind != "text/event-stream":
            raise MCPError(
                f"The server at {self._source.origin} offers no event stream (HTTP {status})",
                code=status,
                status=status,
            )
        try:
            async with asyncio.timeout(self._timeouts[1]):
                target = await self._endpoint(reply)
        except TimeoutError:
            raise CallTimedOut(f"The server at {self._source.origin} opened a stream and named no endpoint") from None
        sink = self._sink = self._posts_to(target)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read(reply)), loop.create_task(self._post(sink))]

    def write(self, line: bytes) -> None:
        """Send one message; nothing on a stream that has ended."""
        if self._on_close is not None:
            self._outgoing.put_nowait(line)

    async def drain(self) -> None:
        """Return when few messages wait to be posted, or the stream has ended."""
        while self._outgoing.qsize() > MAX_WAITING and self._on_close is not None:
            self._room.clear()
            await self._room.wait()

    async def close(self) -> None:
        """Close the stream and all connections."""
        self._end(None)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._reply is not None:
            await self._reply.close()
        await self._source.close()
        if self._sink is not None:
            await self._sink.close()

    async def _endpoint(self, reply: Reply) -> str:
        """Where messages are to be posted, as the first event says."""
        while piece := await reply.next():
            for event in self._parser.feed(piece):
                if event.event == "endpoint":
                    return event.data.decode(errors="replace").strip()
        raise ConnectionLost(f"The server at {self._source.origin} ended its stream before it named an endpoint")

    def _posts_to(self, target: str) -> Endpoint:
        try:
            url = str(httpx2.URL(self._url).join(target))
            sink = Endpoint(url, self._user_headers, *self._timeouts)
        except (httpx2.InvalidURL, BasculeError, ValueError):
            raise MCPError(f"The server at {self._source.origin} names an endpoint that is no URL") from None
        if sink.origin != self._source.origin:
            raise MCPError(
                f"The server at {self._source.origin} wants messages sent to another origin, {sink.origin}; "
                "use that URL if you trust it"
            )
        return sink

    async def _read(self, reply: Reply) -> None:
        try:
            while piece := await reply.next():
                for event in self._parser.feed(piece):
                    if event.event in (None, "message") and event.data and self._on_line is not None:
                        self._on_line(event.data)
            self._end(None)
        except BasculeError as wrong:
            self._end(wrong)

    async def _post(self, sink: Endpoint) -> None:
        while True:
            line = await self._outgoing.get()
            self._room.set()
            try:
                reply = await sink.send("POST", _POST, line)
                try:
                    await sink.read(reply, _MAX_ANSWER)
                finally:
                    await reply.close()
                if reply.status >= 400:
                    self._end(ConnectionLost(f"The server refused a message (HTTP {reply.status})"))
                    return
            except BasculeError as wrong:
                self._end(wrong)
                return

    def _end(self, cause: Exception | None) -> None:
        on_close, self._on_close = self._on_close, None
        self._room.set()
        if on_close is not None:
            on_close(cause)
