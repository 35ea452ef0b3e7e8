"""The choice of a database by its URL.

URLs may hold passwords: no error, log line or repr here shows one. The engines load late, so that serving SQLite needs
no PostgreSQL driver.
"""

from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from bascule import ConfigError
from bascule.late import late
from bascule.servers.sql.database import Database, Limits

_FORMS = "sqlite:///path/to/file.db or postgresql://user@host/name"


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
