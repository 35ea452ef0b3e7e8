"""A server in this process, spoken to in bytes: what would stand on the wire is really written and really parsed.

Lines cross on the next turn of the loop, so that neither side runs inside the other's call.
"""

import asyncio
from collections.abc import Callable

from bascule.engine.application import Application
from bascule.engine.exchange import LOCAL, Principal
from bascule.engine.ports import MakeSeal
from bascule.eras.route import StreamRoute
from bascule.runtime.lifespan import Lifespan
from bascule.runtime.pump import Pump


class MemoryStream:
    """The client's end of a stream to an application in this process."""

    def __init__(self, application: Application, make_seal: MakeSeal, principal: Principal = LOCAL) -> None:
        self._make_seal = make_seal
        self._principal = principal
        self._lifespan = Lifespan(application)
        self._application = application
        self._pump: Pump | None = None
        self._on_line: Callable[[bytes], None] | None = None
        self._on_close: Callable[[Exception | None], None] | None = None

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Start the application; `on_line` gets each message of the server, `on_close` is called once at the end."""
        await self._lifespan.start()
        self._on_line, self._on_close = on_line, on_close
        route = StreamRoute(self._application, self._make_seal)
        self._pump = Pump(self._application, route, self._principal, self._answer, _drained)
        self._pump.open(self._lifespan.value)

    def write(self, line: bytes) -> None:
        """Send one message to the server."""
        if self._pump is not None:
            asyncio.get_running_loop().call_soon(self._pump.feed, line)

    async def drain(self) -> None:
        """Wait until the server takes more."""
        if self._pump is not None:
            await self._pump.room()

    async def close(self) -> None:
        """Cancel what still runs and stop the application."""
        pump, self._pump = self._pump, None
        if pump is not None:
            await pump.finish(0)
        await self._lifespan.stop()
        if self._on_close is not None:
            self._on_close(None)
            self._on_close = None

    def _answer(self, line: bytes) -> None:
        if self._on_line is not None:
            asyncio.get_running_loop().call_soon(self._on_line, line)


def connect(application: Application, make_seal: MakeSeal, principal: Principal | None = None) -> MemoryStream:
    """A stream to `application`; it starts and stops with the stream. `principal` is who calls; the user at this
    machine where it is None."""
    return MemoryStream(application, make_seal, LOCAL if principal is None else principal)


async def _drained() -> None:
    await asyncio.sleep(0)
