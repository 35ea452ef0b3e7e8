"""HTTP/1.1 messages, as far as a proxy on loopback must understand them: heads, and where a body ends.

Source: RFC 9112.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

LIMIT = 1024 * 1024
"""How long a head may be, in bytes."""

_CHUNK = 64 * 1024
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "te", "trailer"})

Headers = Sequence[tuple[str, str]]


class Head(NamedTuple):
    """The first line of a message, and its headers with names in lower case."""

    line: str
    headers: Headers

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.line.partition(" ")[0]

    @property
    def status(self) -> int:
        """The status of an answer. Raises ValueError where it has none."""
        return int(self.line.split(" ", 2)[1])

    def get(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for known, value in self.headers if known == name), None)

    def encoded(self, headers: Headers) -> bytes:
        """The first line, with these headers."""
        lines = [self.line, *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The head of the next message; None where the other side has said nothing more.

    Raises ValueError for what is no head, EOFError for half of one.
    """
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if not cut.partial:
            return None
        raise
    except asyncio.LimitOverrunError as long:
        raise ValueError("a head is too long") from long
    line, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    fields = [field.partition(":") for field in lines]
    return Head(line, [(name.strip().lower(), value.strip()) for name, _, value in fields])


async def body_of(reader: asyncio.StreamReader, head: Head, *, request: bool = False) -> AsyncIterator[bytes]:
    """The body that follows a head, in the pieces in which it comes.

    Raises EOFError where it is cut, ValueError where it is malformed. A request without a length has no body, an answer
    without one ends with the connection.
    """
    length = head.get("content-length")
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        while size := int((await reader.readline()).partition(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
    elif length is not None:
        left = int(length)
        while left:
            part = await reader.read(min(left, _CHUNK))
            if not part:
                raise EOFError
            left -= len(part)
            yield part
    elif not request and head.status not in {204, 304}:
        while part := await reader.read(_CHUNK):
            yield part


def without_framing(headers: Headers) -> list[tuple[str, str]]:
    """The headers that say something of the message, not of the connection that it came on."""
    return [(name, value) for name, value in headers if name not in _FRAMING]
