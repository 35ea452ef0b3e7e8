"""A transport that holds the head of an HTTP answer back until the first of its body: both leave in one system call.

Two writes to a socket cost about twice the time of one, and a head is never worth sending alone. Knows what a head
looks like, and that whoever uses it says `flush` when an answer without a body is complete.
"""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "
_INTERIM = b"HTTP/1.1 1"


class CorkedTransport:
    """Holds a head back; everything else is the transport's own."""

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write what was held and this, unless this is a head: then hold it. Interim answers (1xx) are not held."""
        if self._held:
            data = self._held + data
            self._held = b""
        elif data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._held = data
            return
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what is held, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Write what is held: its answer has no body."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
