"""PostgreSQL: a pool of connections, and one read-only transaction per query that is always rolled back.

Locks, from the inside: `BEGIN READ ONLY` (which a query cannot undo), the extended protocol (one statement, no more),
and the check of the text. What PostgreSQL sends is bounded by wrapping the query (`postgres_query`) and, for what
cannot be wrapped, by counting bytes on the wire (`postgres_wire`). No prepared statement outlives a transaction, so it
works behind PgBouncer. Errors in a query are the model's to read; those of a connection go to the log, by kind only.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from bascule import ToolError
from bascule.checks.sql import Statement
from bascule.checks.sql_postgres import examine
from bascule.servers.sql import postgres_catalogue
from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres_names import Catalogue
from bascule.servers.sql.postgres_pool import Pool, unreachable
from bascule.servers.sql.postgres_query import Columns, Wrapped, begin, values
from bascule.servers.sql.postgres_wire import UNREACHABLE, Connection, Meter, told
from bascule.servers.sql.rows import Field, QueryResult, collect
from bascule.servers.sql.schema import Table, TableSummary

_GRACE = 0.5
_WIRE_SLACK = 8 << 20
_VECTORS = {22: "int2vector", 30: "oidvector"}
"""What the driver calls int2vector[], because their elements can be selected."""

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
        self._catalogue = Catalogue(self._functions)
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Make the pool. The first connection is made by the first query, so the database may come up later."""
        pool = Pool(self._url, self._limits.concurrency, self._limits.seconds)
        await pool.open()
        self._pool = pool

    async def close(self) -> None:
        """Close the connections; queries that still run are cancelled."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def query(self, sql: str, limit: int) -> QueryResult:
        """Check the text and run it. Cancelling the task cancels the query in the database."""
        return await self.run(examine(sql, self._functions), limit)

    async def run(self, statement: Statement, limit: int) -> QueryResult:
        """Run without the check of the text; what is left for the catalogue to judge, it judges first."""
        return await self._call(lambda connection: self._result(connection, statement, limit), statement.text)

    async def tables(self) -> list[TableSummary]:
        """The tables and views that the role may read, by name."""
        return await self._call(postgres_catalogue.tables)

    async def schema(self, table: str | None = None) -> list[Table]:
        """One table in full, or all; empty where there is no such table. Outside the first schema: `schema.table`."""
        return await self._call(lambda connection: postgres_catalogue.schema(connection, table))

    async def _result(self, connection: Connection, statement: Statement, limit: int) -> QueryResult:
        if statement.names is not None:
            await self._catalogue.judge(connection, statement.names)
        if statement.kind == "rows":
            return await self._rows(connection, statement.text, limit)
        return await self._plain(connection, statement.text, limit)

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
            raise unreachable(error) from None
        except asyncpg.PostgresError as error:
            raise told(error, sql) from None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        """A connection inside `BEGIN READ ONLY`, with the limits set; rolled back whatever happens."""
        if self._pool is None:
            raise ToolError("The database is closed.")
        async with self._pool.connection() as connection:
            meter: Meter = connection.meter  # type: ignore[attr-defined]
            meter.start(4 * self._limits.max_bytes + _WIRE_SLACK)
            try:
                await self._start(connection)
                yield connection
            except (asyncpg.PostgresError, asyncpg.InterfaceError):
                if meter.overflowed:
                    raise ToolError("The answer is far too large; select fewer or shorter columns.") from None
                raise

    async def _start(self, connection: Connection) -> None:
        """One round trip; the settings end with the transaction. The role's own search path is asked for once."""
        if not self._begin:
            schemas = self._schemas or await connection.fetchval("SELECT current_schemas(false)")
            self._begin = begin(self._limits.seconds, [name for name in schemas if name != "pg_catalog"])
        await connection.execute(self._begin)


def _fields(columns: Columns) -> list[Field]:
    return [Field(column.name, _VECTORS.get(column.type.oid, column.type.name), column.type.oid) for column in columns]
