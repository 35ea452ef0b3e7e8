"""uvicorn with what it lacks: a limit on headers, and an end to clients that send or read too slowly.

One sweep a second looks at all connections; a request that arrives whole costs no timer.
"""

import asyncio
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bascule.engine.settings import HttpSettings
from bascule.transports.corked import CorkedTransport
from bascule.transports.http_server import HttpServer

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICKS_A_SECOND = 10
_UPGRADE = re.compile(rb"\r\n[Uu]pgrade:")


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `slow_since` and `stalled_since` are loop times, 0 where the client keeps up."""

    max_header_bytes = 64 * 1024

    def connection_made(self, transport: Any) -> None:
        self._corked = CorkedTransport(transport, self.loop, self.tasks)
        super().connection_made(cast("asyncio.Transport", self._corked))
        self._receiving = self._in_head = True
        self._deaf = False
        self._idle_bytes = 0
        """Bytes that came since the last head or piece of a body was complete: of heads, trailers, chunk extensions."""
        self.slow_since = self.loop.time()
        self.stalled_since = 0.0

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head and b"pgrade:" in data:
            data = _without_upgrade(data)
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > self.max_header_bytes and self._receiving:
            self.refuse(b"431 Request Header Fields Too Large")
        elif not self._receiving:
            self.slow_since = 0.0
        elif not self.slow_since:
            self.slow_since = self.loop.time()

    def eof_received(self) -> None:
        """The client sends no more: what was answered so far leaves before the connection is closed."""
        self._corked.flush()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but a trailer is no header: it is dropped (RFC 9110, 6.5.1)."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._idle_bytes > self.max_header_bytes:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self.max_header_bytes:
                return  # still in the head: `data_received` refuses
        self._in_head = False
        self._idle_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._in_head:
            self._idle_bytes = 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:
            return
        self._receiving = False
        self._idle_bytes = 0
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        self._corked.complete()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since = 0.0
        super().resume_writing()

    def refuse(self, status: bytes) -> None:
        """Answer with a bare status and close; just close where an answer is being written."""
        self._deaf = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """The parser takes the body for another protocol: nothing more of this connection is read."""
        self._deaf = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None:
            cycle.keep_alive = False


class UvicornServer(uvicorn.Server):
    """Runs one HttpServer until a signal arrives; then drains it."""

    def __init__(self, application: HttpServer, settings: HttpSettings) -> None:
        self._application = application
        self._timeout = settings.request_timeout
        self._grace = settings.shutdown_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        protocol = type("Protocol", (GuardedProtocol,), {"max_header_bytes": settings.max_header_bytes})
        super().__init__(
            uvicorn.Config(
                application,
                http=protocol,
                ws="none",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                limit_concurrency=settings.max_connections,
                timeout_keep_alive=int(settings.idle_timeout),
                timeout_graceful_shutdown=int(settings.shutdown_timeout),
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application, serve, close it. A signal ends each of the three. Raises what the opening raised."""
        self._loop = asyncio.get_running_loop()
        with self.capture_signals():
            starting = self._loop.create_task(self._application.start())
            told = self._loop.create_task(self._told.wait())
            await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            try:
                if starting.done():
                    starting.result()
                    await super().serve(sockets)
            finally:
                starting.cancel()
                await self._application.stop(self._grace)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal; a second one does not wait for what runs."""
        self.force_exit = self.should_exit
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    async def on_tick(self, counter: int) -> bool:
        """Once a second, end the connections whose client is too slow."""
        if counter % _TICKS_A_SECOND == 0:
            self._sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        self._application.drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM, and return normally afterwards: a server that was told to stop has not failed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _sweep(self) -> None:
        for connection in list(self.server_state.connections):
            if not isinstance(connection, GuardedProtocol):
                continue
            late = connection.loop.time() - self._timeout
            if 0 < connection.stalled_since < late:
                connection.transport.abort()
            elif 0 < connection.slow_since < late:
                connection.refuse(b"408 Request Timeout")


def _without_upgrade(data: bytes) -> bytes:
    """A head without its offer to change the protocol, which a server may ignore (RFC 9110, 7.8).

    Left to the parser, it would end the request before its body.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade-ignored:", head) + separator + rest
