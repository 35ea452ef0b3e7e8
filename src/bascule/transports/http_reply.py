"""One HTTP answer: a JSON document, or an event stream as soon as something must be sent before the result.

Knows ASGI messages and bytes; knows nothing of eras. Whoever finishes it first wins; later writes are dropped.
Source: specification 2026-07-28, basic/transports/streamable-http, "Receiving Messages".
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bascule.engine.exchange import Principal
from bascule.engine.framing import encode_event
from bascule.errors import MCPError
from bascule.transports.http_headers import Accepted, RawHeaders, Send
from bascule.wire.jsonrpc import Request, encode, error_response

ANSWER = "dev.bascule.answer"
"""An extension of the ASGI scope: `answer(status, headers, body)` writes a whole answer at once, without its
content-length among the headers; False means that it could not, and `send` must be used."""

_JSON = (b"content-type", b"application/json")
_STREAM: RawHeaders = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


Answer = Callable[[int, RawHeaders, bytes], bool]


class Caller(NamedTuple):
    """Who sent a request, and the state of the application that answers it."""

    principal: Principal
    state: Mapping[Any, Any]


class Reply:
    """The answer to one request. `extra` headers go along whatever form it takes."""

    __slots__ = ("_answer", "_closed", "_json", "_send", "_stream", "_streaming", "extra")

    def __init__(self, send: Send, answer: Answer | None = None) -> None:
        self._send = send
        self._answer = answer
        self._json = True
        self._stream = False
        self._streaming = False
        self._closed = False
        self.extra: RawHeaders = []

    def takes(self, accepted: Accepted) -> None:
        """What the client has said that it accepts."""
        self._json, self._stream = accepted

    async def notify(self, notice: Request) -> None:
        """Send a notification now; dropped where the client takes no stream."""
        if not self._stream or self._closed:
            return
        await self.event(encode_event(encode(notice)))

    async def event(self, event: bytes) -> None:
        """Send bytes of an event stream, opening it first."""
        await self._start_stream()
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    async def finish(self, body: bytes, status: int = 200) -> None:
        """Send the result and end the answer."""
        if self._closed:
            return
        self._closed = True
        if self._streaming or (not self._json and status == 200):
            await self._start_stream()
            await self._send({"type": "http.response.body", "body": encode_event(body)})
            return
        headers = [_JSON, *self.extra]
        if self._answer is not None and self._answer(status, headers, body):
            return
        headers.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: MCPError) -> None:
        """Answer with an error as JSON, with its HTTP status (400 for one that has none)."""
        self._json = True
        status = max(error.status, 400)
        await self.finish(encode(error_response(error)), status)

    async def empty(self, status: int) -> None:
        """Answer with no body."""
        if self._closed:
            return
        self._closed = True
        headers = [(b"content-length", b"0"), *self.extra] if status != 204 else list(self.extra)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def end(self) -> None:
        """End the answer without a result: the request was cancelled."""
        if not self._stream and not self._streaming:
            await self.empty(202)
        if self._closed:
            return
        self._closed = True
        await self._start_stream()
        await self._send({"type": "http.response.body", "body": b""})

    def abandon(self) -> None:
        """Drop whatever is written from now on: nobody reads it."""
        self._closed = True

    async def _start_stream(self) -> None:
        if self._streaming:
            return
        self._streaming = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self.extra]})
