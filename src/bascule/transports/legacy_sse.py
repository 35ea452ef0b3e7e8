"""HTTP with SSE, the transport before Streamable HTTP, server side: one event stream out, messages posted in.

Each stream is one byte stream of messages, as stdio is: the same pump serves it, and the handshake happens on it.
Nothing is kept once a stream has ended. A client that does not read loses its stream, never the server's memory; one
that leaves cancels what runs for it. Loaded only where the settings switch it on.
Source: specification 2024-11-05, basic/transports, "HTTP with SSE".
"""

import asyncio
import secrets
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote

from bascule.engine.application import Application
from bascule.engine.exchange import Principal
from bascule.engine.framing import encode_event
from bascule.engine.ports import MakeSeal
from bascule.engine.settings import HttpSettings
from bascule.eras.route import StreamRoute
from bascule.errors import Draining, InvalidRequest, NotAdmitted, TooMany
from bascule.runtime.pump import Pump
from bascule.transports.http_edge import read_body
from bascule.transports.http_headers import Headers, Receive, Scope, accepted, check_content_type
from bascule.transports.http_reply import Caller, Reply

STREAM = "/sse"
"""Where a stream is opened, below the mount root."""

MESSAGES = "/messages/"
"""Where the messages of a client are posted, below the mount root."""

MAX_WAITING = 4 * 1024 * 1024
"""How many bytes may wait for a client to read them; one message more, and it loses its stream."""

_SHARE = 0.8
"""The part of the time to shut down that running calls get; the rest is for the end of their streams."""

_HIGH_WATER = 256 * 1024
_COMMENT = b":\n\n"


