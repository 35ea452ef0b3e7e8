"""uvicorn with what it lacks: a limit on headers, and an end to clients that send or read too slowly.

One sweep a second looks at all connections; a request that arrives whole costs no timer.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bascule.engine.settings import HttpSettings
from bascule.transports.http_server import HttpServer

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICKS_A_SECOND = 10


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `slow_since` and `stalled_since` are loop times, 0 where the client keeps up."""

    max_header_bytes = 64 * 1024

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._receiving = self._in_head = True
        self._head_bytes = 0
        self.slow_since = self.loop.time()
        self.stalled_since = 0.0

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.max_header_bytes:
            self.refuse(b"431 Request Header Fields Too Large")
        elif not self._receiving:
            self.slow_since = 0.0
        elif not self.slow_since:
            self.slow_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_head = True

    def on_headers_complete(self) -> None:
        if self._head_bytes > self.max_header_bytes:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self.max_header_bytes:
                return  # still in the head: `data_received` refuses
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._in_head:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:
            return
        self._receiving = False
        self._head_bytes = 0
        super().on_message_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since = 0.0
        super().resume_writing()

    def refuse(self, status: bytes) -> None:
        """Answer with a bare status and close."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


class UvicornServer(uvicorn.Server):
    """Runs one HttpServer until a signal arrives; then drains it."""

    def __init__(self, application: HttpServer, settings: HttpSettings) -> None:
        self._application = application
        self._timeout = settings.request_timeout
        protocol = type("Protocol", (GuardedProtocol,), {"max_header_bytes": settings.max_header_bytes})
        super().__init__(
            uvicorn.Config(
                application,
                http=protocol,
                ws="none",
                interface="asgi3",
                lifespan="on",
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
