"""Watching an HTTP client: hands every message, and the head that HTTP put before it, to who wants to see them.

Knows requests and responses of httpx2 by its event hooks, so that nothing is asked where nobody watches. An answer is
shown when it has come whole, each event of a stream when it comes, a body that nobody reads by its head alone.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import httpx2

from bascule.engine.connection import MAX_REPLY_BYTES, Head, OnWire
from bascule.engine.framing import EventParser
from bascule.errors import MCPError

PLAIN = {"Accept-Encoding": "identity"}
"""What a watched client asks for, because packed bytes tell nothing."""

_COMMON = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"})
_TELLING = frozenset({"content-type", "location", "mcp-session-id", "retry-after", "www-authenticate"})


def hooks(on_wire: OnWire) -> dict[str, list[Any]]:
    """The event hooks of an httpx2 client that is watched."""

    async def sent(request: httpx2.Request) -> None:
        own = {name: value for name, value in request.headers.items() if name not in _COMMON}
        on_wire(True, request.content, Head(f"{request.method} {request.url}", own))

    async def received(response: httpx2.Response) -> None:
        told = {name: value for name, value in response.headers.items() if name in _TELLING}
        head = Head(f"{response.status_code} {response.reason_phrase}".rstrip(), told)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _WatchedBody(response.stream, on_wire, head)

    return {"request": [sent], "response": [received]}


class _WatchedBody(httpx2.AsyncByteStream):
    """A response's body, shown as it is read."""

    def __init__(self, stream: httpx2.AsyncByteStream, on_wire: OnWire, head: Head) -> None:
        self._stream = stream
        self._on_wire = on_wire
        self._head: Head | None = head
        self._parser = EventParser(MAX_REPLY_BYTES) if _is_events(head.headers) else None
        self._body = bytearray()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._parser is not None:
            self._show(b"")
        chunks = aiter(self._stream)
        try:
            async for chunk in chunks:
                self._take(chunk)
                yield chunk
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        self._show(bytes(self._body))

    async def aclose(self) -> None:
        self._show(bytes(self._body))
        await self._stream.aclose()

    def _take(self, chunk: bytes) -> None:
        if self._parser is None:
            self._body += chunk
            return
        try:
            for event in self._parser.feed(chunk):
                if event.data:
                    self._on_wire(False, event.data, None)
        except MCPError:
            self._parser = None  # the reader finds the same, and says so

    def _show(self, body: bytes) -> None:
        """Show the head, once, with what came after it."""
        head, self._head = self._head, None
        if head is not None:
            self._on_wire(False, body, head)


def _is_events(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("text/event-stream")
