"""A real HTTP server in a thread of the test's own process, on a free loopback port."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bascule.engine.application import Application
from bascule.engine.settings import HttpSettings
from bascule.serve import _bind, asgi
from bascule.transports.uvicorn_server import UvicornServer


class Serving:
    """A running server: its base URL, and the server itself."""

    def __init__(self, url: str, server: UvicornServer) -> None:
        self.url = url
        self.server = server

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port.partition("/")[0])


@contextmanager
def serving(application: Application, **options) -> Iterator[Serving]:
    """Serve `application` until the block ends; yields once it accepts connections."""
    settings = HttpSettings(**{"port": 0, "shutdown_timeout": 3.0, **options})
    server = UvicornServer(asgi(application, settings=settings), settings)
    sockets = _bind("127.0.0.1", 0)
    started = threading.Event()
    tick = server.on_tick

    async def on_tick(counter: int) -> bool:
        started.set()
        return await tick(counter)

    server.on_tick = on_tick
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets)), daemon=True)
    thread.start()
    assert started.wait(10), "the server did not start"
    try:
        yield Serving(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/mcp", server)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"
