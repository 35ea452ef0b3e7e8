"""An executor whose threads do not keep the process alive.

asyncio hands what `asyncio.to_thread` is given to its default executor, and Python waits at exit for that executor's
threads: one that hangs would keep a server from ending. These threads are daemons. Knows functions and futures.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple


class _Job(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class DaemonExecutor(ThreadPoolExecutor):
    """Runs functions in at most `max_workers` daemon threads, made when needed."""

    def __init__(self, max_workers: int = 32) -> None:
        super().__init__(max_workers)
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._most = max_workers
        self._started = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` in a thread, as soon as one is free."""
        job = _Job(Future(), fn, args, kwargs)
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"bascule-daemon-{self._started}", daemon=True).start()
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: daemons end with the process."""

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job.future.set_running_or_notify_cancel():
                try:
                    outcome = job.function(*job.arguments, **job.options)
                except BaseException as error:
                    job.future.set_exception(error)
                else:
                    job.future.set_result(outcome)
                    del outcome
            del job
            self._idle.release()
