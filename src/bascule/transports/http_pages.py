"""Pages beside the endpoint, served behind the same edge: Host, Origin, sizes, times and credentials.

A path that two readers may read in two ways (dot segments, empty ones, encoded slashes) leads nowhere, so that no
application below sees one. What fails is told in the log by the path that its author gave, never by the request's.
Source: RFC 3986, 3.3 and 6.2.2; RFC 9110, 9.3.2, 9.3.7 and 15.5.6; ASGI 3.0, HTTP.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from bascule.engine.routes import HttpRequest, HttpResponse, Page, Place, Routes
from bascule.engine.settings import HttpSettings
from bascule.errors import MCPError, NotAdmitted, unforeseen
from bascule.transports.http_edge import Edge, read_body, too_large
from bascule.transports.http_headers import Message, RawHeaders, Receive, Scope, Send
from bascule.transports.http_reply import ANSWER, Caller, Reply

_UNCLEAR = re.compile(r"//|/\.{1,2}(?:;[^/]*)?(?:/|$)|\\|[\x00-\x1f\x7f]|%(?:2e|2f|5c|00)", re.IGNORECASE)
_HIDDEN_SLASH = re.compile(rb"%(?:2f|5c)", re.IGNORECASE)
_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BREAK = re.compile(rb"[\r\n\0]")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")


class Visit(NamedTuple):
    """One request that is not for the endpoint; `path` is the one below the mount root."""

    path: str
    scope: Scope
    headers: dict[str, str]
    receive: Receive
    send: Send


Admit = Callable[[Scope, dict[str, str], bool], Awaitable[Caller]]
"""Says who sent a request, which must show credentials unless the page is public. Raises MCPError."""


class Pages:
    """Serves what an application has beside its endpoint."""

    def __init__(self, routes: Routes, settings: HttpSettings, edge: Edge, admit: Admit) -> None:
        self._routes = routes
        self._edge = edge
        self._admit = admit
        self._patience = settings.request_timeout
        self._max_body = settings.max_body_bytes
        self._nothing = f"Nothing is served here; the MCP endpoint is /{settings.path.strip('/')}"

    async def serve(self, visit: Visit, reply: Reply) -> None:
        """Answer one request. Raises MCPError where it is to be refused."""
        place = None if _is_unclear(visit) else self._routes.find(visit.path)
        if place is None:
            raise NotAdmitted(self._nothing, status=404)
        method = visit.scope["method"]
        allowed = ", ".join(place.methods).encode("ascii")
        if method == "OPTIONS" and (place.application is None or _is_preflight(visit)):
            reply.extra = [*self._edge.preflight(visit.headers, allowed), (b"allow", allowed)]
            await reply.empty(204)
            return
        reply.extra = self._edge.admit(visit.headers)
        page = place.pages.get("GET" if method == "HEAD" else method)
        public = place.public if page is None else page.public
        caller = await self._admit(visit.scope, visit.headers, public)
        if place.application is not None:
            await self._hand_over(place, visit, caller, reply)
        elif page is None:
            reply.extra = [*reply.extra, (b"allow", allowed)]
            raise NotAdmitted("The page here does not answer this method; the Allow header says which", status=405)
        else:
            await self._answer(page, visit, caller, reply)

    async def _answer(self, page: Page, visit: Visit, caller: Caller, reply: Reply) -> None:
        try:
            async with asyncio.timeout(self._patience):
                body = await read_body(visit.receive, visit.headers, self._max_body)
        except TimeoutError:
            raise NotAdmitted("The request did not arrive in time", status=408) from None
        request = HttpRequest(
            method=visit.scope["method"],
            path=visit.path,
            query_string=visit.scope.get("query_string", b"").decode("latin-1"),
            headers=visit.headers,
            body=body,
            principal=caller.principal,
            address=caller.address,
        )
        try:
            async with asyncio.timeout(self._patience):
                response = await page.answer(request, caller.state)
        except TimeoutError:
            raise _late() from None
        await _send(response, request.method == "HEAD", [*reply.extra, *_usual(page.public)], visit.send)

    async def _hand_over(self, place: Place, visit: Visit, caller: Caller, reply: Reply) -> None:
        """Have an application answer, with its time running until its answer begins."""
        what = f"application at {place.path}"
        async with _Crossing(visit, place.public, reply.extra, self._max_body, self._patience) as crossing:
            try:
                scope = _scope_below(place.path, visit, caller)
                await place.application(scope, crossing.receive, crossing.send)  # type: ignore[misc]
                if not crossing.begun and crossing.refused is None:
                    raise RuntimeError("The application ended without an answer")
            except Exception as error:
                crossing.fail(what, error)
        if crossing.begun:
            reply.abandon()
        elif crossing.refused is not None:
            raise crossing.refused


class _Crossing:
    """What passes between the server and an application for one request: bodies up to a limit, heads without breaks,
    within a time. `refused` is what to answer instead, where nothing has `begun`."""

    def __init__(self, visit: Visit, public: bool, extra: RawHeaders, limit: int, patience: float) -> None:
        self._receive = visit.receive
        self._send = visit.send
        self._public = public
        self._extra = extra
        self._limit = limit
        self._timer = asyncio.timeout(patience)
        self._size = 0
        self.begun = False
        self.refused: MCPError | None = None
        length = visit.headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > limit:
            raise too_large(limit)

    async def __aenter__(self) -> "_Crossing":
        await self._timer.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> bool | None:
        try:
            await self._timer.__aexit__(*raised)
        except TimeoutError:
            self.refused = self.refused or _late()
            return True
        return None

    async def receive(self) -> Message:
        """The next message. Raises NotAdmitted where the body grows too long."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > self._limit:
                self.refused = too_large(self._limit)
                raise self.refused
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on; nothing where the request was refused meanwhile. Raises ValueError for a broken head, and
        RuntimeError where the time is over."""
        if not self.begun and self.refused is not None:
            return
        if message["type"] == "http.response.start":
            message = {**message, "headers": self._merged(message.get("headers", ()))}
            self._timer.reschedule(None)
            self.begun = True
        await self._send(message)

    def fail(self, what: str, error: Exception) -> None:
        """The application failed: the log says how, the client no more than that."""
        if self._timer.expired():
            self.refused = _late()
        if self.refused is None:
            self.refused = unforeseen(what, error)
            self.refused.status = 500

    def _merged(self, given: Any) -> RawHeaders:
        """An application's headers with those of the edge, which alone says what other origins may do."""
        headers = [(bytes(name).lower(), bytes(value)) for name, value in given]
        if not all(_NAME.fullmatch(name) and not _BREAK.search(value) for name, value in headers):
            raise ValueError("An HTTP header must not hold a line break, and its name must be a token")
        kept = [header for header in headers if not header[0].startswith(b"access-control-")]
        return _with_usual(kept, [*self._extra, *_usual(self._public)])


