"""A watched stream: hands every message that passes, in either direction, to who wants to see it.

Knows a Stream and nothing of what it carries. Made only where somebody watches, so that it costs nothing otherwise.
"""

from collections.abc import Callable

from bascule.engine.connection import OnWire, Stream


class WatchedStream:
    """A Stream in front of another."""

    def __init__(self, stream: Stream, on_wire: OnWire) -> None:
        self._stream = stream
        self._on_wire = on_wire

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Open the stream, and show each line before it is read."""

        def take(line: bytes) -> None:
            self._on_wire(False, line, None)
            on_line(line)

        await self._stream.start(take, on_close)

    def write(self, line: bytes) -> None:
        """Show one message and send it."""
        self._on_wire(True, line, None)
        self._stream.write(line)

    async def drain(self) -> None:
        """Return when the other end keeps up, or the stream has ended."""
        await self._stream.drain()

    async def close(self) -> None:
        """Close the stream."""
        await self._stream.close()
