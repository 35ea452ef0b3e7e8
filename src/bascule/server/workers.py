"""Threads for functions that may block: a bounded pool of daemons, so that a hanging one cannot keep the process alive.

Knows functions, futures and the keys that functions are told apart by; knows nothing of tools. A function holds its
thread until it returns, whoever still waits for it. Those of one key hold a share of the threads only; more of them
wait in a lane of their own, where they keep nobody else waiting.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

from bascule.errors import Busy

log = logging.getLogger("bascule")

MAX_THREADS = 32
"""How many functions run at once."""

MAX_WAITING = 1000
"""How many more of one key may wait for a thread."""

RETRY_AFTER = 1.0
"""Seconds after which a caller that was refused may try again."""


class Workers:
    """Runs functions in threads of its own, made when first needed.

    The functions of one key hold at most `max_threads_per_key` of them; 0 stands for a half, and for one at the least.
    """

    def __init__(
        self, max_threads: int = MAX_THREADS, max_waiting: int = MAX_WAITING, max_threads_per_key: int = 0
    ) -> None:
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._ready: dict[_Job, None] = {}
        """What the next free threads take, in order."""
        self._lanes: dict[Hashable, _Lane] = {}
        """The keys of which a function runs or waits."""
        self._threads = self._idle = 0
        self._max_waiting = max_waiting
        self.bound(max_threads, max_threads_per_key)

    def bound(self, max_threads: int, max_threads_per_key: int = 0) -> None:
        """How many threads there may be, from now on; those that there are stay."""
        self._max_threads = max_threads
        self._max_threads_per_key = min(max_threads_per_key or max(1, max_threads // 2), max_threads)

    def __len__(self) -> int:
        """How many keys have a function that runs or waits."""
        return len(self._lanes)

    async def run(
        self, function: Callable[..., Any], *arguments: Any, key: Hashable | None = None, most: int | None = None
    ) -> Any:
        """What the function returns or raises. Raises Busy.

        At most `most` of one key run at once, where that is less than its share; those without a key share all threads.
        Cancelling the caller does not stop a function that has started; its result is dropped.
        """
        job = _Job(asyncio.get_running_loop(), key, function, arguments)
        share = self._max_threads if key is None else self._max_threads_per_key
        self._take(job, share if most is None else min(most, share))
        try:
            return await job.future
        finally:
            if job.future.cancelled():
                self._withdraw(job)

    def _take(self, job: "_Job", share: int) -> None:
        """Have a thread take the job, as soon as one may. Raises Busy."""
        with self._lock:
            lane = self._lanes.get(job.key)
            if lane is None:
                lane = self._lanes[job.key] = _Lane()
            if lane.held < share:
                lane.held += 1
                self._ready[job] = None
                if not self._wake():
                    del self._ready[job]
                    self._give_back(job.key)
                    raise _busy(share)
            elif len(lane.waiting) < self._max_waiting:
                lane.waiting[job] = None
            else:
                raise _busy(share)

    def _wake(self) -> bool:
        """Have one more thread look for work: one that sleeps, or a new one. False where there is none at all."""
        if self._idle:
            self._idle -= 1
            self._more.notify()
        elif self._threads < self._max_threads:
            name = f"bascule-worker-{self._threads + 1}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:
                log.error("no further thread can be started; there are %d of %d", self._threads, self._max_threads)
            else:
                self._threads += 1
        return self._threads > 0

    def _withdraw(self, job: "_Job") -> None:
        """Nobody waits for a job any more: it gives up its place, unless it runs."""
        with self._lock:
            if job in self._ready:
                del self._ready[job]
                self._give_back(job.key)
            elif (lane := self._lanes.get(job.key)) is not None:
                lane.waiting.pop(job, None)

    def _give_back(self, key: Hashable) -> None:
        """A place among those that hold a thread is free: the next one of the lane gets it, or nobody."""
        lane = self._lanes[key]
        if lane.waiting:
            following = next(iter(lane.waiting))
            del lane.waiting[following]
            self._ready[following] = None  # the thread that was to take, or has run, the other one takes this one
            return
        lane.held -= 1
        if not lane.held:
            del self._lanes[key]

    def _work(self) -> None:
        while True:
            job = self._next()
            outcome = None if job.future.cancelled() else _outcome(job)
            with self._lock:
                self._give_back(job.key)
            if outcome is not None:
                _tell(job, outcome)
            del job, outcome

    def _next(self) -> "_Job":
        """The next job, waited for."""
        with self._lock:
            while not self._ready:
                self._idle += 1
                self._more.wait()
            job = next(iter(self._ready))
            del self._ready[job]
            return job


def _busy(limit: int) -> Busy:
    return Busy(
        "The server is busy: too many calls are waiting for a thread; try again later",
        details={"limit": limit, "retryAfter": RETRY_AFTER},
    )


class _Lane:
    """The functions of one key: how many hold a thread, or are about to, and which wait for one of these to end."""

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held = 0
        self.waiting: dict[_Job, None] = {}


class _Job:
    """A function to be run, and who waits for it."""

    __slots__ = ("arguments", "context", "function", "future", "key", "loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, key: Hashable, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.context = contextvars.copy_context()
        self.key = key
        self.function = function
        self.arguments = arguments


Outcome = tuple[Any, BaseException | None]
"""What a function returned, and what it raised."""


def _outcome(job: _Job) -> Outcome:
    try:
        return job.context.run(job.function, *job.arguments), None
    except BaseException as error:
        return None, error


def _tell(job: _Job, outcome: Outcome) -> None:
    try:
        job.loop.call_soon_threadsafe(_deliver, job.future, *outcome)
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
