"""The server's side of a byte stream (stdio, memory): one message in, its answer out, many at a time.

Requests queue, and tasks take them from the queue: one task goes from request to request for as long as none of them
waits for anything, and another takes over when one does. So quick calls cost no task of their own, and slow ones run
side by side, at most `limit` of them. A task that a handler left with other context variables than it found serves no
further request. Only a full queue asks the transport to stop reading: cancellations and the end of the stream are seen
before.
Knows frames, eras by their seams, and a `write`; does not know what carries the bytes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, Protocol, cast

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from bascule.engine.application import Application
from bascule.engine.asking import ANSWER_TIMEOUT
from bascule.engine.era import Inbound, ServerEra
from bascule.engine.exchange import Conversation, Exchange, Principal
from bascule.engine.hub import LISTS
from bascule.engine.link import Link
from bascule.engine.notices import notice_of
from bascule.errors import ConnectionLost, InvalidRequest, MCPError, NotAnswered
from bascule.runtime.settle import failed, refusal, settle
from bascule.wire.jsonrpc import Frame, Request, RequestId, decode, encode, error_response, is_batch, split_batch
from bascule.wire.notices import CANCELLED, CancelledParams

log = logging.getLogger("bascule")

MAX_RUNNING = 100
"""How many requests of one stream may run, or wait for their answer to be taken, at once."""

MAX_QUEUED = 1000
"""How many more may wait for that before reading pauses."""

_decode_cancelled = msgspec.json.Decoder(CancelledParams).decode

MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""How long those that wait and are longer than HEAVY may be in all, before reading pauses."""

HEAVY = 64 * 1024

Answered = Callable[[bytes | None], None]
"""Takes the answer to one request, or None where there will be none. Called once."""


class Route(Protocol):
    """Which era a request on a stream belongs to, and what a handshake leaves behind."""

    def era_of(self, frame: Frame, conversation: Conversation | None) -> ServerEra: ...

    def conversation_of(self, exchange: Exchange) -> Conversation | None: ...

    def check_batch(self, conversation: Conversation | None) -> None: ...

    def opens_conversation(self, frame: Frame) -> bool: ...


Queued = tuple[ServerEra, Exchange, Answered]
"""A request that waits for its turn."""

Running = tuple[Exchange, "asyncio.Task[None]"]
"""A request under way, and the task that serves it."""


