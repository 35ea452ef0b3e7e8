"""An HTTP answer as it comes in over a connection of ours: pieces go in at one end and are read at the other.

Knows pieces; the connection that brings them knows HTTP. What is packed is unpacked in small steps, so that a few bytes
cannot become many at once. Source: RFC 9110, 8.4.
"""

import asyncio
import zlib
from collections.abc import Callable
from typing import Protocol

from bascule.errors import BasculeError
from bascule.transports.http_sender import Peer

_STEP = 64 * 1024
_GZIP = 31
"""What zlib calls gzip with the largest window."""

_PACKED = frozenset({"gzip", "x-gzip"})


class Line(Protocol):
    """The connection that brings an answer."""

    def resume(self) -> None:
        """Read on, where reading was stopped."""
        ...

    def drop(self) -> None:
        """Close the connection."""
        ...


class Answer:
    """A Reply. `on_done` is called once, when no more of it will come."""

    __slots__ = (
        "_begun", "_ended", "_fault", "_on_done", "_patience", "_peer", "_pieces", "_unpacker", "_waiter",
        "cookies", "headers", "line", "reason", "size", "status",
    )  # fmt: skip

    def __init__(self, peer: Peer, patience: float | None, on_done: Callable[[], None] | None) -> None:
        self.status = 0
        self.reason = ""
        self.headers: dict[str, str] = {}
        self.cookies: list[str] = []
        """The values of its Set-Cookie headers."""
        self.size = 0
        """How many bytes wait to be read."""
        self.line: Line | None = None
        """The connection, until it has brought everything."""
        self._peer = peer
        self._patience = patience
        self._on_done = on_done
        self._pieces: list[bytes] = []
        self._begun = self._ended = False
        self._fault: BasculeError | None = None
        self._unpacker: _Unpacker | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def begun(self) -> None:
        """Return when there is something to read. Raises ConnectionLost or CallTimedOut."""
        while not self._begun:
            if self._fault is not None:
                raise self._fault
            await self._more()

    async def next(self) -> bytes:
        """The next piece of the body, unpacked; nothing at its end."""
        while True:
            data = self._taken()
            if data is None:
                await self._more()
            elif self._unpacker is None or (not data and self._unpacker.finished):
                return data
            else:
                try:
                    data = self._unpacker.unpack(data)
                except (zlib.error, EOFError) as wrong:
                    raise self._peer.lost(f"what was packed cannot be unpacked: {wrong}") from None
                if data:
                    return data

    async def close(self) -> None:
        """Let go of it; a connection that still brings it is closed."""
        line, self.line = self.line, None
        if line is not None:
            line.drop()
        self._done()

    def begin(self, status: int) -> None:
        """The head is there."""
        self.status = status
        if self.headers.get("content-encoding", "").strip().lower() in _PACKED:
            self._unpacker = _Unpacker()

    def show(self) -> None:
        """Let the reader have what is there."""
        self._begun = True
        self._wake()

    def add(self, piece: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(piece)
        self.size += len(piece)
        if self._begun:
            self._wake()

    def end(self) -> None:
        """All is there."""
        self._ended = True
        self.line = None
        self._done()
        self.show()

    def fail(self, fault: BasculeError) -> None:
        """No more will come, though something should."""
        self._fault = fault
        self.line = None
        self._done()
        self._wake()

    def _taken(self) -> bytes | None:
        """All that is there; nothing at the end, or where only the unpacker holds some. None where more must come."""
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self.size = 0
            if self.line is not None:
                self.line.resume()
            return data
        if self._ended or (self._unpacker is not None and self._unpacker.holds):
            return b""
        if self._fault is not None:
            raise self._fault
        return None

    async def _more(self) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            if self._patience is None:
                await waiter
            else:
                async with asyncio.timeout(self._patience):
                    await waiter
        except TimeoutError:
            raise self._peer.silent() from None
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _done(self) -> None:
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done()


class _Unpacker:
    """Unpacks a gzip stream, at most so much at once."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._rest = b""
        self._fed = False
        self.holds = False
        """Whether there is more to be had without more to unpack."""

    @property
    def finished(self) -> bool:
        """Whether it has ended, or never began."""
        return self._stream.eof or not self._fed

    def unpack(self, data: bytes) -> bytes:
        """The next step; nothing where more is needed for one. Raises zlib.error, EOFError where it ends too early."""
        if self.finished and self._fed:
            return b""
        if not data and not self.holds:
            raise EOFError("it ends too early")
        self._fed = True
        unpacked = self._stream.decompress(self._rest + data, _STEP)
        self._rest = self._stream.unconsumed_tail
        self.holds = not self._stream.eof and (bool(self._rest) or len(unpacked) == _STEP)
        return unpacked
