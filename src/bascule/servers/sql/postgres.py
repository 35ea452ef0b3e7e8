"""PostgreSQL: a pool of connections, and one read-only transaction per query that is always rolled back.

Locks, from the inside: `BEGIN READ ONLY` (which a query cannot undo), the extended protocol (one statement, no more),
and the check of the text. What PostgreSQL sends is bounded by wrapping the query (`postgres_query`) and, for what
cannot be wrapped, by counting bytes on the wire (`postgres_wire`). No prepared statement outlives a transaction, so it
works behind PgBouncer. Errors in a query are the model's to read; those of a connection go to the log, by kind only.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg

from bascule import ConfigError, ToolError
from bascule.checks.sql import Statement
from bascule.checks.sql_postgres import check
from bascule.servers.sql import postgres_catalogue
from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres_query import Columns, Wrapped, begin, values
from bascule.servers.sql.postgres_wire import UNREACHABLE, Connection, Meter, Metered, told
from bascule.servers.sql.rows import Field, QueryResult, collect
from bascule.servers.sql.schema import Table, TableSummary

_GRACE = 5.0
_WIRE_SLACK = 8 << 20

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Postgres:
    """A PostgreSQL database. `schemas` are those that queries and lists see; by default the role's own search path."""

    dialect = "PostgreSQL"

    def __init__(
        self, url: str, limits: Limits | None = None, functions: Collection[str] = (), schemas: Collection[str] = ()
    ) -> None:
        self._url = url
        self._limits = limits or Limits()
        self._functions = frozenset(functions)
        self._schemas = tuple(schemas)
        self._begin = ""
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Make the pool. The first connection is made by the first query, so the database may come up later."""
        limits = self._limits
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=limits.concurrency,
                statement_cache_size=0,
                connection_class=Metered,
                reset=_keep,
                timeout=limits.seconds,
                server_settings={"application_name": "bascule"},
            )
        except (asyncpg.InterfaceError, ValueError):
            raise ConfigError("The PostgreSQL URL cannot be used; check its host, port and options.") from None

    async def close(self) -> None:
        """Close the connections; queries that still run are cancelled."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def query(self, sql: str, limit: int) -> QueryResult:
        """Check the text and run it. Cancelling the task cancels the query in the database."""
        return await self.run(check(sql, self._functions), limit)

    async def run(self, statement: Statement, limit: int) -> QueryResult:
        """Run without the check: the read-only transaction and the one-statement protocol are then the only locks."""
        if statement.kind == "rows":
            return await self._call(lambda connection: self._rows(connection, statement.text, limit), statement.text)
        return await self._call(lambda connection: self._plain(connection, statement.text, limit), statement.text)

    async def tables(self) -> list[TableSummary]:
        """The tables and views that the role may read, by name."""
        return await self._call(postgres_catalogue.tables)

    async def schema(self, table: str | None = None) -> list[Table]:
        """One table in full, or all; empty where there is no such table. Outside the first schema: `schema.table`."""
        return await self._call(lambda connection: postgres_catalogue.schema(connection, table))

    async def _rows(self, connection: Connection, sql: str, limit: int) -> QueryResult:
        max_bytes = self._limits.max_bytes
        columns = (await connection.prepare(sql)).get_attributes()
        query = Wrapped(sql, columns, limit, max_bytes)
        records = await connection.fetch(query.text)
        return collect(query.rows(records), _fields(columns), limit, max_bytes)

    async def _plain(self, connection: Connection, sql: str, limit: int) -> QueryResult:
        prepared = await connection.prepare(sql)
        columns = prepared.get_attributes()
        records = await prepared.fetch()
        return collect(values(records, columns), _fields(columns), limit, self._limits.max_bytes)

    async def _call(self, job: Callable[[Connection], Awaitable[T]], sql: str = "") -> T:
        seconds = self._limits.seconds
        try:
            async with asyncio.timeout(seconds + _GRACE), self._transaction() as connection:
                return await job(connection)
        except (TimeoutError, asyncpg.QueryCanceledError):
            raise ToolError(
                f"The query was stopped after {seconds:g} s; filter more, join less or aggregate first."
            ) from None
        except (asyncpg.InternalClientError, asyncpg.UnsupportedClientFeatureError):
            raise ToolError("A column has a type that cannot be read; cast it, as in column::text.") from None
        except UNREACHABLE as error:
            raise _unreachable(error) from None
        except asyncpg.PostgresError as error:
            raise told(error, sql) from None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        """A connection inside `BEGIN READ ONLY`, with the limits set; rolled back whatever happens."""
        async with self._acquired() as connection:
            meter: Meter = connection.meter  # type: ignore[attr-defined]
            meter.start(4 * self._limits.max_bytes + _WIRE_SLACK)
            try:
                await self._start(connection)
                yield connection
            except (asyncpg.PostgresError, asyncpg.InterfaceError):
                if meter.overflowed:
                    raise ToolError("The answer is far too large; select fewer or shorter columns.") from None
                raise
            finally:
                await _roll_back(connection)

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise ToolError("The database is closed.")
        try:
            connection = await self._pool.acquire(timeout=self._limits.seconds)
        except TimeoutError:
            raise ToolError(
                "The database did not answer in time, or too many queries are running; try later."
            ) from None
        except (asyncpg.PostgresError, *UNREACHABLE) as error:
            raise _unreachable(error) from None
        try:
            yield connection
        finally:
            with suppress(TimeoutError, asyncpg.PostgresError, *UNREACHABLE):
                await self._pool.release(connection)

    async def _start(self, connection: Connection) -> None:
        """One round trip; the settings end with the transaction. The role's own search path is asked for once."""
        if not self._begin:
            schemas = self._schemas or await connection.fetchval("SELECT current_schemas(false)")
            self._begin = begin(self._limits.seconds, [name for name in schemas if name != "pg_catalog"])
        await connection.execute(self._begin)


async def _roll_back(connection: Connection) -> None:
    """End the transaction; a connection that cannot even do that is thrown away."""
    try:
        await connection.execute("ROLLBACK", timeout=_GRACE)
    except (TimeoutError, asyncpg.PostgresError, *UNREACHABLE):
        with suppress(asyncpg.InterfaceError):
            connection.terminate()


async def _keep(_connection: object) -> None:
    """Nothing is left to reset: all settings are local to the transaction that was rolled back."""


def _fields(columns: Columns) -> list[Field]:
    return [Field(column.name, column.type.name, column.type.oid) for column in columns]


def _unreachable(error: BaseException) -> ToolError:
    state = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
    _LOG.warning("PostgreSQL cannot be reached: %s (%s)", type(error).__name__, state)
    return ToolError("The database cannot be reached; try again later, and see the server's log.")
