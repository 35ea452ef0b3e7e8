"""An application's lifespan, held open by one task: what opens in a task closes in that task, as its libraries ask.

Started at the first use or by the outer program, whichever comes first; stopped once.
"""

import asyncio
from enum import Enum, auto

from bascule.engine.application import Application


class State(Enum):
    """Where a lifespan stands."""

    NEW = auto()
    READY = auto()
    STOPPED = auto()


class Lifespan:
    """Opens and closes one application. `state` is READY between the two."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stop: asyncio.Event | None = None
        self.state = State.NEW

    async def start(self) -> None:
        """Open the application, or wait for whoever is opening it. Raises what its opening raised; may be retried."""
        if self.state is State.READY:
            return
        if self._started is None:
            loop = asyncio.get_running_loop()
            self._started, self._stop = loop.create_future(), asyncio.Event()
            self._task = loop.create_task(self._hold(self._started, self._stop))
        await asyncio.shield(self._started)

    async def stop(self) -> None:
        """Close the application and wait for that. Raises what its closing raised."""
        task, self._task = self._task, None
        if task is None or self._stop is None:
            return
        self._stop.set()
        await task

    async def _hold(self, started: asyncio.Future[None], stop: asyncio.Event) -> None:
        try:
            async with self._application.running():
                self.state = State.READY
                started.set_result(None)
                await stop.wait()
        except BaseException as error:
            if started.done():
                raise
            self._started = None
            started.set_exception(error if isinstance(error, Exception) else RuntimeError("the start was cancelled"))
        finally:
            if self.state is State.READY:
                self.state = State.STOPPED
