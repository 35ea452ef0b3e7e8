"""Faults on a byte stream: a server in memory, or behind a command.

Every request of the client is noted when it is sent; its fault happens when its answer comes. What the server says
unasked passes as it is.
"""

import asyncio
from collections.abc import Callable

from bascule.client.client import Client
from bascule.engine.connection import Stream
from bascule.errors import ConfigError
from bascule.testing.clock import ManualClock
from bascule.testing.faults import NO_FAULT, Faults, Plan, Sleeper, envelope
from bascule.wire.jsonrpc import RequestId


def with_faults(client: Client, *faults: Faults, clock: ManualClock | None = None) -> Client:
    """The same client, not yet connected, with faults between it and its server; counts go on when it reconnects.

    For a server in memory or behind a command. Raises ConfigError for a rule that a byte stream cannot follow, and for
    a client of a URL: `faulty_http` is for those.
    """
    plan = _plan(faults)
    try:
        return client.through(lambda stream: FaultyStream(stream, plan, clock))
    except ConfigError:
        raise ConfigError("with_faults is for servers in memory and commands; put faulty_http before a URL") from None


def _plan(faults: tuple[Faults, ...]) -> Plan:
    if any(rule.status is not None for rule in faults):
        raise ConfigError("A byte stream has no status: a status is for faulty_http")
    return Plan(faults)


class FaultyStream:
    """A Stream with faults; it takes the place of the one that it wraps."""

    def __init__(self, stream: Stream, plan: Plan, clock: ManualClock | None = None) -> None:
        self._stream = stream
        self._plan = plan
        self._clock: Sleeper | None = clock
        self._waiting: dict[RequestId, Faults] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._on_line: Callable[[bytes], None] | None = None
        self._on_close: Callable[[Exception | None], None] | None = None

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Open the stream."""
        self._on_line, self._on_close = on_line, on_close
        await self._stream.start(self._take, self._end)

    def write(self, line: bytes) -> None:
        """Send one message; a request's fault waits for its answer."""
        if self._on_line is None:
            return
        method, request_id = envelope(line)
        if method is not None and request_id is not None:
            self._waiting[request_id] = self._plan.take(method, line)
        self._stream.write(line)

    async def drain(self) -> None:
        """Return when the other end keeps up."""
        await self._stream.drain()

    async def close(self) -> None:
        """Close the stream; answers that are held back are lost."""
        self._on_line = None
        for task in self._late:
            task.cancel()
        if self._closing is None:
            await self._stream.close()
        else:
            await self._closing

    def _take(self, line: bytes) -> None:
        method, request_id = envelope(line)
        fault = NO_FAULT
        if method is None and request_id is not None:
            fault = self._waiting.pop(request_id, NO_FAULT)
        if fault.delay:
            task = asyncio.get_running_loop().create_task(self._deliver_late(line, fault))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            self._deliver(line, fault)

    async def _deliver_late(self, line: bytes, fault: Faults) -> None:
        await (asyncio.sleep(fault.delay) if self._clock is None else self._clock.sleep(fault.delay))
        self._deliver(line, fault)

    def _deliver(self, line: bytes, fault: Faults) -> None:
        if fault.close_before_answer or (fault.drop_after is not None and fault.drop_after <= len(line)):
            self._break()
            return
        for part in _answer(line, fault):
            for _ in range(2 if fault.duplicate else 1):
                if self._on_line is not None:
                    self._on_line(part)

    def _break(self) -> None:
        """The stream ends here, for both sides."""
        self._on_line = None
        self._closing = asyncio.get_running_loop().create_task(self._stream.close())
        self._end(None)

    def _end(self, cause: Exception | None) -> None:
        tell, self._on_close = self._on_close, None
        if tell is not None:
            tell(cause)


def _answer(line: bytes, fault: Faults) -> list[bytes]:
    """The lines that come in place of an answer."""
    if fault.garbage is not None:
        return [part for part in fault.garbage.split(b"\n") if part]
    if fault.truncate is not None:
        return [line[: fault.truncate]] if fault.truncate else []
    return [line]
