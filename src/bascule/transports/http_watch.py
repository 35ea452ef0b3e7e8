"""Watching an HTTP client: hands every message, and the head that HTTP put before it, to who wants to see them.

Knows a Sender and its replies; nothing is asked where nobody watches. An answer is shown when it has come whole, each
event of a stream when it comes, a body that nobody reads by its head alone.
"""

from collections.abc import Mapping

from bascule.engine.connection import MAX_REPLY_BYTES, Head, OnWire
from bascule.engine.framing import EventParser
from bascule.errors import MCPError
from bascule.transports.http_sender import Asked, Reply, Sender

_COMMON = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"})
_TELLING = frozenset({"content-type", "location", "mcp-session-id", "retry-after", "www-authenticate"})


class Watched:
    """A Sender whose messages are shown; `headers` are those of all its requests."""

    def __init__(self, sender: Sender, headers: Mapping[str, str], on_wire: OnWire) -> None:
        self._sender = sender
        self._headers = headers
        self._on_wire = on_wire

    async def send(self, asked: Asked) -> Reply:
        """As Sender promises."""
        named = {name.lower(): value for name, value in (*self._headers.items(), *asked.headers.items())}
        own = {name: value for name, value in named.items() if name not in _COMMON}
        self._on_wire(True, asked.body or b"", Head(f"{asked.method} {asked.url}", own))
        reply = await self._sender.send(asked)
        told = {name: value for name, value in reply.headers.items() if name in _TELLING}
        return _WatchedReply(reply, self._on_wire, Head(f"{reply.status} {reply.reason}".rstrip(), told))

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()


class _WatchedReply:
    """A reply, shown as it is read."""

    def __init__(self, reply: Reply, on_wire: OnWire, head: Head) -> None:
        self.status = reply.status
        self.reason = reply.reason
        self.headers = reply.headers
        self._reply = reply
        self._on_wire = on_wire
        self._head: Head | None = head
        self._parser = EventParser(MAX_REPLY_BYTES) if _is_events(head.headers) else None
        self._body = bytearray()

    async def next(self) -> bytes:
        """The next piece of the body; nothing at its end."""
        if self._parser is not None:
            self._show(b"")
        piece = await self._reply.next()
        if piece:
            self._take(piece)
        else:
            self._show(bytes(self._body))
        return piece

    async def close(self) -> None:
        """Let go of it."""
        self._show(bytes(self._body))
        await self._reply.close()

    def _take(self, piece: bytes) -> None:
        if self._parser is None:
            self._body += piece
            return
        try:
            for event in self._parser.feed(piece):
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
