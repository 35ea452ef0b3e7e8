"""SQLite: a file opened for reading, queried by a few threads of its own so that the loop never blocks.

Locks, from the inside: the file is opened `mode=ro`, `query_only` is on, the authorizer denies all but reading, and the
text was checked. Limits: a progress callback ends a query at its deadline or when nobody waits any more, functions that
could run past it have stand-ins (`sqlite_functions`), a thread that is stuck all the same is replaced. SQLite itself
refuses cells beyond `MAX_CELL` bytes, rows beyond 256 columns (or the widest table's), and more than `MAX_HEAP` bytes
for all its connections in this process, sorts and temporary tables included, for those stay in memory.
Blobs go out as SQLite writes them, X'…'.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bascule import ConfigError, ToolError
from bascule.checks.sql import Refused, Statement
from bascule.checks.sql_sqlite import Authorizer, check, renamed
from bascule.servers.sql import sqlite_catalogue
from bascule.servers.sql.database import Limits
from bascule.servers.sql.rows import Field, QueryResult, collect, exact_float, exact_int
from bascule.servers.sql.schema import Table, TableSummary
from bascule.servers.sql.sqlite_functions import NAMES, PREFIX, restored
from bascule.servers.sql.sqlite_thread import Reader, Stopped

MAX_CELL = 1 << 20
MAX_HEAP = 128 << 20
_MAX_COLUMNS = 256
_NARROW = 32
_MAX_LOST = 8

T = TypeVar("T")

_TYPES: dict[type, str] = {int: "integer", float: "real", str: "text", bytes: "blob"}
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_CELL,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 17,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 250,
}
_PRAGMAS = (
    f"hard_heap_limit = {MAX_HEAP}",
    "query_only = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "busy_timeout = 1000",
    "temp_store = MEMORY",
)


class SQLite:
    """A SQLite file. `run` refuses what would write even when the text was not checked."""

    dialect = "SQLite"

    def __init__(self, path: str | Path, limits: Limits | None = None, functions: Collection[str] = ()) -> None:
        self._path = Path(path)
        self._limits = limits or Limits()
        self._functions = frozenset(functions)
        self._readers: list[Reader] = []
        self._lost: set[Reader] = set()
        self._idle: asyncio.Queue[Reader] = asyncio.Queue()

    async def open(self) -> None:
        """Start one thread and connection; more follow when several queries run at once."""
        self._idle = asyncio.Queue()
        self._readers = []
        if not await asyncio.to_thread(self._path.is_file):
            raise ConfigError("The SQLite URL does not name a file that is there.")
        try:
            await self._call(lambda connection: connection.execute("SELECT count(*) FROM sqlite_master").fetchone())
        except ToolError:
            await self.close()
            raise ConfigError("The SQLite file cannot be opened for reading, or it is no SQLite database.") from None

    async def close(self) -> None:
        """Stop what runs, close the connections and end their threads."""
        readers, self._readers = self._readers, []
        await asyncio.gather(*(reader.close() for reader in readers))

    async def query(self, sql: str, limit: int) -> QueryResult:
        """Check the text and run it. Cancelling the task stops the query."""
        return await self.run(check(sql), limit)

    async def run(self, statement: Statement, limit: int) -> QueryResult:
        """Run without the check: the file's read-only mode and the authorizer are then the only locks."""
        max_bytes = self._limits.max_bytes
        return await self._call(lambda connection: _select(connection, statement.text, limit, max_bytes))

    async def tables(self) -> list[TableSummary]:
        """The tables and views, by name."""
        return await self._call(sqlite_catalogue.tables)

    async def schema(self, table: str | None = None) -> list[Table]:
        """One table in full, or all; empty where there is no such table."""
        return await self._call(lambda connection: sqlite_catalogue.schema(connection, table))

    async def _call(self, job: Callable[[sqlite3.Connection], T]) -> T:
        reader = await self._reader()
        deadline = self._limits.seconds
        try:
            return await reader.call(job, deadline, lambda: self._return(reader))
        except Stopped:
            self._replace(reader)
            raise ToolError(
                f"The query was stopped after {deadline:g} s; filter more, join less or aggregate first."
            ) from None
        except MemoryError:
            raise ToolError("The query needs too much memory; select, join or sort less.") from None
        except OSError:
            raise ToolError("The database file cannot be read.") from None
        except sqlite3.Error as error:
            raise _told(error, reader) from None

    async def _reader(self) -> Reader:
        if self._idle.empty() and len(self._readers) < self._limits.concurrency:
            return self._new_reader()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._idle.get()
        except TimeoutError:
            raise ToolError("Too many queries are running; try again later.") from None

    def _new_reader(self) -> Reader:
        stand_ins = {PREFIX + name for name in NAMES}
        reader = Reader(self._connect, Authorizer(self._functions | stand_ins))
        self._readers.append(reader)
        return reader

    def _return(self, reader: Reader) -> None:
        if reader in self._lost:
            self._lost.discard(reader)
            reader.dismiss()
        else:
            self._idle.put_nowait(reader)

    def _replace(self, reader: Reader) -> None:
        """Give up a thread that is still at work past its grace; it ends by itself. Not more than a few at once."""
        if reader.busy and reader in self._readers and len(self._lost) < _MAX_LOST:
            self._readers.remove(reader)
            self._lost.add(reader)
            self._idle.put_nowait(self._new_reader())

    def _connect(self, authorizer: Authorizer) -> sqlite3.Connection:
        connection = sqlite3.connect(_uri(self._path.absolute()), uri=True, isolation_level=None)
        try:
            _restrict(connection, authorizer)
        except BaseException:
            connection.close()
            raise
        return connection


