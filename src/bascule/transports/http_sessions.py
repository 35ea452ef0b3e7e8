"""The handshake era over HTTP: sessions by id, the GET stream, DELETE, cancellation by notification.

What belongs to one session is found through its conversation; nothing here is kept for a session that is idle.
Source: specification 2025-11-25, basic/transports; 2025-03-26, basic/transports, "Batching".
"""

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.application import Application
from bascule.engine.era import Inbound
from bascule.engine.exchange import Conversation, Exchange, Principal
from bascule.engine.settings import HttpSettings
from bascule.eras.classify import check_batch, check_version_header
from bascule.eras.handshake import INITIALIZE, Handshake
from bascule.errors import InvalidRequest, MCPError
from bascule.runtime.settle import Settled, refusal, settle
from bascule.transports.http_headers import SESSION, VERSION, Headers, Receive
from bascule.transports.http_reply import Reply
from bascule.transports.session_ids import SessionIds
from bascule.wire.jsonrpc import Frame, RequestId, decode, encode, error_response, split_batch
from bascule.wire.notices import CANCELLED, CancelledParams

_decode_cancelled = msgspec.json.Decoder(CancelledParams).decode

Running = tuple[Exchange, "asyncio.Task[Any]"]


class HandshakeEndpoint:
    """Serves handshake-era traffic for one application."""

    def __init__(self, application: Application, settings: HttpSettings) -> None:
        self._application = application
        self._era = Handshake()
        self._ids = SessionIds(settings)
        self._keep_alive = settings.keep_alive_interval
        self._max_streams = settings.max_streams
        self._running: dict[tuple[str, RequestId], Running] = {}
        self._streams = 0
        self._draining = asyncio.Event()

    async def post(self, frame: Frame, headers: Headers, principal: Principal, reply: Reply) -> None:
        """Answer one message. Raises MCPError where it has no legal session."""
        check_version_header(headers.get(VERSION))
        opening = frame.method == INITIALIZE
        conversation = None if opening else self._ids.open(headers.get(SESSION), principal)
        if frame.method is UNSET or frame.id is UNSET or frame.id is None:
            self._notice(frame, conversation)
            await reply.empty(202)
            return
        settled = await self._settle(frame, Inbound(principal, reply.notify, headers, conversation), reply)
        if settled is not None:
            await reply.finish(*settled)

    async def post_batch(self, body: bytes, headers: Headers, principal: Principal, reply: Reply) -> None:
        """Answer a batch, in the one revision that has them, with one array. Raises MCPError elsewhere."""
        check_version_header(headers.get(VERSION))
        session_id = headers.get(SESSION)
        conversation = None if session_id is None else self._ids.open(session_id, principal)
        check_batch(conversation)
        inbound = Inbound(principal, reply.notify, headers, conversation)
        answers = await asyncio.gather(*(self._answer_part(part, inbound) for part in split_batch(body)))
        bodies = [answer for answer in answers if answer is not None]
        if bodies:
            await reply.finish(b"[" + b",".join(bodies) + b"]")
        else:
            await reply.empty(202)

    async def get(self, headers: Headers, principal: Principal, reply: Reply, receive: Receive) -> None:
        """Hold a GET stream open, with a comment now and then, until the client leaves or the server drains."""
        check_version_header(headers.get(VERSION))
        self._ids.open(headers.get(SESSION), principal)
        if self._streams >= self._max_streams:
            raise MCPError("Too many streams are open; try again later", code=InvalidRequest.code, status=503)
        self._streams += 1
        leaving = asyncio.ensure_future(_disconnected(receive))
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            done: set[asyncio.Future[Any]] = set()
            while not done:
                await reply.event(b":\n\n")
                done, _ = await asyncio.wait(
                    {leaving, draining}, timeout=self._keep_alive, return_when=asyncio.FIRST_COMPLETED
                )
            await reply.end()
        finally:
            self._streams -= 1
            leaving.cancel()
            draining.cancel()

    async def delete(self, headers: Headers, principal: Principal, reply: Reply) -> None:
        """End a session: its id is refused from now on, its running requests are cancelled."""
        session_id = headers.get(SESSION)
        conversation = self._ids.open(session_id, principal)
        self._ids.end(conversation.key)
        for key, running in list(self._running.items()):
            if key[0] == conversation.key:
                _cancel(running)
        await reply.empty(200)

    def drain(self) -> None:
        """End every open stream: the server is stopping."""
        self._draining.set()

    async def _settle(self, frame: Frame, inbound: Inbound, reply: Reply) -> Settled | None:
        """The answer to one request; None where its client cancelled it, which ends the reply without a result."""
        try:
            exchange = self._era.open(frame, inbound)
            key = self._began(exchange)
        except MCPError as error:
            return refusal(self._era, error, frame.id)  # type: ignore[arg-type]  # requests only
        if exchange.method == INITIALIZE:
            reply.extra = [*reply.extra, (SESSION.encode(), self._ids.mint(exchange.peer, inbound.principal).encode())]
        try:
            return await settle(self._application, self._era, exchange)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not exchange.cancelled or task is None:
                raise
            task.uncancel()
            await reply.end()
            return None
        finally:
            if key is not None:
                del self._running[key]

    async def _answer_part(self, part: bytes, inbound: Inbound) -> bytes | None:
        try:
            frame = decode(part)
        except MCPError as error:
            return encode(error_response(error))
        if frame.method is UNSET or frame.id is UNSET or frame.id is None:
            self._notice(frame, inbound.conversation)
            return None
        try:
            exchange = self._era.open(frame, inbound)
            if exchange.method == INITIALIZE:
                raise InvalidRequest("Invalid request: initialize cannot be part of a batch")
            return (await settle(self._application, self._era, exchange)).body
        except MCPError as error:
            return refusal(self._era, error, frame.id).body

    def _began(self, exchange: Exchange) -> tuple[str, RequestId] | None:
        """Remember a running request, so that its client can cancel it. Raises InvalidRequest for an id in use."""
        task = asyncio.current_task()
        if exchange.conversation is None or task is None:
            return None
        key = (exchange.conversation.key, exchange.request_id)
        if key in self._running:
            raise InvalidRequest("Invalid request: a request with this id is still running")
        self._running[key] = (exchange, task)
        return key

    def _notice(self, frame: Frame, conversation: Conversation | None) -> None:
        """A notification or response of the client; only cancellation asks for anything."""
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
