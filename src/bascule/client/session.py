"""A session with one server: opened, greeted and asked; and begun anew where the server has gone away.

Calls that are under way when a connection ends fail with ConnectionLost and are never left hanging. The next call
begins anew. What is safe to repeat is repeated: a few times, with growing pauses, and within the time that it has.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bascule.client.connect import Front, Openers
from bascule.client.greeting import greet
from bascule.client.inputs import Inputs
from bascule.client.telemetry import operation, session_ended
from bascule.engine.asking import MAX_ROUNDS
from bascule.engine.connection import Connection, EraName, Greeting, Introduction, SessionExpired
from bascule.engine.era import Outbound
from bascule.errors import BasculeError, ConfigError, ConnectionLost, MCPError
from bascule.runtime.inbox import Inbox
from bascule.runtime.pauses import LONGEST, pause_before
from bascule.wire.inputs import InputRequiredResult
from bascule.wire.jsonrpc import RequestId
from bascule.wire.requests import LogLevel

log = logging.getLogger("bascule")

RETRIES = 2
PAUSE = 0.25
"""Seconds before the first repetition."""

BUSY = frozenset({429, 502, 503, 504})
"""HTTP statuses that say: not now."""

_OLD = frozenset({400, 404, 405})
"""HTTP statuses with which a server of the transport before this one refuses a POST."""


Extras = tuple[Mapping[str, str] | None, Callable[[RequestId], None] | None]
"""Further HTTP headers of a request, and who is told its id."""


class Session:
    """Speaks to one server for one client."""

    def __init__(
        self,
        openers: Openers,
        introduction: Introduction,
        inbox: Inbox,
        inputs: Inputs,
        *,
        era: EraName | None,
        timeout: float | None,
        retries: int,
    ) -> None:
        self._openers = openers
        self._introduction = introduction
        self._inbox = inbox
        self._inputs = inputs
        self._era = era
        self._timeout = timeout
        self.retries = retries
        """How often what is safe to repeat is repeated."""
        self._anew = asyncio.Lock()
        self._connection: Connection | None = None
        self._greeting: Greeting | None = None
        self._closed = asyncio.Event()
        self._told: set[asyncio.Task[None]] = set()
        self._opened = 0.0
        self._probed = False
        """Whether the last greeting began with a message that some servers of the handshake era die of."""
        self.subscribed: Counter[str] = Counter()
        """How many listen to each resource, at a server of the handshake era."""
        self.log_level: LogLevel | None = None
        """The least severe level of log messages that is wanted."""
        self.on_anew: list[Callable[[], Awaitable[None]]] = []
        """What is to be done when the session was begun anew."""

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed."""
        return self._connection is not None

    @property
    def greeting(self) -> Greeting:
        """What the server said of itself. Raises RuntimeError before it was opened."""
        if self._greeting is None:
            raise RuntimeError("This client is not connected: use it inside 'async with'")
        return self._greeting

    def through(self, front: Front) -> None:
        """Speak through this from now on. Raises ConfigError for a URL, RuntimeError where it is open already."""
        if self.is_open:
            raise RuntimeError("This client is connected already")
        self._openers = self._openers.through(front)

    async def open(self) -> None:
        """Connect and greet. Raises ConnectionLost, CallTimedOut, or MCPError where the server refuses."""
        self._closed.clear()
        self._connection, self._greeting = await self._connected()
        self._opened = asyncio.get_running_loop().time()

    async def listen(self) -> None:
        """Hear what the server says unasked, from now on."""
        self._inbox.unasked = True
        if self._connection is not None:
            await self._connection.listen()

    def seconds(self, given: float | None) -> float | None:
        """The time that an answer of the server has: `given`, or this session's; None for no limit."""
        return self._timeout if given is None else None if math.isinf(given) else given

    async def until_closed(self) -> None:
        """Return when the session is closed."""
        await self._closed.wait()

    async def close(self) -> None:
        """Close the connection; calls under way fail with ConnectionLost."""
        connection, greeting = self._connection, self._greeting
        self._connection = self._greeting = None
        self._closed.set()
        if connection is not None and greeting is not None:
            self._tell_length(connection, greeting)
        for task in self._told:
            task.cancel()
        try:
            if connection is not None:
                await connection.close()
        finally:
            self._inbox.close()
            self._inbox.renew()

    async def call(
        self,
        method: str,
        params: Mapping[str, Any],
        seconds: float | None = None,
        *,
        safe: bool = True,
        headers: Mapping[str, str] | None = None,
        begun: Callable[[RequestId], None] | None = None,
    ) -> Any:
        """The result of a request, however often the server asks back; `seconds` (`math.inf` for no limit) hold for
        each answer of the server. A `safe` request may be carried out twice. `headers` go along over HTTP; `begun` is
        told the id of each message that is sent.

        Raises MCPError, ConnectionLost, CallTimedOut, ConfigError for headers that nothing carries.
        """
        result = await self._sent(method, params, seconds, safe, (headers, begun))
        for _ in range(MAX_ROUNDS):
            if not isinstance(result, InputRequiredResult):
                return result
            added = await self._inputs.answer_round(result, method, params)
            result = await self._sent(method, {**params, **added}, seconds, safe, (headers, begun))
        raise MCPError(f"The server asked back {MAX_ROUNDS} times and still did not answer {method}")

    async def _sent(
        self,
        method: str,
        params: Mapping[str, Any],
        seconds: float | None,
        safe: bool,
        extras: Extras,
    ) -> Any:
        """One answer of the server, with what repetitions it takes."""
        within = self.seconds(seconds)
        clock = asyncio.get_running_loop().time
        deadline = None if within is None else clock() + within
        attempt, left = 0, within
        while True:
            try:
                return await self._once(method, params, left, extras)
            except (ConnectionLost, MCPError) as wrong:
                pause = self._pause_after(wrong, attempt) if safe else None
                if pause is None or (deadline is not None and clock() + pause >= deadline):
                    raise
            await asyncio.sleep(pause)
            attempt += 1
            left = None if deadline is None else max(deadline - clock(), 0.001)

    def _pause_after(self, wrong: ConnectionLost | MCPError, attempt: int) -> float | None:
        """How long to wait before the next attempt; None where there must be none."""
        if attempt >= self.retries or not self.is_open:
            return None
        pause = pause_before(attempt, PAUSE)
        if isinstance(wrong, ConnectionLost):
            return pause
        asked = wrong.retry_after or 0.0
        return asked + pause if wrong.status in BUSY and asked <= LONGEST else None

    async def _once(self, method: str, params: Mapping[str, Any], within: float | None, extras: Extras) -> Any:
        if self._anew.locked():
            async with self._anew:
                pass  # it is begun anew, and this call belongs to what comes of that
        connection = self._connection
        if connection is not None and connection.lost:
            await self._begin_anew(connection)
        greeting = self.greeting
        try:
            return await self._send(greeting, method, params, within, extras)
        except SessionExpired:
            await self._greet_again(greeting)
        return await self._send(self.greeting, method, params, within, extras)

    async def _send(
        self,
        greeting: Greeting,
        method: str,
        params: Mapping[str, Any],
        within: float | None,
        extras: Extras = (None, None),
    ) -> Any:
        headers, begun = extras
        connection = self._connection
        if connection is None:
            raise ConnectionLost("The client was closed")
        if headers and not connection.carries_headers:
            raise ConfigError("Headers go with HTTP requests: they are of no use for a target that is not a URL")
        with operation(method, params, greeting.era.protocol_version, http=connection.carries_headers) as told:
            outbound = greeting.era.prepare(method, told.params, self.log_level)
            if headers:
                outbound = Outbound(outbound.params, {**headers, **outbound.headers})
            result = greeting.era.conclude(method, await connection.call(method, outbound, within, begun))
            told.answered(result)
        return result

    async def _connected(self) -> tuple[Connection, Greeting]:
        """A connection to a server that was greeted. Nothing is left open where that fails."""
        era = self._era
        first = self._openers.first
        try:
            return await self._greeted(first, era)
        except ConnectionLost:
            if era is not None or not self._probed:
                raise
            older, reason = first, None  # some servers of the handshake era end at any first message but theirs
        except MCPError as refused:
            if era == "modern" or self._openers.older is None or refused.status not in _OLD:
                raise
            older, reason = self._openers.older, refused
        try:
            return await self._greeted(older, "legacy")
        except BasculeError:
            if reason is not None:
                raise reason from None  # what the newer transport said is what the user should read
            raise

    async def _greeted(self, opener: Any, era: EraName | None) -> tuple[Connection, Greeting]:
        connection: Connection = opener(self._inbox)
        self._probed = connection.probe_timeout is not None
        try:
            await connection.start()
            greeting = await greet(connection, self._introduction, era, self._timeout)
        except BaseException:
            await connection.close()
            self._inbox.renew()
            raise
        self._openers = Openers(opener)
        self._era = greeting.name
        return connection, greeting

    async def _begin_anew(self, lost: Connection) -> None:
        """Connect again in place of a connection that has ended; one task does so for all."""
        async with self._anew:
            if self._connection is not lost:
                return
            await lost.close()
            self._inbox.renew()
            connection, greeting = await self._connected()
            if not self.is_open:  # closed meanwhile
                await connection.close()
                raise ConnectionLost("The client was closed")
            self._connection, self._greeting = connection, greeting
            await self._restore()
        self._tell_anew()

    async def _greet_again(self, expired: Greeting) -> None:
        """Open a new session in place of one that the server has ended; one task does so for all."""
        async with self._anew:
            if self._greeting is not expired or self._connection is None:
                return
            self._greeting = await greet(self._connection, self._introduction, expired.name, self._timeout)
            await self._restore()
        self._tell_anew()

    def _tell_length(self, connection: Connection, greeting: Greeting) -> None:
        """Tell how long the session lasted, where there is one: in the stateless era a process has, a URL has not."""
        if greeting.name == "legacy" or not connection.carries_headers:
            seconds = asyncio.get_running_loop().time() - self._opened
            session_ended(seconds, greeting.era.protocol_version, http=connection.carries_headers)

    def _tell_anew(self) -> None:
        for again in self.on_anew:
            task = asyncio.get_running_loop().create_task(_quietly(again()))
            self._told.add(task)
            task.add_done_callback(self._told.discard)

    async def _restore(self) -> None:
        """Say again what a server of the handshake era is told once."""
        if self.log_level is not None and self.greeting.name == "legacy":
            await self._send(self.greeting, "logging/setLevel", {"level": self.log_level}, self._timeout)


async def _quietly(work: Awaitable[None]) -> None:
    try:
        await work
    except BasculeError as wrong:
        log.warning("what the server was told before could not be told again: %s", wrong)
