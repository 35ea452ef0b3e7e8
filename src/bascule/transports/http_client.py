"""Streamable HTTP, client side: one POST a message; the answer is one JSON object or a stream of events.

Knows frames and an Endpoint. Serves both eras: a call that is cut off is cancelled by closing its response, and after a
handshake, where that says nothing, by a notification as well. A session id is kept from `initialize` to `close`. A
stream whose events have ids is gone on with when it ends early.
Source: the specification, basic/transports/streamable-http, and its handshake-era version, "Session Management" and
"Resumability and Redelivery".
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from msgspec import UNSET, Raw

from bascule.engine.answers import received
from bascule.engine.connection import MAX_REPLY_BYTES, OnWire, SessionExpired
from bascule.engine.era import Outbound
from bascule.engine.framing import Event, EventParser
from bascule.errors import BasculeError, CallTimedOut, ConnectionLost, MCPError
from bascule.runtime.inbox import Inbox
from bascule.runtime.pauses import pause_before
from bascule.transports.http_endpoint import CONNECT_TIMEOUT, READ_TIMEOUT, Endpoint
from bascule.transports.http_sender import Reply
from bascule.wire.jsonrpc import Request, RequestId, decode, encode
from bascule.wire.notices import CANCELLED, INITIALIZED, CancelledParams

log = logging.getLogger("bascule")

_SESSION = "Mcp-Session-Id"
_VERSION = "MCP-Protocol-Version"
_INITIALIZE = "initialize"
_ALWAYS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
_MAX_ERROR_BYTES = 1024 * 1024
_OPENING = 2.0
"""Seconds that a handshake waits for the stream on which the server may ask; what it asks before that is lost."""

_LAST_WORDS = 1.0
"""Seconds that closing waits for what is still to be sent, and again for the server to drop the session."""

_RETRY = 1.0
_MAX_RETRY = 30.0
"""Seconds before a stream that ended early is asked for again, where the server does not say, and the most it may."""

_MAX_DIGITS = 9
_FRUITLESS = 5
"""How often in a row a stream may end without a new event before its call fails."""


class _Place:
    """How far an event stream was read, and when the server wants to be asked for the rest."""

    __slots__ = ("last_id", "retry")

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry = _RETRY

    def note(self, event: Event) -> None:
        """Remember what an event says of its stream."""
        if event.id is not None:
            self.last_id = event.id if event.id and event.id.isascii() and event.id.isprintable() else None
        if event.retry is not None:
            self.retry = min(event.retry / 1000, _MAX_RETRY)


class HttpConnection:
    """A Connection over Streamable HTTP."""

    probe_timeout: float | None = None
    carries_headers = True
    lost = False

    def __init__(
        self,
        url: str,
        inbox: Inbox,
        *,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        read_timeout: float | None = READ_TIMEOUT,
        max_bytes: int = MAX_REPLY_BYTES,
        on_wire: OnWire | None = None,
    ) -> None:
        """Raises ConfigError for a URL or a header that cannot be sent. `read_timeout` is for what is no call."""
        self._endpoint = Endpoint(url, headers or {}, connect_timeout, read_timeout, on_wire)
        self._inbox = inbox
        self._link = inbox.link
        self._max_bytes = max_bytes
        self._handshaken = False
        self._session: str | None = None
        self._version: Mapping[str, str] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self._drains: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        """Set once the server has opened, or refused, the stream on which it speaks unasked."""

    async def start(self) -> None:
        """Nothing to open: HTTP connects with the first request."""
        self._inbox.reply = lambda body: self._aside(self._post(body, self._headers(self._version)))

    async def call(
        self, method: str, outbound: Outbound, within: float | None, begun: Callable[[RequestId], None] | None = None
    ) -> Raw:
        """Post a request and return its result.

        Raises the server's error as MCPError, also one that is only an HTTP status (which is its code then),
        CallTimedOut, ConnectionLost, or SessionExpired when the server does not know the session any more.
        """
        waiter: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        request_id = self._link.next_id()
        body = encode(Request(method, outbound.params, request_id))
        self._link.open(request_id, waiter)
        if begun is not None:
            begun(request_id)
        try:
            async with asyncio.timeout(within):
                await self._exchange(method, request_id, waiter, body, outbound.headers)
            return waiter.result()
        except asyncio.CancelledError:
            self._cancel(method, request_id, "The caller was cancelled")
            raise
        except TimeoutError as late:
            self._cancel(method, request_id, "The caller waited too long")
            if isinstance(late, CallTimedOut):
                raise
            raise CallTimedOut(f"The server did not answer {method} within {within:g} seconds") from None
        finally:
            self._link.abandon(request_id)
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # seen, so that it is not reported as lost

    async def notify(self, method: str, outbound: Outbound) -> None:
        """Post a notification. Raises as `call` does where the server refuses it."""
        await self._post(encode(Request(method, outbound.params)), self._headers(outbound.headers))
        if method == INITIALIZED and self._inbox.listened:
            await self.listen()

    async def listen(self) -> None:
        """Hear what a handshake-era server says unasked, on a stream of its own; wait a little for it to open."""
        if not self._handshaken:
            return
        if self._listening is None or self._listening.done():
            self._listening = _run(_quietly(self._listen()), self._drains)
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPENING):
                await self._settled.wait()

    async def close(self) -> None:
        """Say what is still to be said, end the session, and close all connections."""
        self._link.lose("The client was closed")
        try:
            if self._asides:
                await asyncio.wait(self._asides, timeout=_LAST_WORDS)
            await self._end_session()
        finally:
            await _stop(self._asides | self._drains)
            await self._endpoint.close()

    async def _exchange(
        self,
        method: str,
        request_id: RequestId,
        waiter: asyncio.Future[Raw],
        body: bytes,
        headers: Mapping[str, str],
    ) -> None:
        """Post, and read until the waiter has its answer. A stream's remains are read aside, to keep the connection."""
        if method == _INITIALIZE:
            self._session = None
        session = self._session
        reply = await self._endpoint.send("POST", self._headers(headers), body, patient=True)
        streamed = False
        place = _Place()
        try:
            await self._check(reply, session)
            if method == _INITIALIZE:
                self._adopt(reply)
            kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream":
                streamed = True
                await self._read_events(reply, request_id, waiter, place)
            elif kind == "application/json":
                self._take(await self._endpoint.read(reply, self._max_bytes), request_id)
            else:
                raise MCPError(f"The server answered {method} with {kind or 'no content'}, which is no MCP answer")
        finally:
            if streamed and waiter.done():
                _run(_drain(reply), self._drains)
            else:
                await reply.close()
        if not waiter.done() and not streamed:
            raise MCPError(f"The server's reply to {method} is no answer to it")
        if not waiter.done():
            await self._resume(request_id, waiter, place)
        if not waiter.done():
            raise ConnectionLost(f"The server ended its reply to {method} before it answered")

    async def _read_events(
        self, reply: Reply, request_id: RequestId, waiter: asyncio.Future[Raw], place: _Place
    ) -> None:
        """Read until the waiter has its answer, or the stream ends. Raises ConnectionLost where it breaks off and
        cannot be gone on with."""
        parser = EventParser(self._max_bytes)
        try:
            while piece := await reply.next():
                for event in parser.feed(piece):
                    place.note(event)
                    if event.data:
                        self._take(event.data, request_id)
                if waiter.done():
                    return
        except ConnectionLost:
            if place.last_id is None:
                raise

    async def _resume(self, request_id: RequestId, waiter: asyncio.Future[Raw], place: _Place) -> None:
        """Ask for the rest of a stream that ended early, again and again while there is some."""
        fruitless = 0
        while not waiter.done() and place.last_id is not None and fruitless < _FRUITLESS:
            await asyncio.sleep(place.retry)
            before = place.last_id
            headers = {**self._headers(self._version), "Accept": "text/event-stream", "Last-Event-ID": before}
            try:
                reply = await self._endpoint.send("GET", headers, patient=True)
            except ConnectionLost:
                fruitless += 1
                continue
            try:
                await self._check(reply, self._session)
                await self._read_events(reply, request_id, waiter, place)
            finally:
                await reply.close()
            fruitless = 0 if place.last_id != before else fruitless + 1

    async def _listen(self) -> None:
        """Read what a handshake-era server says unasked, where it offers a stream for that, for as long as it does."""
        place, failures = _Place(), 0
        while True:
            try:
                heard = await self._listen_once(place)
            except ConnectionLost:
                heard = False
            if heard is None:
                return
            failures = 0 if heard else failures + 1
            await asyncio.sleep(place.retry if heard else pause_before(failures, _RETRY))

    async def _listen_once(self, place: _Place) -> bool | None:
        """Hold one stream; whether anything came on it. None where the server offers none (any more)."""
        headers = {**self._headers(self._version), "Accept": "text/event-stream"}
        if place.last_id is not None:
            headers["Last-Event-ID"] = place.last_id
        try:
            reply = await self._endpoint.send("GET", headers, patient=True)
        finally:
            self._settled.set()
        heard = False
        try:
            if reply.status != 200:
                return None
            parser = EventParser(self._max_bytes)
            while piece := await reply.next():
                heard = True
                for event in parser.feed(piece):
                    place.note(event)
                    if event.data:
                        self._take(event.data)
        finally:
            await reply.close()
        return heard

    def _take(self, data: bytes, request_id: RequestId | None = None) -> None:
        reply = self._inbox.take(data, request_id)
        if reply is not None:
            self._aside(self._post(reply, self._headers(self._version)))

    def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        headers = {**_ALWAYS, **given}
        if self._session is not None:
            headers[_SESSION] = self._session
        if _VERSION in given:
            self._version = {_VERSION: given[_VERSION]}
        return headers

    def _adopt(self, reply: Reply) -> None:
        """Keep the session that `initialize` has opened."""
        self._handshaken = True
        session = reply.headers.get(_SESSION.lower())
        if session is not None and not (session.isascii() and session.isprintable() and " " not in session):
            raise MCPError("The server's session id is not valid: it must be visible ASCII")
        self._session = session or None

    async def _check(self, reply: Reply, session: str | None) -> None:
        """Raise what a reply that is no success stands for."""
        status = reply.status
        if status < 400:
            return
        if status == 404 and session is not None:
            raise SessionExpired("The server has ended the session")
        try:
            frame = decode(await self._endpoint.read(reply, _MAX_ERROR_BYTES))
        except MCPError:
            frame = None
        wait = _seconds(reply.headers.get("retry-after", ""))
        if frame is not None and frame.error is not UNSET:
            refused = received(frame.error, status)
            if wait is not None:
                refused.retry_after = wait
            raise refused
        phrase = f" {reply.reason}" if reply.reason else ""
        refused = MCPError(
            f"The server at {self._endpoint.origin} answered HTTP {status}{phrase}", code=status, status=status
        )
        refused.retry_after = wait
        raise refused

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Post what has no answer."""
        session = self._session
        reply = await self._endpoint.send("POST", headers, body)
        try:
            await self._check(reply, session)
            await self._endpoint.read(reply, _MAX_ERROR_BYTES)
        finally:
            await reply.close()

    def _cancel(self, method: str, request_id: RequestId, reason: str) -> None:
        if self._handshaken and method != _INITIALIZE and self._link.abandon(request_id):
            params: Any = CancelledParams(request_id, reason)
            self._aside(self._post(encode(Request(CANCELLED, params)), self._headers(self._version)))

    async def _end_session(self) -> None:
        session, headers = self._session, self._headers(self._version)
        self._session = None
        if session is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORDS):
                reply = await self._endpoint.send("DELETE", headers)
                await reply.close()
        except (BasculeError, TimeoutError) as wrong:
            log.debug("the session could not be ended: %s", wrong)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        _run(_quietly(work), self._asides)


def _seconds(text: str) -> float | None:
    """What a Retry-After header says, in seconds; None for a date, which clocks would have to agree on."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else None


def _run(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def _stop(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except BasculeError as wrong:
        log.warning("a message to the server failed: %s", wrong)


async def _drain(reply: Reply) -> None:
    """Read what follows an answer, for a moment: a stream that ends leaves a connection that can be used again."""
    try:
        async with asyncio.timeout(_LAST_WORDS):
            while await reply.next():
                pass
    except (BasculeError, TimeoutError):
        pass
    finally:
        await reply.close()
