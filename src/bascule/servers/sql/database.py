"""Databases: the interface that the server's tools use, and what one query may cost.

A database knows its own safety; the tools know none.
"""

from typing import Protocol

from msgspec import Struct

from bascule.checks.sql import Statement
from bascule.servers.sql.rows import MAX_BYTES, QueryResult
from bascule.servers.sql.schema import Table, TableSummary


class Limits(Struct, frozen=True):
    """What one query may cost: seconds, bytes of JSON in its result, and how many run at once."""

    seconds: float = 10.0
    max_bytes: int = MAX_BYTES
    concurrency: int = 4


class Database(Protocol):
    """A database that can only be read. Everything it raises on purpose is a `ToolError`."""

    dialect: str

    async def open(self) -> None:
        """Make it ready. Raises ConfigError where the settings cannot work."""

    async def close(self) -> None:
        """Let go of connections, threads and temporary files. Running queries are stopped."""

    async def query(self, sql: str, limit: int) -> QueryResult:
        """Check the text and run it. Cancelling the task stops the query."""

    async def run(self, statement: Statement, limit: int) -> QueryResult:
        """Run without the check: the engine's own read-only mode is then the only lock."""

    async def tables(self) -> list[TableSummary]:
        """The tables and views that can be read, by name."""

    async def schema(self, table: str | None = None) -> list[Table]:
        """One table in full, or all; empty where there is no such table."""
