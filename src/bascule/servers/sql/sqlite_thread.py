"""A thread that owns one SQLite connection and runs one job at a time on it.

Knows threads and the loop, not SQL. The thread is a daemon, so that a query that cannot be stopped cannot hold up the
end of the process. The job's caller may go away at any time; the connection is handed on only when the job has ended.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from bascule.checks.sql_sqlite import Authorizer
from bascule.servers.sql.sqlite_functions import Functions

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], Any]

Connect = Callable[[Authorizer], sqlite3.Connection]

_STEPS = 1000
_GRACE = 1.0


class Stopped(Exception):
    """The job was ended at its deadline."""


class Reader:
    """One connection, opened in its own thread by the first job; a failed opening is tried again at the next."""

    def __init__(self, connect: Connect, authorizer: Authorizer) -> None:
        self.authorizer = authorizer
        self.functions = Functions(self._late)
        self.busy = False
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._deadline = 0.0
        self._jobs: SimpleQueue[tuple[Job | None, asyncio.Future[Any]]] = SimpleQueue()
        self._thread = Thread(target=self._work, name="bascule-sqlite", daemon=True)
        self._thread.start()

    async def call(self, job: Callable[[sqlite3.Connection], T], seconds: float, done: Callable[[], None]) -> T:
        """Run `job(connection)` in the thread. Raises Stopped after `seconds`; `done` is called once it has ended."""
        self._deadline = time.monotonic() + seconds
        future = self._submit(job)
        self.busy = True
        future.add_done_callback(lambda ended: self._finish(ended, done))
        try:
            async with asyncio.timeout(seconds + _GRACE):
                result: T = await asyncio.shield(future)
        except TimeoutError:
            raise Stopped from None
        except asyncio.CancelledError:
            if not future.done():
                self._stop()
            raise
        except sqlite3.Error as error:
            if str(error) == "interrupted" or self._late():
                raise Stopped from None
            raise
        return result

    async def close(self) -> None:
        """Stop the job that runs, close the connection and end the thread; gives up waiting after a second."""
        self._stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await asyncio.shield(self._submit(None))
            self._thread.join(_GRACE)

    def dismiss(self) -> None:
        """Close the connection and end the thread when what runs has ended; waits for nothing."""
        self._submit(None)

    def _stop(self) -> None:
        self._deadline = 0.0
        if self._connection is not None:
            with suppress(sqlite3.ProgrammingError):
                self._connection.interrupt()

    def _submit(self, job: Job | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put((job, future))
        return future

    def _finish(self, future: asyncio.Future[Any], done: Callable[[], None]) -> None:
        self.busy = False
        if not future.cancelled():
            future.exception()
        done()

    def _work(self) -> None:
        while True:
            job, future = self._jobs.get()
            if job is None:
                if self._connection is not None:
                    self._connection.close()
                    self.functions.close()
                _settle(future, None, None)
                return
            try:
                _settle(future, self._run(job), None)
            except BaseException as error:
                _settle(future, None, error)

    def _run(self, job: Job) -> Any:
        if self._connection is None:
            connection = self._connect(self.authorizer)
            self.functions.install(connection)
            connection.set_progress_handler(self._late, _STEPS)
            self._connection = connection
        self.authorizer.reason = self.functions.reason = None
        return job(self._connection)

    def _late(self) -> int:
        return int(time.monotonic() > self._deadline)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(settle)
