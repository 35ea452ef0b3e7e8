"""One HTTP answer: a JSON document, or an event stream as soon as something must be sent before the result.

Knows ASGI messages and bytes; knows nothing of eras. Whoever finishes it first wins; later writes are dropped.
Source: specification 2026-07-28, basic/transports/streamable-http, "Receiving Messages".
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import UNSET, Raw

from bascule.engine.exchange import Conversation, Principal
from bascule.engine.framing import encode_event
from bascule.errors import InternalError, MCPError, NotAnswered
from bascule.transports.http_headers import Accepted, Message, RawHeaders, Send, headers_of
from bascule.wire.jsonrpc import Request, encode, error_response

log = logging.getLogger("bascule")

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
    """Who sent a request and from where, and the state of the application that answers it."""

    principal: Principal
    state: Mapping[Any, Any]
    address: str = ""


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

    def drop(self) -> None:
        """Keep nothing of the stream: it will not come to its end."""
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
        "_turn",
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
        self._turn: asyncio.Lock | None = None
        """Held by whoever writes to the event stream; None where there is to be none."""
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
        async with self._in_turn():
            await self._start_stream()
            await self._event(data, more=True)

    async def raw(self, event: bytes) -> None:
        """Send an event that is encoded already, and is not recorded again."""
        async with self._in_turn():
            await self._start_stream()
            await self._write(event, more=True)

    async def comment(self) -> None:
        """Send what no reader minds, so that nothing on the way takes the stream for dead."""
        if not self._closed:
            await self.raw(b":\n\n")

    async def release(self, retry: float) -> None:
        """End the connection but not the stream: the client comes back for the rest after `retry` seconds.

        Without effect where the client has got no event to come back from.
        """
        if self.home is None or self._released or self._closed or not self._stream:
            return
        async with self._in_turn():
            await self._start_stream()
            if self._recorder is not None and self._recorder.primes:
                await self._write(b"retry: %d\n\n" % round(retry * 1000), more=False)
                self._released = True

    async def ask(self, method: str, params: Any) -> Raw:
        """Ask the client over this answer. Raises NotAnswered where it takes no event stream, MCPError."""
        if self.home is None or self.conversation is None or not self._stream:
            raise NotAnswered("The client cannot be asked here: it takes no event stream")
        return await self.home.ask(self.conversation, self, method, params)

    async def finish(self, body: bytes, status: int = 200, refused: MCPError | None = None) -> None:
        """Send the result and end the answer. What `refused` says goes into the headers, where there still are any."""
        if self._closed:
            return
        self._closed = True
        if self._turn is not None or (not self._json and status == 200):
            async with self._in_turn():
                await self._start_stream()
                await self._event(body, more=False)
            return
        headers = [_JSON, *self.extra]
        if refused is not None:
            headers += headers_of(refused)
        if self._answer is not None and self._answer(status, headers, body):
            return
        headers.append((b"content-length", b"%d" % len(body)))
        await self._put({"type": "http.response.start", "status": status, "headers": headers})
        await self._put({"type": "http.response.body", "body": body})

    async def refuse(self, error: MCPError) -> None:
        """Answer with an error as JSON, with its HTTP status (400 for one that has none), challenge and wait."""
        self._json = True
        status = max(error.status, 400)
        response = error_response(error)
        if response.id is UNSET:
            response.id = None  # JSON-RPC 2.0, 5: the official Python client drops an error that has no id at all
        await self.finish(encode(response), status, error)

    async def empty(self, status: int) -> None:
        """Answer with no body."""
        if self._closed:
            return
        self._closed = True
        headers = [(b"content-length", b"0"), *self.extra] if status != 204 else list(self.extra)
        await self._put({"type": "http.response.start", "status": status, "headers": headers})
        await self._put({"type": "http.response.body", "body": b""})

    async def end(self) -> None:
        """End the answer without a result: the request was cancelled."""
        if not self._stream and self._turn is None:
            await self.empty(202)
        if self._closed:
            return
        self._closed = True
        if not self._streaming:
            self.home = None  # nobody will come back for nothing
        async with self._in_turn():
            await self._start_stream()
            self._forget()
            await self._write(b"", more=False)

    async def fail(self) -> None:
        """Answer after a failure that nobody foresaw: with an error, or by the end of the stream where there is one."""
        await (self.refuse(InternalError("Internal error", status=500)) if self._turn is None else self.end())

    def abandon(self) -> None:
        """Drop whatever is written from now on: nobody reads it."""
        self._closed = True

    def _in_turn(self) -> asyncio.Lock:
        """What makes those who write to the stream at the same time write one after the other."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        return self._turn

    async def _start_stream(self) -> None:
        if self._streaming:
            return
        await self._put({"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self.extra]})
        self._streaming = True
        if self.home is not None and self.conversation is not None:
            self._recorder = self.home.recorder(self.conversation)
            if self._recorder.primes:
                await self._event(b"", more=True)

    async def _event(self, data: bytes, *, more: bool) -> None:
        """Record and write one event; the last one without `more`. What cannot be recorded is written all the same."""
        event_id = None
        if self._recorder is not None:
            try:
                event_id = await self._recorder.record(data, last=not more)
            except Exception:
                log.exception("an event cannot be kept: its client cannot come back for this stream")
                self._forget()
        await self._write(encode_event(data, event_id), more=more)

    def _forget(self) -> None:
        """Keep no more of this stream, nor what was kept: who comes back for it must not miss something unawares."""
        if self._recorder is not None:
            self._recorder.drop()
            self._recorder = None

    async def _write(self, body: bytes, *, more: bool) -> None:
        if not self._released:
            await self._put({"type": "http.response.body", "body": body, "more_body": more})

    async def _put(self, message: Message) -> None:
        """Hand a message to the server. A client that has left (then ASGI lets `send` raise OSError) gets no more of
        this connection, but may come back for what is recorded."""
        try:
            await self._send(message)
        except OSError:
            self._released = True
