"""Streamable HTTP, server side: one endpoint, both eras, as plain ASGI.

A request runs in the task that the ASGI server made for it; a task or a stream of its own is made only when the handler
suspends (then somebody must watch for a client that leaves) or sends something before its result.
Source: specification 2026-07-28, basic/transports/streamable-http.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET

from bascule.engine.application import Application
from bascule.engine.era import Inbound, ServerEra
from bascule.engine.exchange import ANONYMOUS, Exchange, Principal
from bascule.engine.firststep import Suspended, first_step
from bascule.engine.hub import Listener
from bascule.engine.ports import Authenticator, Clock, MakeSeal, Marks, Random, Seal
from bascule.engine.settings import HttpSettings
from bascule.eras.classify import Eras, check_batch_header
from bascule.errors import ConfigError, Draining, InternalError, InvalidRequest, MCPError, NotAdmitted
from bascule.runtime.lifespan import Lifespan, State
from bascule.runtime.settle import Settled, refusal, settle
from bascule.transports.http_edge import Edge, read_body
from bascule.transports.http_headers import (
    SESSION,
    VERSION,
    Headers,
    Receive,
    Scope,
    Send,
    accepted,
    check_content_type,
    drop_credentials,
    read_headers,
)
from bascule.transports.http_pages import Pages, Visit
from bascule.transports.http_reply import ANSWER, Caller, Reply
from bascule.transports.watch import Beat, Watch
from bascule.wire.jsonrpc import Frame, decode, is_batch

if TYPE_CHECKING:
    from bascule.transports.http_sessions import HandshakeEndpoint
    from bascule.transports.legacy_sse import LegacyEndpoint

log = logging.getLogger("bascule")

_NONE: Mapping[str, Any] = {}
_HEALTH = ("/health", "/healthz", "/readyz")
_LEGACY = frozenset(("/sse", "/messages", "/messages/"))


class MakeEndpoint(Protocol):
    """Makes the endpoint of the handshake era, when the first such client comes."""

    def __call__(self, application: Application, settings: HttpSettings, seal: Seal, /) -> "HandshakeEndpoint": ...


class MakeLegacy(Protocol):
    """Makes the endpoint of the transport before this one, when its first client comes."""

    def __call__(
        self, application: Application, settings: HttpSettings, make_seal: MakeSeal, /
    ) -> "LegacyEndpoint": ...


PerAddress = Callable[[Principal, str], Awaitable[None]]
"""Counts the requests of an address; raises TooManyRequests."""


class HttpServer:
    """An ASGI application that serves one Application."""

    def __init__(
        self,
        application: Application,
        settings: HttpSettings,
        make_endpoint: MakeEndpoint,
        make_legacy: MakeLegacy,
        make_seal: MakeSeal,
        marks: Marks | None = None,
        clock: Clock = time.time,
        random: Random = os.urandom,
        authenticator: Authenticator | None = None,
        per_address: PerAddress | None = None,
    ) -> None:
        self._application = application
        self._settings = settings
        self._edge = Edge(settings)
        self._authenticator = authenticator
        self._per_address = per_address
        self._has_door = authenticator is not None or per_address is not None
        self._eras = Eras(application, make_seal, marks, clock, random)
        self._lifespan = Lifespan(application)
        self._make_endpoint = make_endpoint
        self._make_seal = make_seal
        self._handshake: HandshakeEndpoint | None = None
        self._path = "/" + settings.path.strip("/")
        self._paths = {"", "/", self._path, self._path + "/"}
        self._make_legacy = make_legacy
        self._legacy: LegacyEndpoint | None = None
        self._legacy_paths = _LEGACY if settings.legacy_sse else frozenset[str]()
        if self._paths & self._legacy_paths:
            raise ConfigError(f"With legacy_sse, the setting path in [http] cannot be {self._path}")
        self._paths |= self._legacy_paths
        application.routes.reserve(self._paths)
        self._pages = Pages(application.routes, settings, self._edge, self._admitted)
        self._caller = Caller(ANONYMOUS, {})
        self._draining = False
        self._listeners: dict[Listener, None] = {}
        self._failed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: a request for health, a preflight, or one to the endpoint; or what is no request."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path = _path(scope)
        reply = Reply(send, (scope.get("extensions") or _NONE).get(ANSWER))
        if path in _HEALTH:
            await self._health(path, reply)
            return
        try:
            headers = read_headers(scope["headers"])
            if path not in self._paths:
                await self._pages.serve(Visit(path, scope, headers, receive, send), reply)
                return
            method = scope["method"]
            if method == "OPTIONS":
                reply.extra = self._edge.preflight(headers)
                await reply.empty(204)
                return
            reply.extra = self._edge.admit(headers)
            caller = Caller(ANONYMOUS, self._caller.state, _address(scope))
            if self._has_door or self._lifespan.state is not State.READY:
                caller = await self._let_in(caller, headers)
            if path in self._legacy_paths:
                await self._of_legacy().serve(scope, headers, caller, reply, receive)
            elif method == "POST":
                await self._post(headers, caller, reply, receive)
            else:
                await self._get_or_delete(method, headers, caller, reply, receive)
        except MCPError as error:
            await reply.refuse(error)
        except Exception:
            log.exception("a request failed")
            await reply.fail()

    async def _admitted(self, scope: Scope, headers: dict[str, str], public: bool) -> Caller:
        """Who asks for a page, with the state of the application, which runs then. Raises MCPError."""
        return await self._let_in(Caller(ANONYMOUS, self._caller.state, _address(scope)), headers, public)

    async def _let_in(self, caller: Caller, headers: dict[str, str], public: bool = False) -> Caller:
        """Who sent a request, as far as that is shown; nobody is asked to show it where `public`. With the first one
        that may, the application opens, where no outer lifespan did that. Raises MCPError for who may not."""
        principal, _, address = caller
        if self._authenticator is not None and not public:
            principal = await self._authenticator.authenticate(headers, address)
            drop_credentials(headers)  # so that no handler can pass them on
        if self._per_address is not None and principal.anonymous:
            await self._per_address(principal, address)
        if self._lifespan.state is not State.READY:
            await self._start_late()
        return Caller(principal, self._caller.state, address)

    def drain(self) -> None:
        """The server is about to stop: say so at /readyz, begin nothing new, and end the open streams."""
        self._draining = True
        for listener in self._listeners:
            listener.end()
        if self._handshake is not None:
            self._handshake.drain()
        if self._legacy is not None:
            self._legacy.drain()

    async def _get_or_delete(
        self, method: str, headers: Headers, caller: Caller, reply: Reply, receive: Receive
    ) -> None:
        if method not in ("GET", "DELETE") or SESSION not in headers:
            reply.extra = [*reply.extra, (b"allow", b"POST, GET, DELETE, OPTIONS")]
            raise NotAdmitted("Send a JSON-RPC message with POST; GET and DELETE need an Mcp-Session-Id", status=405)
        if method == "GET":
            _check_takes_stream(headers)
            await self._of_handshake().get(headers, caller, reply, receive)
        else:
            await self._of_handshake().delete(headers, caller, reply)

    async def _post(self, headers: Headers, caller: Caller, reply: Reply, receive: Receive) -> None:
        check_content_type(headers)
        reply.takes(accepted(headers))
        body = await read_body(receive, headers, self._settings.max_body_bytes)
        if is_batch(body):
            if self._draining:
                raise Draining
            check_batch_header(headers.get(VERSION))
            await self._of_handshake().post_batch(body, headers, caller, reply, self._per_address)
            return
        frame = decode(body)
        try:
            if self._draining and frame.method is not UNSET and frame.id is not UNSET:
                raise Draining
            era = self._eras.of_headers(frame, headers.get(VERSION))
            if era is self._eras.handshake:
                await self._of_handshake().post(frame, headers, caller, reply)
            else:
                inbound = Inbound(caller.principal, reply, headers, None, caller.state, caller.address)
                await self._exchange(era, frame, inbound, reply, receive)
        except MCPError as error:
            if isinstance(frame.id, str | int):
                error.request_id = frame.id
            raise

    async def _exchange(self, era: ServerEra, frame: Frame, inbound: Inbound, reply: Reply, receive: Receive) -> None:
        """One stateless request, from its frame to its answer; a client that leaves cancels it."""
        if frame.method is UNSET:
            raise InvalidRequest("Invalid request: a client sends requests and notifications, no responses")
        if frame.id is UNSET or frame.id is None:
            await reply.empty(202)
            return
        try:
            exchange = era.open(frame, inbound)
        except MCPError as error:
            settled = refusal(era, error, frame.id)
            await reply.finish(settled.body, settled.status, settled.refused)
            return
        step = first_step(settle(self._application, era, exchange))
        answer = await self._watched(step, exchange, receive, reply) if isinstance(step, Suspended) else step
        if answer is None:
            reply.abandon()
        else:
            await reply.finish(answer.body, answer.status, answer.refused)

    async def _watched(
        self, settling: Suspended[Settled], exchange: Exchange, receive: Receive, reply: Reply
    ) -> Settled | None:
        """The answer; None where the client left before it was ready."""
        watch, beat = Watch(exchange, receive), Beat(reply, self._settings.keep_alive_interval)
        if exchange.listener is not None:
            self._listeners[exchange.listener] = None
        try:
            settled = await settling
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not exchange.cancelled or task is None:
                raise
            task.uncancel()
            return None
        finally:
            watch.stop()
            beat.stop()
            if exchange.listener is not None:
                self._listeners.pop(exchange.listener, None)
        return None if exchange.cancelled else settled

    def _of_handshake(self) -> "HandshakeEndpoint":
        if self._handshake is None:
            self._handshake = self._make_endpoint(self._application, self._settings, self._make_seal())
            if self._draining:
                self._handshake.drain()
        return self._handshake

    def _of_legacy(self) -> "LegacyEndpoint":
        if self._legacy is None:
            self._legacy = self._make_legacy(self._application, self._settings, self._make_seal)
            if self._draining:
                self._legacy.drain()
        return self._legacy

    async def start(self) -> None:
        """Open the application. Raises what its opening raised."""
        self._failed = True
        await self._lifespan.start()
        self._caller = Caller(ANONYMOUS, self._lifespan.value)
        self._failed = False

    async def stop(self, grace: float) -> None:
        """Close the application, waiting at most `grace` seconds. Raises what its closing raised."""
        try:
            await self._lifespan.stop(grace)
        finally:
            if self._authenticator is not None:
                await self._authenticator.close()

    async def _start_late(self) -> None:
        """Open the application with the first request, where no outer lifespan did."""
        if self._lifespan.state is State.STOPPED:
            raise Draining
        try:
            await self.start()
        except Exception:
            log.exception("the server's lifespan failed to start")
            raise InternalError("The server could not start; its log has the details", status=503) from None

    async def _health(self, path: str, reply: Reply) -> None:
        healthy = self._application.healthy
        ready = healthy and not (self._draining or self._failed or self._lifespan.state is State.STOPPED)
        if path == "/readyz" and not ready:
            await reply.finish(b'{"status":"not ready"}', 503)
        else:
            await reply.finish(b'{"status":"ok"}' if healthy else b'{"status":"degraded"}')

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A lifespan, or a WebSocket, which is refused."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            try:
                await (self.start() if kind == "lifespan.startup" else self.stop(self._settings.shutdown_timeout))
            except Exception as error:
                log.exception("%s failed", kind)
                await send({"type": f"{kind}.failed", "message": f"{type(error).__name__}: {error}"})
                return
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def _address(scope: Scope) -> str:
    """Where a request comes from, as far as that is known."""
    client = scope.get("client")
    return client[0] if client else ""


def _path(scope: Scope) -> str:
    """The path below the place where this application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path


def _check_takes_stream(headers: Headers) -> None:
    if not accepted(headers).stream:
        raise InvalidRequest("The Accept header must list text/event-stream", status=406)
