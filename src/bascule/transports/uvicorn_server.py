"""The HTTP server: uvicorn, with our protocol on each connection and an end to clients that send or read too slowly.

One sweep a second looks at all connections; a request that arrives whole costs no timer.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from bascule.engine.settings import HttpSettings
from bascule.transports.http_server import HttpServer
from bascule.transports.uvicorn_protocol import GuardedProtocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TICKS_A_SECOND = 10


class UvicornServer(uvicorn.Server):
    """Runs one HttpServer until a signal arrives; then drains it."""

    def __init__(self, application: HttpServer, settings: HttpSettings) -> None:
        self._application = application
        self._timeout = settings.request_timeout
        self._grace = settings.shutdown_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

        class Protocol(GuardedProtocol):
            max_header_bytes = settings.max_header_bytes

        super().__init__(
            uvicorn.Config(
                application,
                http=Protocol,
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
            if isinstance(connection, GuardedProtocol):
                connection.sweep(connection.loop.time(), self._timeout)
