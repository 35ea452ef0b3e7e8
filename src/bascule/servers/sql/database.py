"""Databases: the interface that the server's tools use, and the choice of one by its URL.

A database knows its own safety; the tools know none. URLs may hold passwords: no error, log line or repr shows one.
The engines load late, so that serving SQLite needs no PostgreSQL driver.
"""

from collections.abc import Collection
from typing import Protocol
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from bascule import ConfigError
from bascule.checks.sql import Statement
from bascule.late import late
from bascule.servers.sql.rows import MAX_BYTES, QueryResult
from bascule.servers.sql.schema import Table, TableSummary

_FORMS = "sqlite:///path/to/file.db or postgresql://user@host/name"


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


def choose(url: str | None = None, *, limits: Limits | None = None, functions: Collection[str] = ()) -> Database:
    """The database behind `url`, not opened yet; without one, a sample shop in a temporary file.

    `functions` names what queries may call besides the built-in list. Raises ConfigError for a URL that cannot work.
    """
    limits = limits or Limits()
    if url is None:
        sample: Database = late("bascule.servers.sql.sample:Sample")(limits, functions)
        return sample
    scheme = url.partition(":")[0].lower() if "://" in url else ""
    if scheme == "sqlite":
        path = _sqlite_path(url)
        sqlite: Database = late("bascule.servers.sql.sqlite:SQLite")(path, limits, functions)
        return sqlite
    if scheme in {"postgresql", "postgres"}:
        _check_host(url)
        return _postgres(url, limits, functions)
    raise ConfigError(f"The database URL has no scheme that is served; write it as {_FORMS}.")


def _sqlite_path(url: str) -> str:
    host, _, path = url.partition("://")[2].partition("/")
    if host or not path or "?" in path or "#" in path:
        raise ConfigError("A SQLite URL is sqlite:///relative/path or sqlite:////absolute/path, and nothing more.")
    return unquote(path)


def _check_host(url: str) -> None:
    try:
        urlsplit(url).port  # noqa: B018
    except ValueError:
        raise ConfigError(
            f"The PostgreSQL URL cannot be read (is a character in the password not escaped?); write {_FORMS}."
        ) from None


def _postgres(url: str, limits: Limits, functions: Collection[str]) -> Database:
    try:
        engine = late("bascule.servers.sql.postgres:Postgres")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"PostgreSQL needs the extra: pip install 'bascule[postgres]' (missing: {error.name})."
        ) from None
    database: Database = engine(url, limits, functions)
    return database
