"""One HTTP answer: a JSON document, or an event stream as soon as something must be sent before the result.

Knows ASGI messages and bytes; knows nothing of eras. Whoever finishes it first wins; later writes are dropped.
Source: specification 2026-07-28, basic/transports/streamable-http, "Receiving Messages".
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Raw

from bascule.engine.exchange import Conversation, Principal
from bascule.engine.framing import encode_event
from bascule.errors import MCPError, NotAnswered
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


class Home(Protocol):
    """Whose conversation a reply is part of: it keeps events for a client that comes back, and carries questions."""

    def recorder(self, conversation: Conversation) -> "Recorder":
        """What keeps the events of one stream."""
        ...

    async def ask(self, conversation: Conversation, reply: "Reply", method: str, params: Any) -> Raw:
        """Send a request over a reply's stream and wait for its result. Raises MCPError and NotAnswered."""
        ...


class Recorder(Protocol):
    """Keeps the events of a stream for a client that comes back. `primes`: whether it wants an empty one at first."""

    primes: bool

    async def record(self, data: bytes, *, last: bool) -> str:
        """Keep one event; returns its id."""
        ...


class Reply:
    """The answer to one request. `extra` headers go along whatever form it takes."""

    __slots__ = (
        "_answer",
        "_closed",
        "_json",
        "_recorder",
        "_released",
        "_send",
        "_stream",
        "_streaming",
        "conversation",
        "extra",
        "home",
    )

    def __init__(self, send: Send, answer: Answer | None = None) -> None:
        self._send = send
        self._answer = answer
        self._json = True
        self._stream = False
        self._streaming = False
        self._closed = False
        self._released = False
        self.extra: RawHeaders = []
        self.conversation: Conversation | None = None
        self.home: Home | None = None
        """Where there is a conversation that may be asked, and come back for the answer."""
        self._recorder: Recorder | None = None

    def takes(self, accepted: Accepted) -> None:
        """What the client has said that it accepts."""
        self._json, self._stream = accepted

    @property
    def streaming(self) -> bool:
        """Whether an event stream has begun."""
        return self._streaming

    async def notify(self, notice: Request) -> None:
        """Send a notification now; dropped where the client takes no stream."""
        if not self._stream or self._closed:
            return
        await self.event(encode(notice))

    async def event(self, data: bytes) -> None:
        """Send one event, opening the stream first; nothing once the answer has ended."""
        if self._closed:
            return
        await self._start_stream()
        await self._event(data, more=True)

    async def raw(self, event: bytes) -> None:
        """Send an event that is encoded already, and is not recorded again."""
        await self._start_stream()
        await self._write(event, more=True)

    async def comment(self) -> None:
        """Send what no reader minds, so that nothing on the way takes the stream for dead."""
        if not self._closed:
            await self._start_stream()
            await self._write(b":\n\n", more=True)

    async def release(self, retry: float) -> None:
        """End the connection but not the stream: the client comes back for the rest after `retry` seconds.

        Without effect where the client has got no event to come back from.
        """
        if self.home is None or self._released or self._closed or not self._stream:
            return
        await self._start_stream()
        if self._recorder is None or not self._recorder.primes:
            return
        await self._write(b"retry: %d\n\n" % round(retry * 1000), more=False)
        self._released = True

    async def ask(self, method: str, params: Any) -> Raw:
        """Ask the client over this answer. Raises NotAnswered where it takes no event stream, MCPError."""
        if self.home is None or self.conversation is None or not self._stream:
            raise NotAnswered("The client cannot be asked here: it takes no event stream")
        return await self.home.ask(self.conversation, self, method, params)

    async def finish(self, body: bytes, status: int = 200) -> None:
        """Send the result and end the answer."""
        if self._closed:
            return
        self._closed = True
        if self._streaming or (not self._json and status == 200):
            await self._start_stream()
            await self._event(body, more=False)
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
        if not self._streaming:
            self.home = None  # nobody will come back for nothing
        await self._start_stream()
        await self._write(b"", more=False)

    def abandon(self) -> None:
        """Drop whatever is written from now on: nobody reads it."""
        self._closed = True

    async def _start_stream(self) -> None:
        if self._streaming:
            return
        self._streaming = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self.extra]})
        if self.home is not None and self.conversation is not None:
            self._recorder = self.home.recorder(self.conversation)
            if self._recorder.primes:
                await self._event(b"", more=True)

    async def _event(self, data: bytes, *, more: bool) -> None:
        """Record and write one event; the last one without `more`."""
        event_id = None if self._recorder is None else await self._recorder.record(data, last=not more)
        await self._write(encode_event(data, event_id), more=more)

    async def _write(self, body: bytes, *, more: bool) -> None:
        if not self._released:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
