"""Tasks in one SQLite file: what a process began is there, with its result, for the process that comes after it.

The file belongs to one process at a time, which the database's own lock ensures. All work is done in one thread, so
that the event loop never waits for a disk.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from bascule.engine.ports import TaskRecord
from bascule.errors import ConfigError

T = TypeVar("T")

_VERSION = 1
_SELECT = "SELECT id, owner, state, created, updated, expires, message, result, error FROM tasks ORDER BY created"
_INSERT = "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    expires REAL NOT NULL, message TEXT, result BLOB, error BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS tasks_expires ON tasks (expires);
PRAGMA user_version = {_VERSION};
"""


class SqliteTasks:
    """The tasks in one file. `clock` tells seconds since the epoch."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._uses = 0
        self._thread: ThreadPoolExecutor | None = None
        self._database: sqlite3.Connection | None = None

    async def open(self) -> list[TaskRecord]:
        """The tasks that have not expired, oldest first; none where the store is open already. Raises ConfigError."""
        self._uses += 1
        if self._uses > 1:
            return []
        self._thread = ThreadPoolExecutor(1, "bascule-tasks")
        try:
            return await self._do(self._opened)
        except BaseException:
            await self.close()
            raise

    async def put(self, record: TaskRecord) -> None:
        """Keep a task as it stands: on the disk, when this returns. Raises OSError where that fails."""
        await self._do(self._write, record)

    async def close(self) -> None:
        """Close the file with the last use of it."""
        self._uses -= 1
        if self._uses or self._thread is None:
            return
        thread, self._thread = self._thread, None
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._closed)
        finally:
            thread.shutdown(wait=False)

    async def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        if self._thread is None:
            raise OSError("the task store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _opened(self) -> list[TaskRecord]:
        try:
            self._database = database = self._connected()
            database.execute("DELETE FROM tasks WHERE expires < ?", (self._clock(),))
            rows = database.execute(_SELECT).fetchall()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ConfigError(
                    f"The task store {self._path} is in use by another process; give each process its own store"
                ) from None
            raise ConfigError(f"The task store {self._path} cannot be opened: {error}") from None
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"The task store {self._path} cannot be opened: {error}") from None
        return [TaskRecord(row[0], msgspec.json.decode(row[1], type=tuple[str, str, str]), *row[2:]) for row in rows]

    def _connected(self) -> sqlite3.Connection:
        """The database, with its tables, locked. Raises ConfigError for a file of a later version."""
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
        database = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise ConfigError(
                    f"The task store {self._path} was written by a later version; upgrade, or name another file"
                )
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _write(self, record: TaskRecord) -> None:
        if self._database is None:
            raise OSError("the task store is closed")
        row: tuple[Any, ...] = record._replace(owner=msgspec.json.encode(record.owner).decode())  # type: ignore[arg-type]
        try:
            with self._database as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("DELETE FROM tasks WHERE expires < ?", (self._clock(),))
                database.execute(_INSERT, row)
        except sqlite3.Error as error:
            raise OSError(f"the task store cannot be written: {error}") from error

    def _closed(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
