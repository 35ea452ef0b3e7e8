"""One connection to Redis that runs the script of the counters, many charges in one round trip.

Knows Redis and nothing of limits. Keeps no time of its own: whoever calls bounds it.
"""

from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from bascule.errors import ConfigError

SCRIPT = (Path(__file__).parent / "limits.lua").read_bytes()
_SHA = sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()

Command = tuple[bytes | str | int, ...]
Reply = list[int]


def charge(keys: tuple[str, ...], arguments: tuple[int, ...]) -> Command:
    """The command that runs the script."""
    return (b"EVALSHA", _SHA, len(keys), *keys, *arguments)


class Link:
    """A connection, made when it is first used and again after `drop`."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for what is no URL of a Redis."""
        try:
            self._pool = ConnectionPool.from_url(
                url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 0), protocol=2
            )
        except (ValueError, TypeError):
            raise ConfigError(
                "The URL of Redis must begin with redis://, rediss:// or unix://, as in redis://localhost:6379/0"
            ) from None
        self._connection: AbstractConnection | None = None

    async def open(self) -> AbstractConnection:
        """The connection, with the script known to the server. Raises RedisError and OSError."""
        if self._connection is None:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._load(connection)
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            self._connection = connection
        return self._connection

    async def run(self, commands: list[Command]) -> list[Reply]:
        """The replies, in order; each command was done once. Raises RedisError and OSError, after which `drop` it."""
        connection = await self.open()
        replies, unknown = await self._round(connection, commands)
        if unknown:
            await self._load(connection)
            again, unknown = await self._round(connection, [commands[place] for place in unknown], unknown)
            if unknown:
                raise NoScriptError("the server does not keep the script")
            replies.update(again)
        return [replies[place] for place in range(len(commands))]

    async def refresh(self) -> None:
        """Drop a connection that the server has closed meanwhile: the next use makes a new one."""
        if self._connection is not None:
            try:
                stale = await self._connection.can_read()
            except (OSError, RedisError):
                stale = True
            if stale:
                await self.drop()

    async def drop(self) -> None:
        """Close the connection; what is under way on it is lost."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _round(
        self, connection: AbstractConnection, commands: list[Command], places: list[int] | None = None
    ) -> tuple[dict[int, Reply], list[int]]:
        """The replies by place, and the places of the commands whose script the server did not know."""
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: dict[int, Reply] = {}
        unknown: list[int] = []
        for place in range(len(commands)) if places is None else places:
            try:
                replies[place] = await connection.read_response(disable_decoding=True)
            except NoScriptError:
                unknown.append(place)
        return replies, unknown

    async def _load(self, connection: AbstractConnection) -> Any:
        await connection.send_command("SCRIPT", "LOAD", SCRIPT, check_health=False)
        return await connection.read_response()
