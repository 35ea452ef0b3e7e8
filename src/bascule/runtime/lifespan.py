"""An application's lifespan, held open by one task: what opens in a task closes in that task, as its libraries ask.

Started at the first use or by the outer program, whichever comes first; stopped once.
"""

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from bascule.engine.application import Application

log = logging.getLogger("bascule")


class State(Enum):
    """Where a lifespan stands."""

    NEW = auto()
    READY = auto()
    STOPPED = auto()


class Lifespan:
    """Opens and closes one application. `state` is READY between the two, and `value` what it yielded."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stop: asyncio.Event | None = None
        self.state = State.NEW
        self.value: Mapping[Any, Any] = {}

    async def start(self) -> None:
        """Open the application, or wait for whoever is opening it; one that has stopped is opened anew.

        Raises what its opening raised; may be tried again then.
        """
        if self.state is State.READY:
            return
        if self._started is None or self.state is State.STOPPED:
            self.state = State.NEW
            loop = asyncio.get_running_loop()
            self._started, self._stop = loop.create_future(), asyncio.Event()
            self._task = loop.create_task(self._hold(self._started, self._stop))
        await asyncio.shield(self._started)

    async def stop(self, grace: float = 10.0) -> None:
        """Close the application and wait for that, at most `grace` seconds. Raises what its closing raised.

        An application that is still opening is not waited for, but cancelled.
        """
        task, self._task = self._task, None
        if task is None or self._stop is None:
            return
        self._stop.set()
        if self.state is State.NEW:
            task.cancel()
        await asyncio.wait({task}, timeout=grace)
        if not task.done():
            log.error("the lifespan did not end within %s seconds; it was cancelled", grace)
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        if task.done() and not task.cancelled():
            task.result()

    async def _hold(self, started: asyncio.Future[None], stop: asyncio.Event) -> None:
        try:
            async with self._application.running() as self.value:
                self.state = State.READY
                started.set_result(None)
                await stop.wait()
        except BaseException as error:
            if started.done():
                raise
            self._started = None
            started.set_exception(error if isinstance(error, Exception) else RuntimeError("the start was cancelled"))
            started.exception()  # seen, also where nobody waits any more
        finally:
            if self.state is State.READY:
                self.state = State.STOPPED
