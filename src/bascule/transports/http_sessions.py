"""The handshake era over HTTP: sessions by id, the GET stream, DELETE, cancellation by notification.

What belongs to one session is found through its conversation; nothing here is kept for a session that is idle.
Source: specification 2025-11-25, basic/transports; 2025-03-26, basic/transports, "Batching".
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.application import Application
from bascule.engine.era import Inbound
from bascule.engine.exchange import Conversation, Exchange, Principal
from bascule.engine.firststep import Suspended, first_step
from bascule.engine.ports import Clock, Random, Replay, Seal
from bascule.engine.settings import HttpSettings
from bascule.eras.classify import check_batch, check_version_header
from bascule.eras.handshake import INITIALIZE, Handshake
from bascule.eras.versions import primes
from bascule.errors import InvalidRequest, MCPError
from bascule.runtime.settle import Settled, failed, refusal, settle
from bascule.transports.back_channel import BackChannels
from bascule.transports.http_headers import LAST_EVENT, SESSION, VERSION, Headers, Receive
from bascule.transports.http_reply import Caller, Reply
from bascule.transports.http_streams import Recording, Streams
from bascule.transports.session_ids import SessionIds
from bascule.transports.watch import Beat
from bascule.wire.jsonrpc import Frame, RequestId, decode, encode, error_response, split_batch
from bascule.wire.notices import CANCELLED, CancelledParams

_decode_cancelled = msgspec.json.Decoder(CancelledParams).decode

_NO_INITIALIZE = "Invalid request: initialize cannot be part of a batch"

Running = tuple[Exchange, "asyncio.Task[Any]"]

Count = Callable[[Principal, str], Awaitable[None]]
"""Counts a request of an address; raises TooManyRequests."""


class HandshakeEndpoint:
    """Serves handshake-era traffic for one application."""

    def __init__(
        self,
        application: Application,
        settings: HttpSettings,
        seal: Seal,
        replay: Replay,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        self._application = application
        self._era = Handshake()
        self._ids = SessionIds(settings, seal, clock, random, self._busy)
        self._back = BackChannels(random)
        self._keep_alive = settings.keep_alive_interval
        self._replay = replay
        self._random = random
        self._streams = Streams(application.hub, replay, settings)
        self._running: dict[tuple[str, RequestId], Running] = {}

    async def post(self, frame: Frame, headers: Headers, caller: Caller, reply: Reply) -> None:
        """Answer one message. Raises MCPError where it has no legal session."""
        check_version_header(headers.get(VERSION))
        opening = frame.method == INITIALIZE
        conversation = None if opening else self._ids.open(headers.get(SESSION), caller.principal)
        if frame.method is UNSET or frame.id is UNSET or frame.id is None:
            self._notice(frame, conversation)
            await reply.empty(202)
            return
        if conversation is not None:
            reply.conversation, reply.home = conversation, self
        inbound = Inbound(caller.principal, reply, headers, conversation, caller.state, caller.address)
        exchange = self._opened(frame, inbound)
        if isinstance(exchange, Settled):
            await reply.finish(exchange.body, exchange.status, exchange.refused)
            return
        if opening:
            session = self._ids.mint(exchange.peer, caller.principal)
            reply.extra = [*reply.extra, (SESSION.encode(), session.encode())]
        begun = self._begun(exchange)
        settled = begun if isinstance(begun, Settled) else await self._waiting(begun, exchange, reply)
        if settled is None:
            await reply.end()
        else:
            await reply.finish(settled.body, settled.status, settled.refused)

    async def post_batch(
        self, body: bytes, headers: Headers, caller: Caller, reply: Reply, per_address: Count | None = None
    ) -> None:
        """Answer a batch, in the one revision that has them, with one array. Raises MCPError elsewhere.

        `per_address` has counted one request; it counts the other parts here, so that many at once cost no less.
        """
        check_version_header(headers.get(VERSION))
        session_id = headers.get(SESSION)
        conversation = None if session_id is None else self._ids.open(session_id, caller.principal)
        check_batch(conversation)
        parts = split_batch(body)
        if per_address is not None:
            for _ in parts[1:]:
                await per_address(caller.principal, caller.address)
        reply.conversation, reply.home = conversation, self
        inbound = Inbound(caller.principal, reply, headers, conversation, caller.state, caller.address)
        answers = await asyncio.gather(*(self._answer_part(part, inbound, reply) for part in parts))
        bodies = [answer for answer in answers if answer is not None]
        if bodies:
            await reply.finish(b"[" + b",".join(bodies) + b"]")
        else:
            await (reply.end() if reply.streaming else reply.empty(202))

    async def get(self, headers: Headers, caller: Caller, reply: Reply, receive: Receive) -> None:
        """Hold a GET stream open, or go on with the stream of an answer that the client lost."""
        check_version_header(headers.get(VERSION))
        conversation = self._ids.open(headers.get(SESSION), caller.principal)
        last = headers.get(LAST_EVENT)
        try:
            if last is not None:
                if await self._streams.resume(conversation, caller.principal, last, reply, receive):
                    return
                conversation = self._ids.open(headers.get(SESSION), caller.principal)  # it may have ended meanwhile
            await self._streams.listen(conversation, caller.principal, reply, receive)
        finally:
            self._ids.touch(conversation)

    async def delete(self, headers: Headers, caller: Caller, reply: Reply) -> None:
        """End a session: its id is refused from now on, its requests are cancelled, its streams end."""
        session_id = headers.get(SESSION, "")
        conversation = self._ids.open(session_id, caller.principal)
        lasted = self._ids.end(session_id)
        self._application.session_ended(lasted, conversation.peer.protocol_version, http=True)
        self._back.end(conversation.key)
        self._streams.end(conversation.key)
        for key, running in list(self._running.items()):
            if key[0] == conversation.key:
                _cancel(running)
        await reply.empty(200)

    def drain(self) -> None:
        """End every open stream and question: the server is stopping."""
        self._streams.drain()
        self._back.drain()

    async def ask(self, conversation: Conversation, reply: Reply, method: str, params: Any) -> Raw:
        """Send a request over a reply's stream and wait for its result. Raises MCPError and NotAnswered."""
        return await self._back.ask(conversation.key, reply, method, params)

    def recorder(self, conversation: Conversation) -> Recording:
        """What keeps the events of an answer, should it become a stream."""
        primed = primes(conversation.peer.protocol_version)
        return Recording(self._replay, conversation.key, self._random, primes=primed)

    def _opened(self, frame: Frame, inbound: Inbound) -> Exchange | Settled:
        """The exchange of one request, or its refusal."""
        try:
            return self._era.open(frame, inbound)
        except MCPError as error:
            return refusal(self._era, error, frame.id)  # type: ignore[arg-type]  # requests only

    def _busy(self, key: str) -> bool:
        """Whether a session has a request or a stream under way."""
        return self._streams.holds(key) or any(running[0] == key for running in self._running)

    def _begun(self, exchange: Exchange) -> Settled | Suspended[Settled]:
        """The answer to one request, or what to wait for."""
        conversation = exchange.conversation
        if conversation is not None and self._running and (conversation.key, exchange.request_id) in self._running:
            taken = InvalidRequest("Invalid request: a request with this id is still running")
            return refusal(self._era, taken, exchange.request_id)
        return first_step(settle(self._application, self._era, exchange))

    async def _waiting(self, settling: Suspended[Settled], exchange: Exchange, reply: Reply) -> Settled | None:
        """The answer to a request that waits for something; None where its client cancels it meanwhile."""
        key = (exchange.conversation.key if exchange.conversation is not None else "", exchange.request_id)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        beat = Beat(reply, self._keep_alive)
        self._running[key] = (exchange, task)
        try:
            settled = await settling
        except asyncio.CancelledError:
            if not exchange.cancelled:
                raise
            task.uncancel()
            return None
        finally:
            beat.stop()
            del self._running[key]
            if exchange.conversation is not None:
                self._ids.touch(exchange.conversation)
        return None if exchange.cancelled else settled

    async def _answer_part(self, part: bytes, inbound: Inbound, reply: Reply) -> bytes | None:
        """The answer to one part of a batch, in the task that `gather` made for it."""
        try:
            frame = decode(part)
        except MCPError as error:
            return encode(error_response(error))
        if frame.method is UNSET or frame.id is UNSET or frame.id is None:
            self._notice(frame, inbound.conversation)
            return None
        exchange = self._opened(frame, inbound)
        if isinstance(exchange, Settled):
            return exchange.body
        if exchange.method == INITIALIZE:
            return refusal(self._era, InvalidRequest(_NO_INITIALIZE), frame.id).body
        begun = self._begun(exchange)
        if isinstance(begun, Settled):
            return begun.body
        try:
            settled = await self._waiting(begun, exchange, reply)
        except asyncio.CancelledError as error:
            settled = failed(self._era, exchange, error)
        return None if settled is None else settled.body

    def _notice(self, frame: Frame, conversation: Conversation | None) -> None:
        """A notification or response of the client; of the former, only cancellation asks for anything."""
        if frame.method is UNSET:
            self._back.settle(conversation, frame)
        if frame.method != CANCELLED or conversation is None or not isinstance(frame.params, Raw):
            return
        try:
            wanted = _decode_cancelled(frame.params).request_id
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return
        running = None if wanted is UNSET else self._running.get((conversation.key, wanted))
        if running is not None:
            _cancel(running)


def _cancel(running: Running) -> None:
    exchange, task = running
    exchange.cancelled = True
    task.cancel()
