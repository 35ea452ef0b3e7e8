"""Changes: what a server tells of its lists and resources, and the request of the stateless era that waits for it.

A listening request is an exchange like any other: it lasts until its client leaves or the server ends it.
Source: specification 2026-07-28, basic/patterns/subscriptions.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import UNSET

from bascule.engine.exchange import Exchange, Principal
from bascule.engine.hub import MAX_TOPICS, PROMPTS, RESOURCES, TASK_TOPIC, TOOLS, Hub, check_room
from bascule.engine.notices import notice_of
from bascule.errors import InvalidParams
from bascule.wire.jsonrpc import Request
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.notices import (
    ACKNOWLEDGED,
    SUBSCRIPTION_KEY,
    TASK_CHANGED,
    AcknowledgedParams,
    ListenParams,
    SubscriptionFilter,
)
from bascule.wire.results import EmptyResult, Result


class WatchTasks(Protocol):
    """Shows a caller's own tasks to a listener."""

    def __call__(self, exchange: Exchange, task_id: str) -> Result | None:
        """The task as it stands; None for one that is not the caller's. Raises MissingCapability."""
        ...


async def listen(hub: Hub, offered: ServerCapabilities, watch: WatchTasks, exchange: Exchange) -> Result:
    """Tell a client of the changes that it wants to hear of, save those of resources that it may not use.

    Raises InvalidParams, TooMany (503), and MissingCapability for tasks where the client does not know them.
    """
    params = exchange.params
    if not isinstance(params, ListenParams):
        raise InvalidParams("Invalid params: the notifications are missing")
    granted = _granted(params.notifications, offered)
    check_room(len(granted.resource_subscriptions) - 1, 0)
    granted.resource_subscriptions = _audible(hub, granted.resource_subscriptions, exchange.principal)
    granted.task_ids = [one for one in params.notifications.task_ids[:MAX_TOPICS] if watch(exchange, one) is not None]
    meta = {SUBSCRIPTION_KEY: exchange.request_id}
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    listener = hub.listen(_topics(granted), wake, exchange.principal.scopes)
    exchange.listener = listener
    try:
        await exchange.channel.notify(Request(ACKNOWLEDGED, AcknowledgedParams(granted, meta)))
        while not listener.ended:
            await changed.wait()
            changed.clear()
            for topic in listener.take():
                if (notice := _notice(topic, meta, watch, exchange)) is not None:
                    await exchange.channel.notify(notice)
        return EmptyResult(meta=dict(meta))
    finally:
        listener.close()


def _notice(topic: str, meta: dict[str, Any], watch: WatchTasks, exchange: Exchange) -> Request | None:
    """What is told of a topic; nothing of a task that is forgotten."""
    if not topic.startswith(TASK_TOPIC):
        return notice_of(topic, meta)
    task = watch(exchange, topic.removeprefix(TASK_TOPIC))
    if task is not None:
        task.result_type, task.meta = UNSET, meta
    return None if task is None else Request(TASK_CHANGED, task)


def _granted(wanted: SubscriptionFilter, offered: ServerCapabilities) -> SubscriptionFilter:
    """The part of a filter that the server can honour."""
    resources = offered.resources is not None
    return SubscriptionFilter(
        tools_list_changed=wanted.tools_list_changed and offered.tools is not None,
        prompts_list_changed=wanted.prompts_list_changed and offered.prompts is not None,
        resources_list_changed=wanted.resources_list_changed and resources,
        resource_subscriptions=list(dict.fromkeys(wanted.resource_subscriptions)) if resources else [],
    )


def _audible(hub: Hub, uris: list[str], principal: Principal) -> list[str]:
    """Those resources that the caller may use. Raises TooMany, before so many are looked at."""
    check_room(len(uris) - 1, sum(map(len, uris)))
    return [uri for uri in uris if hub.may_hear(principal.scopes, uri)]


def _topics(granted: SubscriptionFilter) -> list[str]:
    lists: Mapping[str, bool] = {
        TOOLS: granted.tools_list_changed,
        PROMPTS: granted.prompts_list_changed,
        RESOURCES: granted.resources_list_changed,
    }
    tasks = [TASK_TOPIC + task_id for task_id in granted.task_ids]
    return [topic for topic, wanted in lists.items() if wanted] + granted.resource_subscriptions + tasks
