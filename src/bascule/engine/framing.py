"""Framing: where one message ends and the next begins, in lines (stdio) and in server-sent events (HTTP).

Knows bytes and nothing of what they mean. Holds no more than the limit it was given, looks at every byte a constant
number of times, and gives the same answer however the bytes were cut into chunks.
Source: the specification, basic/transports/stdio; WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.
"""

from typing import NamedTuple

from bascule.errors import ParseError

HEAD_BYTES = 1024
"""How much of a line that is too long is kept, to see what it was about."""


class TooLong(bytes):
    """Stands among the lines where one was longer than allowed: how it began."""

    __slots__ = ()


_BLANK = b" \t\r"
_BOM = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 9


class LineSplitter:
    """Cuts a byte stream into lines of at most `max_bytes` bytes, the newline not counted."""

    __slots__ = ("_held", "_limit", "_skipping")

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._held = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, in order, without newline and surrounding blanks; blank ones are left out.

        A line that is too long becomes one TooLong as soon as that is known; the rest of it is dropped unread.
        """
        pieces = chunk.split(b"\n")
        rest = pieces.pop()
        lines: list[bytes] = []
        if pieces and (self._held or self._skipping):
            self._finish(pieces.pop(0), lines)
        limit = self._limit
        for piece in pieces:
            if len(piece) > limit:
                lines.append(self._head(piece))
            elif line := piece.strip(_BLANK):
                lines.append(line)
        if rest and not self._skipping:
            self._hold(rest, lines)
        return lines

    def _finish(self, piece: bytes, lines: list[bytes]) -> None:
        if not self._skipping:
            self._hold(piece, lines)
        if line := self._held.strip(_BLANK):
            lines.append(bytes(line))
        self._held = bytearray()
        self._skipping = False

    def _hold(self, piece: bytes, lines: list[bytes]) -> None:
        if len(self._held) + len(piece) > self._limit:
            lines.append(self._head(bytes(self._held[:HEAD_BYTES]) + piece[:HEAD_BYTES]))
            self._held = bytearray()
            self._skipping = True
        else:
            self._held += piece

    def _head(self, line: bytes) -> TooLong:
        return TooLong(line[: min(HEAD_BYTES, self._limit)])


class Event(NamedTuple):
    """One server-sent event; `id` and `retry` (milliseconds) are those of this event alone, `data` may be empty."""

    data: bytes
    event: str | None = None
    id: str | None = None
    retry: int | None = None


def encode_event(data: bytes, event_id: str | None = None, retry: int | None = None) -> bytes:
    """One event as bytes. Raises ValueError for an id with a line break or NUL, which would end or void the field."""
    head = b""
    if event_id is not None:
        if any(forbidden in event_id for forbidden in "\r\n\0"):
            raise ValueError("An event id must hold no line break and no NUL")
        head = b"id: " + event_id.encode() + b"\n"
    if retry is not None:
        head += b"retry: %d\n" % retry
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return head + b"data: " + data + b"\n\n"


class EventParser:
    """Reads server-sent events of at most `max_bytes` bytes each.

    An event is given as soon as its blank line arrives, also one that has no data but an id or a retry time. What
    follows the last blank line when the stream ends is no event, as the standard says.
    """

    __slots__ = ("_after_cr", "_block", "_event", "_held", "_id", "_limit", "_retry", "_size", "_started", "_too_large")

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._held = bytearray()
        self._after_cr = False
        self._started = False
        self._too_large = False
        self._block: list[bytes] = []
        self._size = 0
        self._event: str | None = None
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes, in order.

        Raises ParseError when an event is larger than allowed, after giving out those before it; nothing can be read
        from the stream any more then.
        """
        events: list[Event] = []
        *ended, rest = self._unify(chunk).split(b"\n")
        for piece in ended:
            if self._too_large or self._overflows(piece):
                break
            self._take_line(piece, events)
        if not self._too_large and not self._overflows(rest):
            self._held += rest
        if self._too_large and not events:
            raise ParseError(f"The server sent an event of more than {self._limit} bytes")
        return events

    def _unify(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _overflows(self, piece: bytes) -> bool:
        if self._size + len(self._held) + len(piece) > self._limit:
            self._too_large = True
            self._held = bytearray()
            self._reset()
        return self._too_large

    def _take_line(self, line: bytes, events: list[Event]) -> None:
        if self._held:
            line = bytes(self._held) + line
            self._held = bytearray()
        if not self._started:
            self._started = True
            line = line.removeprefix(_BOM)
        if line:
            self._take_field(line)
        else:
            self._dispatch(events)

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._block.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry = int(value)

    def _dispatch(self, events: list[Event]) -> None:
        if self._block or self._id is not None or self._retry is not None:
            events.append(Event(b"\n".join(self._block), self._event, self._id, self._retry))
        self._reset()

    def _reset(self) -> None:
        self._block = []
        self._size = 0
        self._event = self._id = self._retry = None
