"""A transport that writes head and body of an HTTP answer in one system call, and many answers after all the work.

Two writes to a socket cost about twice the time of one, and a head is never worth sending alone: it is held until the
first of its body. While other requests run, that waits for the end of the loop's turn, so that all the work comes first
and all the writing after it, which the processor's caches reward. Knows what a head looks like; whoever uses it says
`complete` when an answer has ended.
"""

import asyncio
from collections.abc import Sized
from typing import Any

_HEAD = b"HTTP/1.1 "
_INTERIM = b"HTTP/1.1 1"
_AT_ONCE = 64 * 1024
"""So many bytes are written without waiting for the turn to end, so that flow control still sees them."""


class CorkedTransport:
    """Gathers what is written; everything else is the transport's own. `running` are all connections' requests."""

    __slots__ = ("_due", "_gathered", "_loop", "_parts", "_running", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, running: Sized) -> None:
        self._transport = transport
        self._loop = loop
        self._running = running
        self._parts: list[bytes] = []
        self._gathered = 0
        self._due = False
        """Whether the end of this turn will write what is gathered."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write with what is held: now, or at the end of this turn while others run. Only a head waits for more."""
        head = not self._parts and data.startswith(_HEAD) and not data.startswith(_INTERIM)
        self._parts.append(data)
        self._gathered += len(data)
        if head or self._due:
            if self._gathered > _AT_ONCE:
                self.flush()
        elif len(self._running) > 1 and self._gathered <= _AT_ONCE:
            self._due = True
            self._loop.call_soon(self.flush)
        else:
            self.flush()

    def answer(self, head: bytes, body: bytes) -> None:
        """Write a whole answer, which ends here."""
        if len(self._running) > 1 or self._parts:
            self.write(head)
            self.write(body)
            self.complete()
        elif len(body) > _AT_ONCE:
            self._transport.write(head)
            self._transport.write(body)
        elif not self._transport.is_closing():
            self._transport.write(head + body)

    def complete(self) -> None:
        """An answer has ended: write what is held of it, where nothing else will."""
        if self._parts and not self._due:
            self.flush()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Write what is held, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Write what is held now."""
        parts, self._parts = self._parts, []
        joined = self._gathered <= _AT_ONCE
        self._gathered = 0
        self._due = False
        if parts and not self._transport.is_closing():
            for data in (b"".join(parts),) if joined else parts:  # copying much costs more than another call
                self._transport.write(data)
