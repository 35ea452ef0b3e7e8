"""The real HTTP server in a thread of this process, on a free loopback port.

It is wired as `app.run("http")` wires it, with sockets, parser and timers: what a test sees is what a client would.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bascule.engine.application import Application
from bascule.engine.ports import Authenticator
from bascule.engine.settings import HttpSettings
from bascule.serve import asgi, bind
from bascule.transports.uvicorn_server import UvicornServer

STARTING = 30.0
"""Seconds that a server has to start, its lifespan included."""

STOPPING = 10.0
"""Seconds beyond `shutdown_timeout` that it has to stop."""


class Serving:
    """A running server: its URL, and the server itself."""

    def __init__(self, url: str, server: UvicornServer) -> None:
        self.url = url
        self.server = server

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for tests that speak to the socket."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port.partition("/")[0])


@contextmanager
def serve_http(app: Application, *, door: Authenticator | None = None, **settings: Any) -> Iterator[Serving]:
    """Serve `app` on 127.0.0.1 until the block ends; yields once it accepts connections.

    `settings` are those of `[http]` (HttpSettings); `door` says who may call, everybody where there is none. Raises
    what the application's start raises, and RuntimeError where the server neither starts nor stops in time. Call it
    anywhere: the server has a thread and an event loop of its own.
    """
    http = HttpSettings(**{"port": 0, "shutdown_timeout": 3.0, **settings})
    server = UvicornServer(asgi(app, settings=http, door=door), http)
    sockets = bind("127.0.0.1", http.port)
    thread = _Thread(server, sockets)
    thread.start()
    thread.wait_for_start()
    try:
        yield Serving(f"http://127.0.0.1:{sockets[0].getsockname()[1]}{http.path}", server)
    finally:
        server.should_exit = True
        thread.join(http.shutdown_timeout + STOPPING)
    thread.check_end()


class _Thread(threading.Thread):
    """Runs a server; knows when it has started, or failed to."""

    def __init__(self, server: UvicornServer, sockets: list[Any]) -> None:
        super().__init__(name="bascule-serve-http", daemon=True)
        self._server = server
        self._sockets = sockets
        self._settled = threading.Event()
        self._error: BaseException | None = None
        tick = server.on_tick

        async def on_tick(counter: int) -> bool:
            self._settled.set()
            return await tick(counter)

        server.on_tick = on_tick  # type: ignore[method-assign]

    def run(self) -> None:
        """Serve to the end."""
        try:
            asyncio.run(self._server.serve(self._sockets))
        except BaseException as error:  # told to whoever waits for the start
            self._error = error
        finally:
            for listener in self._sockets:
                listener.close()
            self._settled.set()

    def wait_for_start(self) -> None:
        """Return when the server accepts connections; raise what kept it from that."""
        in_time = self._settled.wait(STARTING)
        if self._error is not None:
            raise self._error
        if not in_time or not self.is_alive():
            self._server.should_exit = True
            raise RuntimeError("The server did not start")

    def check_end(self) -> None:
        """Raise what ended the server, or RuntimeError where it has not ended."""
        if self._error is not None:
            raise self._error
        if self.is_alive():
            raise RuntimeError("The server did not stop")
