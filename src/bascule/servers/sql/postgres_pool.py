"""Connections to PostgreSQL: how many there are, what happens to one that does not answer, what is left on one.

A backend that is in the middle of one long step hears neither a cancellation nor that its client is gone. Its place is
not given to a new connection before it has ended: so there are never more backends at work than places.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from bascule import ConfigError, ToolError
from bascule.servers.sql.postgres_wire import UNREACHABLE, Connection, Metered

_SETTINGS = {"application_name": "bascule", "client_encoding": "UTF8"}
_RESET = "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock_all(); RESET ALL"
_GRACE = 0.5
_POLL_SECONDS = 0.5
_ALIVE = "SELECT pid FROM pg_catalog.pg_stat_activity WHERE pid = ANY ($1::int[]) AND application_name = 'bascule'"

_LOG = logging.getLogger(__name__)


class Pool:
    """At most `places` connections at work, made when needed, and one more that watches those that do not answer."""

    def __init__(self, url: str, places: int, seconds: float) -> None:
        self._url = url
        self._places = asyncio.Semaphore(places)
        self._size = places + 1
        self._seconds = seconds
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lost: set[int] = set()
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the URL; the first connection is made by the first query, so the database may come up later."""
        await _check(self._url)
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            statement_cache_size=0,
            connection_class=Metered,
            reset=_keep,
            timeout=self._seconds,
            server_settings=_SETTINGS,
        )

    async def close(self) -> None:
        """Close the connections; queries that still run are cancelled."""
        pool, self._pool = self._pool, None
        if self._watch is not None:
            self._watch.cancel()
        if pool is not None:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of one's own. Afterwards what the session holds is reset, or the connection thrown away."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise ToolError("Too many queries are running; try again later.") from None
        pid = 0
        try:
            async with self._acquired() as connection:
                pid = connection.get_server_pid()
                try:
                    yield connection
                finally:
                    pid = 0 if await _reset(connection) else pid
        finally:
            self._leave(pid)

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise ToolError("The database is closed.")
        try:
            connection = await self._pool.acquire(timeout=self._seconds)
        except TimeoutError:
            raise ToolError("The database did not answer in time; try again later.") from None
        except (asyncpg.PostgresError, *UNREACHABLE) as error:
            raise unreachable(error) from None
        try:
            yield connection
        finally:
            if self._pool is not None:
                with suppress(TimeoutError, asyncpg.PostgresError, *UNREACHABLE):
                    await self._pool.release(connection, timeout=_GRACE)

    def _leave(self, lost: int) -> None:
        """Free the place, at once or when the backend that was lost has ended."""
        if not lost or self._pool is None:
            self._places.release()
            return
        self._lost.add(lost)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._watch_lost())

    async def _watch_lost(self) -> None:
        while self._lost and self._pool is not None:
            try:
                rows = await self._pool.fetch(_ALIVE, list(self._lost), timeout=self._seconds)
            except (TimeoutError, asyncpg.PostgresError, *UNREACHABLE):
                rows = []  # a server that is gone has no backends; one that comes back has new ones
            ended = self._lost - {row["pid"] for row in rows}
            self._lost -= ended
            for _ in ended:
                self._places.release()
            await asyncio.sleep(_POLL_SECONDS if self._lost else 0)


def unreachable(error: BaseException) -> ToolError:
    """What a model is told of a connection that failed; the log learns the kind, nobody the address."""
    state = getattr(error, "sqlstate", None) or getattr(error, "errno", None)
    _LOG.warning("PostgreSQL cannot be reached: %s (%s)", type(error).__name__, state)
    return ToolError("The database cannot be reached; try again later, and see the server's log.")


async def _reset(connection: Connection) -> bool:
    """End the transaction and what the session holds; False where the backend does not even hear that."""
    try:
        await connection.execute(_RESET, timeout=_GRACE)
    except TimeoutError:
        heard = False
    except (asyncpg.PostgresError, *UNREACHABLE):
        heard = True  # the line is cut, and a backend without a line ends when it next speaks
    except BaseException:  # cancelled: a session that was not reset must not serve another query
        _terminate(connection)
        raise
    else:
        return True
    _terminate(connection)
    return heard


def _terminate(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _keep(_connection: object) -> None:
    """The session was reset together with the transaction."""


async def _check(url: str) -> None:
    """Raise ConfigError for what asyncpg cannot use: it says so only when it connects, before it waits for anything."""
    try:
        connection = await asyncpg.connect(url, timeout=0, server_settings=_SETTINGS)
    except (asyncpg.InterfaceError, ValueError, TypeError, ssl.SSLError):
        raise ConfigError("The PostgreSQL URL cannot be used; check its host, port and options.") from None
    except FileNotFoundError:
        if "sslrootcert=" in url or "sslcert=" in url:
            raise ConfigError("The PostgreSQL URL names a certificate file that is not there.") from None
    except OSError:
        return
    else:
        connection.terminate()
