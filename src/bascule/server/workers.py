"""Threads for functions that may block: a bounded pool of daemons, so that a hanging one cannot keep the process alive.

Knows functions and futures; knows nothing of tools.
"""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from bascule.errors import ToolError

MAX_THREADS = 32
"""How many functions run at once."""

MAX_WAITING = 1000
"""How many more may wait for a thread."""


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    context: contextvars.Context
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Workers:
    """Runs functions in threads of its own, made when first needed."""

    def __init__(self, max_threads: int = MAX_THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._jobs: queue.Queue[_Job] = queue.Queue(max_threads + max_waiting)
        self._max_threads = max_threads
        self._threads = 0
        self._idle = threading.Semaphore(0)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns or raises. Raises ToolError where too many are waiting already.

        Cancelling the caller does not stop a function that has started; its result is dropped.
        """
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), contextvars.copy_context(), function, arguments)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise ToolError("The server is busy: too many calls are waiting for a thread; try again later") from None
        if not self._idle.acquire(blocking=False) and self._threads < self._max_threads:
            self._threads += 1
            threading.Thread(target=self._work, name=f"bascule-worker-{self._threads}", daemon=True).start()
        return await job.future

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.future.cancelled():
                _run(job)
            del job
            self._idle.release()


def _run(job: _Job) -> None:
    try:
        outcome, failed = job.context.run(job.function, *job.arguments), None
    except BaseException as error:
        outcome, failed = None, error
    try:
        job.loop.call_soon_threadsafe(_deliver, job.future, outcome, failed)
    except RuntimeError:
        return  # the loop has closed: nobody waits for the outcome


def _deliver(future: asyncio.Future[Any], outcome: Any, failed: BaseException | None) -> None:
    if future.done():
        return
    if failed is None:
        future.set_result(outcome)
    elif isinstance(failed, StopIteration):
        future.set_exception(RuntimeError("the function raised StopIteration"))
    else:
        future.set_exception(failed)