def _is_unclear(visit: Visit) -> bool:
    raw = visit.scope.get("raw_path") or b""
    return _UNCLEAR.search(visit.path) is not None or _HIDDEN_SLASH.search(raw) is not None


def _is_preflight(visit: Visit) -> bool:
    return "origin" in visit.headers and "access-control-request-method" in visit.headers


def _late() -> NotAdmitted:
    return NotAdmitted("The page did not answer in time; try again later", status=503)


def _scope_below(path: str, visit: Visit, caller: Caller) -> Scope:
    """The scope for an application that is mounted at a path: without credentials that were checked already."""
    scope = visit.scope
    root = scope.get("root_path", "").rstrip("/")
    extensions = {name: value for name, value in (scope.get("extensions") or {}).items() if name != ANSWER}
    return {
        **scope,
        "root_path": root + path,
        "path": root + visit.path,
        "headers": [header for header in scope["headers"] if header[0].decode("latin-1") in visit.headers],
        "state": {**(scope.get("state") or {}), "principal": caller.principal},
        "extensions": extensions,
    }


def _usual(public: bool) -> RawHeaders:
    """What a page's answer says unless it says otherwise: what needs credentials is in no shared cache."""
    return [_NO_SNIFFING] if public else [_NO_SNIFFING, _NO_STORE]


def _with_usual(headers: RawHeaders, usual: RawHeaders) -> RawHeaders:
    own = {name for name, _ in headers} - {b"vary"}
    return [*headers, *(header for header in usual if header[0] not in own)]


async def _send(response: HttpResponse, head_only: bool, usual: RawHeaders, send: Send) -> None:
    """Send a page's answer, encoded; a client that has left gets none."""
    headers = _with_usual(response.head(), usual)
    if response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else response.body})
    except OSError:
        return