class LegacyEndpoint:
    """Serves the two paths of the transport for one application."""

    def __init__(self, application: Application, settings: HttpSettings, make_seal: MakeSeal) -> None:
        self._make_seal = make_seal
        self._application = application
        self._max_body = settings.max_body_bytes
        self._max_streams = settings.max_streams
        self._keep_alive = settings.keep_alive_interval
        self._patience = settings.request_timeout
        self._grace = settings.shutdown_timeout * _SHARE
        self._streams: dict[str, Stream] = {}
        self._draining = False

    async def serve(self, scope: Scope, headers: Headers, caller: Caller, reply: Reply, receive: Receive) -> None:
        """Answer one admitted request to either path. Raises MCPError."""
        opens = scope["path"].endswith(STREAM)
        method = "GET" if opens else "POST"
        if scope["method"] != method:
            reply.extra = [*reply.extra, (b"allow", b"%b, OPTIONS" % method.encode())]
            raise NotAdmitted(f"Open a stream with GET {STREAM}; send messages with POST to its endpoint", status=405)
        if opens:
            await self._hold(scope, headers, caller, reply, receive)
        else:
            await self._take(scope, headers, caller, reply, receive)

    def drain(self) -> None:
        """Open no more streams and take no more messages; let what runs finish, then end the streams: the server is
        stopping."""
        self._draining = True
        for stream in self._streams.values():
            stream.drain(self._grace)

    async def _hold(self, scope: Scope, headers: Headers, caller: Caller, reply: Reply, receive: Receive) -> None:
        """Hold one stream open until the client leaves or stops reading, or the server drains."""
        if not accepted(headers).stream:
            raise InvalidRequest("The Accept header must list text/event-stream", status=406)
        if self._draining:
            raise Draining
        if len(self._streams) >= self._max_streams:
            raise TooMany("Too many streams are open; try again later")
        session_id = secrets.token_hex(16)
        stream = self._streams[session_id] = Stream(self._application, caller, self._make_seal)
        try:
            stream.send("endpoint", f"{_root(scope)}{MESSAGES}?session_id={session_id}".encode())
            await _first(self._carry(stream, reply), _disconnected(receive), stream.over.wait())
        finally:
            del self._streams[session_id]
            stream.end()
            await stream.pump.finish(0)
        with suppress(OSError):
            async with asyncio.timeout(self._patience):
                if rest := stream.taken():
                    await reply.raw(rest)
                await reply.end()

    async def _carry(self, stream: "Stream", reply: Reply) -> None:
        """Send what waits, or a comment where nothing does; ends when the client has read nothing for too long."""
        with suppress(OSError):
            while True:
                data = await stream.next(self._keep_alive)
                async with asyncio.timeout(self._patience):
                    await reply.raw(data)

    async def _take(self, scope: Scope, headers: Headers, caller: Caller, reply: Reply, receive: Receive) -> None:
        """Take one message; its answer travels on the stream, also where it cannot be read."""
        check_content_type(headers)
        stream = self._stream_of(scope, caller)
        body = await read_body(receive, headers, self._max_body)
        if stream.over.is_set():
            raise _unknown()
        if self._draining:
            raise Draining
        if stream.pump.full:
            raise TooMany("This stream takes no more requests for now")
        stream.pump.feed(body)
        await reply.empty(202)

    def _stream_of(self, scope: Scope, caller: Caller) -> "Stream":
        """The stream that the query names. Raises NotAdmitted (404) where there is none that this caller opened."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("session_id", [""])
        stream = self._streams.get(given[0])
        if stream is None or not stream.is_of(caller.principal):
            raise _unknown()
        return stream


class Stream:
    """One client's stream: the pump that its messages feed, and what waits to be sent to it."""

    def __init__(self, application: Application, caller: Caller, make_seal: MakeSeal) -> None:
        self.caller = caller
        self.over = asyncio.Event()
        """Set once nothing more is taken or sent."""
        route = StreamRoute(application, make_seal)
        principal, address = caller.principal, caller.address
        self.pump = Pump(application, route, principal, self._write, self._drained, http=True, address=address)
        self.pump.open(caller.state)
        self._draining: asyncio.Task[None] | None = None
        self._waiting: list[bytes] = []
        self._size = 0
        self._news = asyncio.Event()
        self._flowing = asyncio.Event()

    def is_of(self, principal: Principal) -> bool:
        """Whether this principal opened it, with the same scopes: its messages are answered to what it was then."""
        opener = self.caller.principal
        return opener.key == principal.key and opener.scopes == principal.scopes

    def send(self, event: str, data: bytes) -> None:
        """Send one event, soon; ends the stream where too much waits already. Dropped once the stream is over."""
        if self.over.is_set():
            return
        if self._size > MAX_WAITING:
            self.taken()
            self.end()
            return
        encoded = b"event: %b\n%b" % (event.encode(), encode_event(data))
        self._waiting.append(encoded)
        self._size += len(encoded)
        self._news.set()

    async def next(self, patience: float) -> bytes:
        """What waits, as soon as anything does; a comment after `patience` seconds."""
        if not self._waiting:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._news.wait()
        return self.taken() or _COMMENT

    def taken(self) -> bytes:
        """What waits, which then waits no longer."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self._flowing.set()
        return data

    def drain(self, grace: float) -> None:
        """End once what runs has finished, for which it has `grace` seconds."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain(grace))

    async def _drain(self, grace: float) -> None:
        await self.pump.finish(grace)
        self.end()

    def end(self) -> None:
        """Take and send nothing more."""
        self.over.set()
        self._flowing.set()

    def _write(self, line: bytes) -> None:
        self.send("message", line)

    async def _drained(self) -> None:
        """Wait until the client has taken enough of what was sent."""
        while self._size > _HIGH_WATER and not self.over.is_set():
            self._flowing.clear()
            await self._flowing.wait()


async def _first(*ways: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines side by side until one of them ends; the others are cancelled."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _root(scope: Scope) -> str:
    """Where this application is mounted, as part of a URI."""
    return quote(scope.get("root_path", "").rstrip("/"))


def _unknown() -> NotAdmitted:
    return NotAdmitted("There is no such stream, or it has ended; open one with GET " + STREAM, status=404)