def _restrict(connection: sqlite3.Connection, authorizer: Authorizer) -> None:
    """Leave a connection nothing but reading, within the limits."""
    connection.text_factory = _text
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, max(_MAX_COLUMNS, sqlite_catalogue.widest(connection)))
    if hasattr(connection, "enable_load_extension"):
        connection.enable_load_extension(False)
    connection.set_authorizer(authorizer)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _uri(path: Path) -> str:
    """Where nothing can be written beside a file in WAL mode, SQLite reads it only as one that nobody changes."""
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        journal = file.read(20)[18:]
    frozen = journal == b"\2\2" and not (log.exists() and log.stat().st_size) and not os.access(path.parent, os.W_OK)
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if frozen else ''}"


def _told(error: sqlite3.Error, reader: Reader) -> ToolError:
    """The database's own words for the model; they name tables and columns, never files."""
    if reader.authorizer.reason is not None:
        return Refused(restored(reader.authorizer.reason))
    message = reader.functions.reason or restored(str(error))
    if "binding" in message:
        return Refused("Parameters such as ? or :name have no value here; write the value into the statement.")
    if "too big" in message:
        return ToolError(
            f"A value in the query is larger than {MAX_CELL} bytes (in rows of more than {_NARROW} columns they may be "
            "shorter); select fewer columns, or substr() of long ones."
        )
    return ToolError(message if reader.functions.reason else f"SQLite says: {message}.")


def _select(connection: sqlite3.Connection, text: str, limit: int, max_bytes: int) -> QueryResult:
    sql = renamed(text, NAMES, PREFIX)
    cursor = connection.execute(sql)
    width = len(cursor.description or ())
    try:
        if width > _NARROW:
            cursor.close()
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL * _NARROW // width)
            cursor = connection.execute(sql)
        return _collected(cursor, limit, max_bytes)
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL)
        cursor.close()


def _collected(cursor: sqlite3.Cursor, limit: int, max_bytes: int) -> QueryResult:
    names = [restored(column[0]) for column in cursor.description or ()]
    kinds: list[set[type]] = [set() for _ in names]
    result = collect(_values(cursor, kinds, max_bytes), [], limit, max_bytes)
    result.fields = [Field(name, _kind(seen)) for name, seen in zip(names, kinds, strict=True)]
    return result


def _values(cursor: sqlite3.Cursor, kinds: list[set[type]], max_bytes: int) -> Iterator[list[Any] | None]:
    for row in cursor:
        for value, seen in zip(row, kinds, strict=True):
            seen.add(type(value))
        if sum(len(value) for value in row if isinstance(value, str | bytes)) > max_bytes:
            yield None
        else:
            yield [_value(value) for value in row]


def _value(value: Any) -> Any:
    if isinstance(value, int):
        return exact_int(value)
    if isinstance(value, float):
        return exact_float(value)
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    return value


def _kind(seen: set[type]) -> str:
    """A column's type is what its values are; SQLite has no other that holds for every expression."""
    names = [name for kind, name in _TYPES.items() if kind in seen]
    return names[0] if len(names) == 1 else "any" if names else "null"
