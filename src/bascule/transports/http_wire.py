"""One HTTP/1.1 connection to a server: a request goes out, its answer comes in; then the next.

Knows bytes and an Answer; the parser is httptools. A connection that broke off, or has brought anything that nobody
asked for, is not used again. What is no content (heads, interim answers, trailers) is bounded; content that nobody
reads stops the reading.
Source: RFC 9112; RFC 9110, 15.2.
"""

import asyncio
import select
import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

import httptools

from bascule.errors import BasculeError
from bascule.transports.http_answer import Answer
from bascule.transports.http_sender import Peer

MAX_HEAD = 64 * 1024
"""Bytes of heads, and again of what else is no content, that are read before a server is given up; one more reading of
the socket may have come by then."""

MAX_HEADERS = 256
"""Headers of one answer, and of the interim ones before it."""

HIGH = 256 * 1024
"""Bytes that may wait to be read, before the server has to wait."""

_SWITCHED = 101
_SUCCESS = 200


class Owner(Protocol):
    """Who keeps connections."""

    def opened(self, wire: "Wire") -> None:
        """It can be used."""
        ...

    def freed(self, wire: "Wire") -> None:
        """It can be used again."""
        ...

    def gone(self, wire: "Wire") -> None:
        """It has ended."""
        ...


class Wire(asyncio.Protocol):
    """A connection, and what `owner` is told of it."""

    def __init__(self, peer: Peer, owner: Owner) -> None:
        self.idle_since = 0.0
        self._peer = peer
        self._owner = owner
        self._answer: Answer | None = None
        self._beside = 0
        """Bytes since the last piece of content, or since the request."""
        self._headers = 0
        self._in_body = self._to_the_end = self._reusable = self._excess = self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser: Any = httptools.HttpResponseParser(self)
        self._readable = _watch(transport.get_extra_info("socket").fileno())
        self._owner.opened(self)

    def usable(self) -> bool:
        """Whether it is open, and nothing waits in it: that would be its end, or what nobody asked for."""
        return not self._transport.is_closing() and not self._readable()

    def ask(self, request: bytes, answer: Answer) -> bool:
        """Send a request. False where the connection has ended and the server cannot have got all of it."""
        self._answer = answer
        self._beside = self._headers = 0
        answer.line = self
        self._transport.write(request)
        if not self._transport.is_closing():
            return True
        self._answer = answer.line = None
        return False

    def resume(self) -> None:
        """Read on, where reading was stopped."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def drop(self) -> None:
        """Close it at once, whatever it does."""
        self._answer = None
        self._transport.abort()

    def break_off(self, fault: BasculeError) -> None:
        """Close it; what it still brings fails."""
        answer = self._answer
        self.drop()
        if answer is not None:
            answer.fail(fault)

    def data_received(self, data: bytes) -> None:
        """Read."""
        if self._answer is None:
            self.drop()
            return
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as wrong:
            self.break_off(self._peer.lost(f"what it sent is not HTTP: {wrong.__context__ or wrong}"))
            return
        self._go_on()

    def _go_on(self) -> None:
        """After each reading: the answer may be there whole."""
        if self._answer is not None:
            if self._beside > MAX_HEAD:
                self.break_off(self._peer.lost(f"the head of its answer is longer than {MAX_HEAD} bytes"))
        elif self._reusable and not self._excess:
            self.resume()
            self._owner.freed(self)
        else:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end, which for an answer without a length is that of the answer."""
        answer, self._answer = self._answer, None
        self._parser = None  # which holds this object
        if answer is not None:
            if self._in_body and self._to_the_end and exc is None:
                answer.end()
            else:
                when = "in the middle of its answer" if answer.status else "without an answer"
                answer.fail(self._peer.lost(f"the server closed it {when}" if exc is None else str(exc)))
        self._owner.gone(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._in_body = False
        self._excess = self._answer is None

    def on_status(self, status: bytes) -> None:
        if self._answer is not None:
            self._answer.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer is None or self._in_body:  # a trailer
            return
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise ValueError(f"it has more than {MAX_HEADERS} headers")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "set-cookie":
            answer.cookies.append(text)
        answer.headers[key] = f"{answer.headers[key]}, {text}" if key in answer.headers else text

    def on_headers_complete(self) -> None:
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None:
            return
        if status == _SWITCHED:
            raise ValueError("it switches protocols unasked")
        if status < _SUCCESS:
            answer.headers.clear()
            answer.cookies.clear()
            answer.reason = ""
            return
        headers = answer.headers
        self._in_body = True
        self._beside = 0
        self._to_the_end = "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "")
        answer.begin(status)
        if "content-length" not in headers or headers.get("content-type", "").startswith("text/event-stream"):
            answer.show()  # anything else is soon there whole, and its reader is woken once

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        self._beside = 0
        answer.add(body)
        if answer.size > HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            answer.show()

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and self._in_body:
            self._answer = None
            self._reusable = self._parser.should_keep_alive()
            answer.end()


def _watch(fd: int) -> Callable[[], bool]:
    """Tells whether a socket has something to read, or has ended."""
    if sys.platform == "win32":
        return lambda: bool(select.select([fd], [], [], 0)[0])
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return lambda: bool(poller.poll(0))
