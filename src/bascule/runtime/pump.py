"""The server's side of a byte stream (stdio, memory): one message in, its answer out, many at a time.

Every request runs in a task of its own, so that it can be cancelled; notices are written as they come; answers leave in
the order in which they are ready. When more than `limit` requests run, the transport is told to stop reading.
Knows frames, eras by their seams, and a `write`; does not know what carries the bytes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.application import Application
from bascule.engine.era import Inbound, ServerEra
from bascule.engine.exchange import Conversation, Exchange, Principal
from bascule.errors import InvalidRequest, MCPError
from bascule.runtime.settle import refusal, settle
from bascule.wire.jsonrpc import Frame, Request, RequestId, decode, encode, error_response, is_batch, split_batch
from bascule.wire.notices import CANCELLED, CancelledParams

log = logging.getLogger("bascule")

MAX_RUNNING = 100
"""How many requests of one stream may run, or wait for their answer to be taken, before its reading pauses."""

_decode_cancelled = msgspec.json.Decoder(CancelledParams).decode


class Route(Protocol):
    """Which era a request on a stream belongs to, and what a handshake leaves behind."""

    def era_of(self, frame: Frame, conversation: Conversation | None) -> ServerEra: ...

    def conversation_of(self, exchange: Exchange) -> Conversation | None: ...

    def check_batch(self, conversation: Conversation | None) -> None: ...


class Running(NamedTuple):
    """A request under way."""

    exchange: Exchange
    task: asyncio.Task[None]


class Pump:
    """Feeds the messages of one stream to an application. `write` takes one message without its newline."""

    def __init__(
        self,
        application: Application,
        route: Route,
        principal: Principal,
        write: Callable[[bytes], None],
        drained: Callable[[], Awaitable[None]],
        limit: int = MAX_RUNNING,
    ) -> None:
        self._application = application
        self._route = route
        self._principal = principal
        self._write = write
        self._drained = drained
        self._limit = limit
        self._running: dict[RequestId, Running] = {}
        self._batches: set[asyncio.Task[None]] = set()
        self._conversation: Conversation | None = None
        self._room = asyncio.Event()
        self._room.set()

    @property
    def full(self) -> bool:
        """Whether the transport should stop reading until `room` returns."""
        return len(self._running) >= self._limit

    async def room(self) -> None:
        """Wait until another request may be fed."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def feed(self, line: bytes) -> None:
        """Take one message. Never raises; what cannot be read is answered with its error."""
        try:
            if is_batch(line):
                self._route.check_batch(self._conversation)
                self._start_batch(split_batch(line))
                return
            answer = self._take(decode(line), self._write)
        except MCPError as error:
            answer = encode(error_response(error))
        if answer is not None:
            self._write(answer)

    async def finish(self, patience: float, grace: float = 0.5) -> None:
        """Wait `patience` seconds for what runs, then cancel it and wait `grace` seconds for that."""
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=patience)
        for task in self._tasks():
            task.cancel()
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=grace)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [running.task for running in self._running.values()] + list(self._batches)

    def _take(self, frame: Frame, write: Callable[[bytes], None]) -> bytes | None:
        """Start what a frame asks for; returns the answer where it is known at once."""
        if frame.method is UNSET:
            return None
        if frame.id is UNSET or frame.id is None:
            self._notice(frame)
            return None
        era = self._route.era_of(frame, self._conversation)
        try:
            if frame.id in self._running:
                raise InvalidRequest("Invalid request: a request with this id is still running")
            exchange = era.open(frame, Inbound(self._principal, self._notify, None, self._conversation))
        except MCPError as error:
            return refusal(era, error, frame.id).body
        self._conversation = self._route.conversation_of(exchange) or self._conversation
        task = asyncio.get_running_loop().create_task(self._serve(era, exchange, write))
        self._running[frame.id] = Running(exchange, task)
        return None

    async def _serve(self, era: ServerEra, exchange: Exchange, write: Callable[[bytes], None]) -> None:
        try:
            settled = await settle(self._application, era, exchange)
            if not exchange.cancelled:
                write(settled.body)
                await self._drained()
        finally:
            del self._running[exchange.request_id]
            if not self._room.is_set():
                self._room.set()

    def _notice(self, frame: Frame) -> None:
        """A notification from the client: only cancellation asks for anything."""
        if frame.method != CANCELLED or not isinstance(frame.params, Raw):
            return
        try:
            wanted = _decode_cancelled(frame.params)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return
        running = None if wanted.request_id is UNSET else self._running.get(wanted.request_id)
        if running is not None:
            log.info("request %r was cancelled by the client: %s", wanted.request_id, wanted.reason or "no reason")
            running.exchange.cancelled = True
            running.task.cancel()

    async def _notify(self, notice: Request) -> None:
        self._write(encode(notice))
        await self._drained()

    def _start_batch(self, parts: list[bytes]) -> None:
        """Answer a batch with one array, when the last of its requests is done."""
        answers: list[bytes] = []
        before = set(self._running)
        for part in parts:
            try:
                answer = self._take(decode(part), answers.append)
            except MCPError as error:
                answer = encode(error_response(error))
            if answer is not None:
                answers.append(answer)
        started = [running.task for request_id, running in self._running.items() if request_id not in before]
        task = asyncio.get_running_loop().create_task(self._finish_batch(started, answers))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _finish_batch(self, tasks: list[asyncio.Task[None]], answers: list[bytes]) -> None:
        if tasks:
            await asyncio.wait(tasks)
        if answers:
            self._write(b"[" + b",".join(answers) + b"]")
