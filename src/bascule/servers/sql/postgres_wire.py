"""What asyncpg leaves open: how many bytes a server may send, and which words of its errors a model may read.

asyncpg keeps a whole message in memory, however long: a row, an error that quotes a value, a plan that prints one.
`Meter` stands between transport and protocol, counts what arrives, and cuts the line where a query passes its share.
"""

import asyncio
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from bascule import ToolError

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

UNREACHABLE = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

_MESSAGE = 500


class Meter(asyncio.Protocol):
    """Passes everything on to asyncpg's protocol until the share is used up; then the connection is gone."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport
        self._left = 0
        self.overflowed = False

    def start(self, share: int) -> None:
        """Allow `share` bytes from now on."""
        self._left = share
        self.overflowed = False

    def data_received(self, data: bytes) -> None:
        """Count and pass on, or cut the line."""
        self._left -= len(data)
        if self._left >= 0:
            self._protocol.data_received(data)
        elif not self.overflowed:
            self.overflowed = True
            self._transport.abort()

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._protocol.resume_writing()


class Metered(asyncpg.Connection):
    """A connection that counts what it receives, from the moment it is ready."""

    def __init__(self, protocol: Any, transport: Any, *arguments: Any) -> None:
        super().__init__(protocol, transport, *arguments)
        self.meter = Meter(protocol, transport)
        self.meter.start(1 << 20)
        transport.set_protocol(self.meter)


def told(error: asyncpg.PostgresError, sql: str) -> ToolError:
    """The database's own words about a query: message, place and hint. `sql` is the text as the caller wrote it."""
    message = str(error.args[0] if error.args else error)[:_MESSAGE].rstrip(".")
    place = _place(error, sql)
    hint = getattr(error, "hint", None)
    advice = f" Hint: {hint[:_MESSAGE]}" if hint else ""
    return ToolError(f"PostgreSQL says: {message}{place}.{advice}")


def _place(error: asyncpg.PostgresError, sql: str) -> str:
    position = getattr(error, "position", None)
    if position is None or not sql or getattr(error, "query", None) != sql:
        return ""
    before = sql[: int(position) - 1]
    return f" (line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"
