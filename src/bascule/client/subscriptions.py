"""Subscriptions: what changes at a server, as it is told of it, for as long as somebody listens.

One spelling for both eras: a listening request in the stateless one, `resources/subscribe` and unasked notices in the
other. Changes that wait to be read are kept once for each thing that changed.

Where the connection or the stream ends, the subscription is made again, for as long as somebody listens: after pauses
that double up to LONGEST, and begin anew once a subscription has lasted that long. What may have changed meanwhile is
told then, marked as missed. A server that refuses ends it with its error, unless it is only busy (HTTP 429, 502, 503,
504, or any 5xx once it had agreed); one that is busy before it has ever agreed is asked again as often as a call is.
Source: specification 2026-07-28, basic/patterns/subscriptions; 2025-11-25, server/resources, "Subscriptions".
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from msgspec import Struct

from bascule.client.session import BUSY, PAUSE, Session
from bascule.errors import BasculeError, CallTimedOut, ConnectionLost, MCPError
from bascule.runtime.inbox import Inbox
from bascule.runtime.pauses import LONGEST, pause_before
from bascule.wire.jsonrpc import RequestId
from bascule.wire.notices import (
    ACKNOWLEDGED,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TASK_CHANGED,
    TOOLS_CHANGED,
    SubscriptionFilter,
)

log = logging.getLogger("bascule")

PATIENCE = 1.0
"""Seconds that leaving waits for the server to acknowledge each end of a subscription."""

MAX_WAITING = 1000
"""How many different changes may wait to be read, before all that is wanted counts as changed instead."""

_SERVERS_FAULT = 500

Kind = Literal["tools", "prompts", "resources", "resource", "task"]

_LISTS: dict[str, Kind] = {TOOLS_CHANGED: "tools", PROMPTS_CHANGED: "prompts", RESOURCES_CHANGED: "resources"}


class Change(Struct, frozen=True):
    """Something has changed: a list (`tools`, `prompts`, `resources`), one resource (`uri`) or a task (`task`, as
    `tasks/get` would show it). With `missed` it may have: the subscription was interrupted meanwhile."""

    kind: Kind
    uri: str | None = None
    task: Any = None
    missed: bool = False


_JOINTS = "/?#"
"""What stands between the URI of a resource and the rest of a sub-resource's."""


class Wanted(Struct, frozen=True):
    """What a subscriber wants to hear of."""

    uris: tuple[str, ...] = ()
    tools: bool = False
    prompts: bool = False
    resources: bool = False
    tasks: tuple[str, ...] = ()

    def has(self, uri: str) -> bool:
        """Whether this is a resource that is wanted, or a part of one: its URI goes on with path, query or fragment."""
        return any(
            uri.startswith(one) and (len(uri) == len(one) or uri[len(one)] in _JOINTS or one[-1:] in _JOINTS)
            for one in self.uris
        )

    def everything(self) -> list[Change]:
        """A change of each, which may have been missed."""
        lists: list[Kind] = [kind for kind in ("tools", "prompts", "resources") if getattr(self, kind)]
        return [
            *(Change(kind, missed=True) for kind in lists),
            *(Change("resource", uri, missed=True) for uri in self.uris),
        ]


