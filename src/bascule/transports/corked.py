"""A transport that writes once per turn of the loop: head and body of an answer leave in one system call.

Two writes to a socket cost about twice the time of one, and an answer's head never goes without its body. Knows bytes;
knows nothing of HTTP.
"""

import asyncio
from typing import Any

_AT_ONCE = 64 * 1024
"""So many bytes are written without waiting for the turn to end, so that flow control still sees them."""


class CorkedTransport:
    """Gathers what is written in one turn of the loop; everything else is the transport's own."""

    __slots__ = ("_gathered", "_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._gathered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, at the end of this turn at the latest."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._gathered += len(data)
        if self._gathered > _AT_ONCE:
            self.flush()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what was gathered, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Write what was gathered now."""
        parts = self._parts
        if parts:
            self._parts = []
            self._gathered = 0
            if not self._transport.is_closing():
                self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
