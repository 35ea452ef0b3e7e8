"""The SQL server itself: two tools, the schema as resources, and a prompt that carries the schema.

Uses only what every author may use. Which database it is, and how it is kept from writing, is the database's matter.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta

from bascule import Context, MCPError, Resource, ResourceNotFound, Server, ToolAnnotations, __version__
from bascule.servers.sql.choose import choose
from bascule.servers.sql.database import Database, Limits
from bascule.servers.sql.rows import MAX_ROWS, QueryResult
from bascule.servers.sql.schema import Table, TableList

_JSON = "application/json"
_INVALID_PARAMS = -32602
_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def build(url: str | None = None, *, limits: Limits | None = None, functions: Collection[str] = ()) -> Server:
    """A server for the database behind `url` (sqlite:///path, postgresql://…), or for a sample shop without one.

    `limits` are those of one query; `functions` names what queries may call besides the built-in list. The database is
    opened when serving starts, anew for each run of the server. Raises ConfigError where the URL cannot work.
    """
    dialect = choose(url, limits=limits, functions=functions).dialect

    @asynccontextmanager
    async def lifespan(_app: Server) -> AsyncIterator[Database]:
        database = choose(url, limits=limits, functions=functions)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    app = Server(
        "sql",
        version=__version__,
        title=f"SQL ({dialect})",
        instructions=(
            f"Reads a {dialect} database; nothing can be changed. List the tables first, read "
            "schema://{table} for columns and keys, then query. Aggregate in SQL rather than fetching many rows."
        ),
        lifespan=lifespan,
    )
    _add_tools(app, dialect)
    _add_resources(app)
    _add_prompt(app, dialect)
    _add_completion(app)
    return app


def _add_tools(app: Server, dialect: str) -> None:
    @app.tool(
        title="Query the database",
        description=(
            f"Run one read-only {dialect} statement (SELECT, VALUES, WITH … SELECT, EXPLAIN) and return its "
            "rows in column order. Numbers that JSON cannot carry exactly (numeric, integers beyond 2^53, NaN, "
            "infinities), dates, times and binary values come as text."
        ),
        annotations=_READ_ONLY,
    )
    async def query_database(
        sql: Annotated[str, Meta(description=f"One {dialect} statement that only reads.", min_length=1)],
        limit: Annotated[int, Meta(description="Return at most this many rows.", ge=1, le=MAX_ROWS)] = 100,
        *,
        ctx: Context,
    ) -> QueryResult:
        return await _database(ctx).query(sql, limit)

    @app.tool(title="List tables", annotations=_READ_ONLY)
    async def list_tables(ctx: Context) -> TableList:
        """The tables and views that can be queried, with an estimate of their rows."""
        return TableList(await _database(ctx).tables())


def _add_resources(app: Server) -> None:
    async def tables(ctx: Context) -> list[Resource]:
        return [
            Resource(
                uri=f"schema://{quote(table.name, safe='')}",
                name=table.name,
                description=table.description or f"Columns and keys of the {table.kind} {table.name}.",
                mime_type=_JSON,
            )
            for table in await _database(ctx).tables()
        ]

    @app.resource("schema://", name="schema", description="Columns and keys of all tables.", mime_type=_JSON)
    async def all_schemas(ctx: Context) -> list[Table]:
        return await _database(ctx).schema()

    @app.resource(
        "schema://{table}",
        name="table schema",
        description="Columns, types, defaults, keys and estimated rows of one table.",
        mime_type=_JSON,
        list=tables,
    )
    async def table_schema(table: str, ctx: Context) -> Table:
        return await _find(_database(ctx), table)


def _database(ctx: Context) -> Database:
    database: Database = ctx.lifespan
    return database


async def _find(database: Database, table: str) -> Table:
    found = await database.schema(table)
    if not found:
        raise ResourceNotFound(f"schema://{quote(table, safe='')}")
    return found[0]


def _add_prompt(app: Server, dialect: str) -> None:
    @app.prompt(title="Question to SQL")
    async def nl_to_sql(description: str, table: str, ctx: Context) -> str:
        """Turn a question into a query, with the table's real schema at hand.

        Args:
            description: What you want to know, in plain words.
            table: The table that the question is mainly about.
        """
        database = _database(ctx)
        try:
            schema = await _find(database, table)
        except ResourceNotFound:
            known = ", ".join(one.name for one in await database.tables())
            raise MCPError(f"There is no table {table}; there are: {known}.", code=_INVALID_PARAMS) from None
        tables = [schema]
        for name in dict.fromkeys(key.references for key in schema.foreign_keys):
            tables += [] if name == schema.name else await database.schema(name)
        return _request(dialect, description, tables)


def _add_completion(app: Server) -> None:
    @app.completion(resource="schema://{table}", argument="table")
    @app.completion(prompt="nl_to_sql", argument="table")
    async def table_names(value: str, ctx: Context) -> list[str]:
        """Tables whose name begins with the text, then those that have it elsewhere; capitals make no difference."""
        names = [table.name for table in await _database(ctx).tables()]
        found = [(name.lower().find(value.lower()), name) for name in names]
        return [name for place, name in sorted(found, key=lambda one: one[0] > 0) if place >= 0]


def _request(dialect: str, description: str, tables: list[Table]) -> str:
    shapes: list[Any] = msgspec.to_builtins(tables)
    schema = "\n".join(msgspec.json.encode(shape).decode() for shape in shapes)
    return (
        f"Write one read-only {dialect} statement that answers the question below, and nothing that changes data.\n"
        f"Use only these tables and columns (the first is the one asked about):\n\n{schema}\n\n"
        f"Question: {description}\n\n"
        "Then run it with the tool query_database and explain the answer in one or two sentences."
    )
