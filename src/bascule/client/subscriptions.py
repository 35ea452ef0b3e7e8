"""Subscriptions: what changes at a server, as it is told of it, for as long as somebody listens.

One spelling for both eras: a listening request in the stateless one, `resources/subscribe` and unasked notices in the
other. Where the connection or the stream ends, the subscription is made again; what may have changed meanwhile is told
then, marked as missed. Changes that wait to be read are kept once for each thing that changed.
Source: specification 2026-07-28, basic/patterns/subscriptions; 2025-11-25, server/resources, "Subscriptions".
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec import Struct

from bascule.client.session import PAUSE, Session
from bascule.errors import BasculeError, ConnectionLost, MCPError
from bascule.runtime.inbox import Inbox
from bascule.runtime.pauses import pause_before
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


class Wanted(Struct, frozen=True):
    """What a subscriber wants to hear of."""

    uris: tuple[str, ...] = ()
    tools: bool = False
    prompts: bool = False
    resources: bool = False
    tasks: tuple[str, ...] = ()

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
        self._failure: Exception | None = None

    async def next(self) -> Change:
        """The next change. Raises what has ended the subscription."""
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def take(self, method: str, params: Any) -> None:
        """A notice of the server."""
        given = params if isinstance(params, dict) else {}
        kind = _LISTS.get(method)
        if kind is not None and getattr(self._wanted, kind):
            self.put(Change(kind))
        elif method == RESOURCE_UPDATED and str(given.get("uri")).startswith(self._wanted.uris):
            self.put(Change("resource", str(given["uri"])))  # what it begins with: it may be a part of what is wanted
        elif method == TASK_CHANGED and given.get("taskId") in self._wanted.tasks:
            self.put(Change("task", str(given["taskId"]), given))

    def put(self, change: Change) -> None:
        """Something to be read; in place of an earlier change of the same thing."""
        self._waiting[change.kind, change.uri] = change
        self._news.set()

    def fail(self, failure: Exception) -> None:
        """End with this error, once everything is read."""
        self._failure = failure
        self._news.set()


async def subscribe(session: Session, inbox: Inbox, wanted: Wanted) -> AsyncIterator[Change]:
    """The changes of a server. Raises MCPError where it refuses."""
    changes = Changes(wanted)
    modern = session.greeting.name == "modern"
    work = _Listening(session, inbox, wanted, changes).run() if modern else _overhear(session, inbox, wanted, changes)
    following = asyncio.get_running_loop().create_task(_guarded(work, changes))
    try:
        while True:
            yield await changes.next()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _guarded(following: Any, changes: Changes) -> None:
    try:
        await following
    except Exception as wrong:
        changes.fail(wrong)


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
        self._attempts = 0

    async def run(self) -> None:
        """Listen until the client is closed. Raises ConnectionLost then, and MCPError where the server refuses."""
        while True:
            try:
                await self._once()
            except ConnectionLost:
                if not self._session.is_open:
                    raise
            except MCPError as refused:
                if not self._granted or refused.status < _SERVERS_FAULT:
                    raise
            await asyncio.sleep(pause_before(self._attempts, PAUSE))
            self._attempts += 1

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
        self._attempts = 0


def _check_granted(given: Any, asked: dict[str, Any], changes: Changes) -> None:
    granted = given.get("notifications") if isinstance(given, dict) else None
    missing = [name for name in asked if not (granted or {}).get(name)]
    if missing and len(missing) == len(asked):
        changes.fail(MCPError("The server tells of none of the changes that were asked for"))
    elif missing:
        log.warning("the server does not tell of all changes that were asked for: not of %s", ", ".join(missing))


async def _overhear(session: Session, inbox: Inbox, wanted: Wanted, changes: Changes) -> None:
    """Subscribe to each resource, and hear what is said unasked, also after a session was begun anew."""

    async def again() -> None:
        await subscribed()
        for change in wanted.everything():
            changes.put(change)

    async def subscribed() -> None:
        for uri in wanted.uris:
            await session.call("resources/subscribe", {"uri": uri})

    session.subscribed.update(wanted.uris)
    inbox.overhearing.add(changes.take)
    session.on_anew.append(again)
    try:
        session.listen()
        await subscribed()
        await session.until_closed()
        raise ConnectionLost("The client was closed")
    finally:
        inbox.overhearing.discard(changes.take)
        session.on_anew.remove(again)
        session.subscribed.subtract(wanted.uris)
        for uri in [uri for uri in wanted.uris if session.is_open and not session.subscribed[uri]]:
            with suppress(BasculeError, RuntimeError):
                await session.call("resources/unsubscribe", {"uri": uri}, PATIENCE)