class Changes:
    """What has changed and was not read yet, each thing once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._waiting: dict[tuple[Kind, str | None], Change] = {}
        self._news = asyncio.Event()
        self._agreed = False
        self._failure: Exception | None = None

    async def until_agreed(self) -> None:
        """Return when the server has agreed to tell. Raises what has ended the subscription."""
        while not self._agreed or self._failure is not None:
            await self._until_news()

    async def next(self) -> Change:
        """The next change. Raises what has ended the subscription."""
        while not self._waiting:
            await self._until_news()
        return self._waiting.pop(next(iter(self._waiting)))

    def take(self, method: str, params: Any) -> None:
        """A notice of the server."""
        given = params if isinstance(params, dict) else {}
        kind = _LISTS.get(method)
        if kind is not None and getattr(self._wanted, kind):
            self.put(Change(kind))
        elif method == RESOURCE_UPDATED and self._wanted.has(str(given.get("uri"))):
            self.put(Change("resource", str(given["uri"])))
        elif method == TASK_CHANGED and given.get("taskId") in self._wanted.tasks:
            self.put(Change("task", str(given["taskId"]), given))

    def put(self, change: Change) -> None:
        """Something to be read; in place of an earlier change of the same thing."""
        self._waiting[change.kind, change.uri] = change
        if len(self._waiting) > max(MAX_WAITING, 2 * len(self._wanted.uris + self._wanted.tasks)):
            tasks = {key: one for key, one in self._waiting.items() if one.kind == "task"}
            self._waiting = tasks | {(one.kind, one.uri): one for one in self._wanted.everything()}
        self._news.set()

    def agree(self) -> None:
        """The server has agreed to tell."""
        self._agreed = True
        self._news.set()

    def fail(self, failure: Exception) -> None:
        """End with this error, once everything is read."""
        self._failure = failure
        self._news.set()

    async def _until_news(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._news.clear()
        await self._news.wait()


class Subscription(AsyncIterator[Change]):
    """The changes of a server, from the first reading, `ready` or `async with` until `aclose` or the client's end.

    Waiting for a change may be cancelled, and loses none. Reading raises MCPError where the server refuses, and
    ConnectionLost when the client is closed.
    """

    def __init__(self, session: Session, inbox: Inbox, wanted: Wanted, seconds: float | None) -> None:
        """`seconds` are how long `ready` waits for the server, None for no limit."""
        self._session = session
        self._inbox = inbox
        self._wanted = wanted
        self._seconds = seconds
        self._changes = Changes(wanted)
        self._following: asyncio.Task[None] | None = None
        self._closed = False

    async def ready(self) -> None:
        """Return when the server has agreed to tell: what changes from then on is heard.

        Raises MCPError where it refuses, CallTimedOut, and ConnectionLost when this or the client is closed.
        """
        self._begin()
        try:
            async with asyncio.timeout(self._seconds):
                await self._changes.until_agreed()
        except TimeoutError:
            raise CallTimedOut(
                f"The server did not agree within {self._seconds:g} seconds to tell of changes"
            ) from None

    async def aclose(self) -> None:
        """Hear no more; the server is told so. Who waits for a change waits no longer."""
        self._closed = True
        self._changes.fail(ConnectionLost("The subscription was closed"))
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __anext__(self) -> Change:
        if self._closed:
            raise StopAsyncIteration
        self._begin()
        try:
            return await self._changes.next()
        except ConnectionLost:
            if self._closed:
                raise StopAsyncIteration from None
            raise

    def __del__(self) -> None:
        """Nobody can read any more; leaving a loop without closing must not listen on for ever."""
        following = getattr(self, "_following", None)
        if following is not None and not following.done() and not following.get_loop().is_closed():
            following.get_loop().call_soon_threadsafe(following.cancel)

    def _begin(self) -> None:
        if self._following is None and not self._closed:
            parts = (self._session, self._inbox, self._wanted, self._changes)
            kind: Any = _Listening if self._session.greeting.name == "modern" else _Overhearing
            work = _guarded(kind(*parts), self._changes)
            self._following = asyncio.get_running_loop().create_task(work)


async def _guarded(following: Any, changes: Changes) -> None:
    try:
        await following.run()
    except Exception as wrong:
        changes.fail(wrong)


class _Pauses:
    """How long to wait before a subscription is made again."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._attempts = 0
        self._since: float | None = None

    def stands(self) -> None:
        """The subscription stands from now on."""
        self._since = self._clock()

    def next(self) -> float:
        """Seconds to wait, after a subscription has ended or failed."""
        lasted = 0.0 if self._since is None else self._clock() - self._since
        self._attempts = 0 if lasted >= LONGEST else self._attempts
        self._since = None
        self._attempts += 1
        return pause_before(self._attempts - 1, PAUSE)