class Pump:
    """Feeds the messages of one stream to an application. `write` takes one message without its newline.

    Requests queue until `open`: they may come before the application is ready.
    """

    def __init__(
        self,
        application: Application,
        route: Route,
        principal: Principal,
        write: Callable[[bytes], None],
        drained: Callable[[], Awaitable[None]],
        limit: int = MAX_RUNNING,
        http: bool = False,
        address: str = "",
    ) -> None:
        """`http` says that the stream's messages come over HTTP, and then `address` is the client's."""
        self._application = application
        self._http = http
        self._closed = False
        self._route = route
        self._write = write
        self._drained = drained
        self._limit = limit
        self._state: Mapping[Any, Any] | None = None
        self._running: dict[RequestId, Running] = {}
        self._queue: dict[RequestId, Queued] = {}
        self._heavy: dict[RequestId, int] = {}
        self._heavy_bytes = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._starting = False
        """Whether a worker has been made that has not taken its first request yet."""
        self._link = Link()
        self._inbound = Inbound(principal, self, address=address)
        self._conversation: Conversation | None = None
        self._telling: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._closing = False
        self._since = 0.0
        """When the client shook hands, on the loop's clock."""

    def open(self, state: Mapping[Any, Any]) -> None:
        """Start what waits: the application runs, and `state` is what its lifespans yielded."""
        self._state = state
        self._need_worker()

    @property
    def busy(self) -> bool:
        """Whether any request waits or runs."""
        return bool(self._running or self._queue)

    @property
    def full(self) -> bool:
        """Whether the transport should stop reading until `room` returns."""
        return len(self._queue) >= MAX_QUEUED or self._heavy_bytes >= MAX_QUEUED_BYTES

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
                self._take_batch(split_batch(line))
            else:
                self._take(decode(line), self._answer, len(line))
        except MCPError as error:
            self._write(encode(error_response(error)))

    async def finish(self, patience: float, grace: float = 0.5) -> None:
        """Wait `patience` seconds for what runs and waits, then cancel it and wait `grace` seconds for that."""
        for exchange, _ in self._running.values():
            if exchange.listener is not None:
                exchange.listener.end()
        deadline = asyncio.get_running_loop().time() + patience
        while self._workers and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._workers, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._closing = True
        self._link.lose("The connection has ended")
        if self._conversation is not None and not self._closed:
            lasted = asyncio.get_running_loop().time() - self._since
            self._application.session_ended(lasted, self._conversation.peer.protocol_version, http=self._http)
        self._closed = True
        if self._conversation is not None and self._conversation.listener is not None:
            self._conversation.listener.close()
        if self._telling is not None:
            self._telling.cancel()
        self._queue.clear()
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace)

    def _answer(self, body: bytes | None) -> None:
        if body is not None:
            self._write(body)

    def _take(self, frame: Frame, answered: Answered, size: int) -> None:
        """Start or queue what a frame asks for, or answer it at once. Calls `answered` once, now or later."""
        if frame.method is UNSET:
            self._link.settle(frame)
            answered(None)
            return
        if frame.id is UNSET or frame.id is None:
            self._notice(frame)
            answered(None)
            return
        era = self._route.era_of(frame, self._conversation)
        try:
            if frame.id in self._running or frame.id in self._queue:
                raise InvalidRequest("Invalid request: a request with this id is still running")
            exchange = era.open(frame, self._inbound)
        except MCPError as error:
            answered(refusal(era, error, frame.id).body)
            return
        conversation = self._route.conversation_of(exchange)
        if conversation is not None:
            if self._conversation is None:
                self._since = asyncio.get_running_loop().time()
            self._conversation = conversation
            self._listen(conversation)
            self._inbound = replace(self._inbound, conversation=conversation)
        self._queue[frame.id] = (era, exchange, answered)
        if size > HEAVY:
            self._heavy[frame.id] = size
            self._heavy_bytes += size
        self._need_worker()

    def _listen(self, conversation: Conversation) -> None:
        """Tell a client that has shaken hands of what changes, from now on."""
        if self._conversation is not None and self._conversation.listener is not None:
            self._conversation.listener.close()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._tell)

        conversation.listener = self._application.hub.listen(LISTS, wake, self._inbound.principal.scopes)

    def _tell(self) -> None:
        if (self._telling is None or self._telling.done()) and not self._closing:
            self._telling = asyncio.get_running_loop().create_task(self._tell_all())

    async def _tell_all(self) -> None:
        listener = self._conversation and self._conversation.listener
        while listener and (topics := listener.take()):
            for topic in topics:
                await self.notify(notice_of(topic))

    def _need_worker(self) -> None:
        """Have somebody take the next request, unless somebody is about to, or as many run as may."""
        if self._starting or not self._queue or self._state is None or len(self._workers) >= self._limit:
            return
        self._starting = True
        worker = asyncio.get_running_loop().create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._retired)

    def _retired(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if not self._closing:
            self._need_worker()

    async def _work(self) -> None:
        """Serve requests until none waits."""
        clean = copy_context()
        self._starting = False
        task = cast("asyncio.Task[None]", asyncio.current_task())
        while self._queue and copy_context() == clean:
            request_id = next(iter(self._queue))
            queued = self._queue.pop(request_id)
            if self._heavy:
                self._heavy_bytes -= self._heavy.pop(request_id, 0)
            self._running[request_id] = (queued[1], task)
            if self._queue:
                self._need_worker()
            if not self._room.is_set() and not self.full:
                self._room.set()
            try:
                await self._serve(queued, task)
            finally:
                del self._running[request_id]

    async def _serve(self, queued: Queued, task: "asyncio.Task[None]") -> None:
        era, exchange, answered = queued
        exchange.state = cast("Mapping[Any, Any]", self._state)
        try:
            settled = await settle(self._application, era, exchange)
        except asyncio.CancelledError as error:
            if self._closing:
                raise
            task.uncancel()  # the request was cancelled, by its client or by its own handler: the worker goes on
            answered(None if exchange.cancelled else failed(era, exchange, error).body)
            return
        if exchange.cancelled:
            while task.uncancel():  # the handler has swallowed its cancellation
                pass
            answered(None)
            return
        answered(settled.body)
        if exchange.listener is not None:
            self._write(encode(Request(CANCELLED, CancelledParams(exchange.request_id, "The subscription has ended"))))
        await self._drained()

    def _notice(self, frame: Frame) -> None:
        """A notification from the client: only cancellation asks for anything."""
        if frame.method != CANCELLED or not isinstance(frame.params, Raw):
            return
        try:
            wanted = _decode_cancelled(frame.params)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return
        if wanted.request_id is UNSET:
            return
        running, queued = self._running.get(wanted.request_id), self._queue.pop(wanted.request_id, None)
        self._heavy_bytes -= self._heavy.pop(wanted.request_id, 0)
        if running is not None:
            log.info("request %r was cancelled by the client: %s", wanted.request_id, wanted.reason or "no reason")
            exchange, task = running
            exchange.cancelled = True
            task.cancel()
        elif queued is not None:
            _, _, answered = queued
            answered(None)

    async def notify(self, notice: Request) -> None:
        """Send a notification to the client."""
        self._write(encode(notice))
        await self._drained()

    async def release(self, retry: float) -> None:
        """A stream cannot be let go of."""

    async def ask(self, method: str, params: Any) -> Raw:
        """Send the client a request and wait for its result. Raises MCPError (the client's error) and NotAnswered."""
        waiter: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        request_id = self._link.next_id()
        try:
            self._link.open(request_id, waiter)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                self._write(encode(Request(method, params, request_id)))
                await self._drained()
                return await waiter
        except (TimeoutError, ConnectionLost):
            raise NotAnswered("The client has not answered") from None
        finally:
            if self._link.abandon(request_id):
                self._write(encode(Request(CANCELLED, CancelledParams(request_id, "Nobody waits for it any more"))))

    def _take_batch(self, parts: list[bytes]) -> None:
        """Answer a batch with one array, when the last of its requests is done."""
        batch = Batch(len(parts), self._write)
        for part in parts:
            try:
                frame = decode(part)
                if self._route.opens_conversation(frame):
                    raise InvalidRequest("Invalid request: initialize cannot be part of a batch")
                self._take(frame, batch.answered, len(part))
            except MCPError as error:
                batch.answered(encode(error_response(error)))


class Batch:
    """Collects the answers to the parts of a batch, and writes them as one array when the last is there."""

    def __init__(self, parts: int, write: Callable[[bytes], None]) -> None:
        self._open = parts
        self._write = write
        self._answers: list[bytes] = []

    def answered(self, body: bytes | None) -> None:
        """Take the answer to one part; None where there is none."""
        self._open -= 1
        if body is not None:
            self._answers.append(body)
        if not self._open and self._answers:
            self._write(b"[" + b",".join(self._answers) + b"]")
