"""One SQLite file that several processes use at once, each from a thread of its own, so that no event loop waits.

Opened when first used. What was written is on the disk when the call returns; who must wait for another process waits
some seconds. Knows connections and transactions; its users know the tables.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for another process that writes."""

MEMORY = ":memory:"
"""The path that stands for no file: what is written is gone with the last use."""


class SqliteFile:
    """A database file with a schema, which has a version; a file of a later one is not touched."""

    def __init__(self, path: str, schema: str, application: int, version: int = 1) -> None:
        self._path = path
        self._schema = schema
        self._identity = (application, version)
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, done in one transaction that no other write can cut in two. Raises OSError."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "bascule-sqlite")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work)

    async def close(self) -> None:
        """Close the file; the next write opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(thread, self._close)
            finally:
                thread.shutdown(wait=False)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._database is None:
                self._database = self._opened()
            database = self._database
            with _transaction(database):
                return work(database)
        except sqlite3.Error as error:
            raise OSError(f"{self._path} cannot be used: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._path != MEMORY:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
        database = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = FULL")
            with _transaction(database):
                self._prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        wanted, newest = self._identity
        if (application != wanted and tables) or version > newest:
            raise OSError(f"{self._path} was written by another program, or by a later version of this one")
        for statement in self._schema.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {wanted}")
        database.execute(f"PRAGMA user_version = {newest}")

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