class _Listening:
    """A listening request, held again and again."""

    def __init__(self, session: Session, inbox: Inbox, wanted: Wanted, changes: Changes) -> None:
        asked = SubscriptionFilter(
            tools_list_changed=wanted.tools,
            prompts_list_changed=wanted.prompts,
            resources_list_changed=wanted.resources,
            resource_subscriptions=list(wanted.uris),
            task_ids=list(wanted.tasks),
        )
        self._params = {"notifications": msgspec.to_builtins(asked)}
        self._session = session
        self._inbox = inbox
        self._wanted = wanted
        self._changes = changes
        self._granted = False
        self._refusals = 0
        self._pauses = _Pauses()

    async def run(self) -> None:
        """Listen until the client is closed. Raises ConnectionLost then, and MCPError where the server refuses."""
        while True:
            least = 0.0
            try:
                await self._once()
            except (ConnectionLost, CallTimedOut):
                if not self._session.is_open:
                    raise
            except MCPError as refused:
                if not self._is_transient(refused):
                    raise
                least = refused.retry_after or 0.0
            await asyncio.sleep(least + self._pauses.next())

    def _is_transient(self, refused: MCPError) -> bool:
        """Whether a server that refuses may not do so the next time."""
        if self._granted:
            return (refused.status in BUSY or refused.status >= _SERVERS_FAULT) and _soon(refused)
        self._refusals += 1
        return refused.status in BUSY and _soon(refused) and self._refusals <= self._session.retries

    async def _once(self) -> None:
        opened: list[RequestId] = []

        def begun(request_id: RequestId) -> None:
            opened.append(request_id)
            self._inbox.subscriptions[request_id] = self._take

        try:
            await self._session.call("subscriptions/listen", self._params, math.inf, safe=False, begun=begun)
        finally:
            for request_id in opened:
                self._inbox.subscriptions.pop(request_id, None)

    def _take(self, method: str, given: Any) -> None:
        if method != ACKNOWLEDGED:
            self._changes.take(method, given)
            return
        _check_granted(given, self._params["notifications"], self._changes)
        if self._granted:
            for change in self._wanted.everything():
                self._changes.put(change)
        self._granted = True
        self._pauses.stands()
        self._changes.agree()


def _soon(refused: MCPError) -> bool:
    return (refused.retry_after or 0.0) <= LONGEST


def _check_granted(given: Any, asked: dict[str, Any], changes: Changes) -> None:
    granted = given.get("notifications") if isinstance(given, dict) else None
    missing = [name for name in asked if not (granted or {}).get(name)]
    if missing and len(missing) == len(asked):
        changes.fail(MCPError("The server tells of none of the changes that were asked for"))
    elif missing:
        log.warning("the server does not tell of all changes that were asked for: not of %s", ", ".join(missing))


class _Overhearing:
    """What is said unasked, and a subscription to each resource, also after a session was begun anew."""

    def __init__(self, session: Session, inbox: Inbox, wanted: Wanted, changes: Changes) -> None:
        self._session = session
        self._inbox = inbox
        self._wanted = wanted
        self._changes = changes
        self._pauses = _Pauses()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Listen until the client is closed. Raises ConnectionLost then, and MCPError where the server refuses."""
        session, uris, changes = self._session, self._wanted.uris, self._changes
        session.subscribed.update(uris)
        self._inbox.overhearing.add(changes.take)
        self._inbox.ended.add(self._lost.set)
        session.on_anew.append(self._again)
        reviving = asyncio.get_running_loop().create_task(self._revive())
        try:
            await session.listen()
            await self._subscribe()
            changes.agree()
            await session.until_closed()
            raise ConnectionLost("The client was closed")
        finally:
            reviving.cancel()
            self._inbox.overhearing.discard(changes.take)
            self._inbox.ended.discard(self._lost.set)
            session.on_anew.remove(self._again)
            session.subscribed.subtract(uris)
            for uri in [uri for uri in uris if session.is_open and not session.subscribed[uri]]:
                with suppress(BasculeError, RuntimeError):
                    await session.call("resources/unsubscribe", {"uri": uri}, PATIENCE)

    async def _subscribe(self) -> None:
        for uri in self._wanted.uris:
            await self._session.call("resources/subscribe", {"uri": uri})
        self._pauses.stands()

    async def _again(self) -> None:
        """Subscribe in a session that was begun anew."""
        try:
            await self._subscribe()
        except ConnectionLost:
            return  # it has ended too, and another one will be begun
        except BasculeError as refused:
            self._changes.fail(refused)
            return
        for change in self._wanted.everything():
            self._changes.put(change)

    async def _revive(self) -> None:
        """Begin the session anew whenever its connection has ended: the next call does, whatever it asks for."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            await asyncio.sleep(self._pauses.next())
            try:
                await self._session.call("ping", {}, safe=False)
            except (ConnectionLost, CallTimedOut):
                self._lost.set()
            except MCPError as refused:
                log.debug("the server was asked for a sign of life and refused: %s", refused)
