"""Changes: what a server tells of its lists and resources, and the request of the stateless era that waits for it.

A listening request is an exchange like any other: it lasts until its client leaves or the server ends it.
Source: specification 2026-07-28, basic/patterns/subscriptions.
"""

import asyncio
from collections.abc import Mapping

from bascule.engine.exchange import Exchange
from bascule.engine.hub import PROMPTS, RESOURCES, TOOLS, Hub
from bascule.engine.notices import notice_of
from bascule.errors import InvalidParams
from bascule.wire.jsonrpc import Request
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.notices import (
    ACKNOWLEDGED,
    SUBSCRIPTION_KEY,
    AcknowledgedParams,
    ListenParams,
    SubscriptionFilter,
)
from bascule.wire.results import EmptyResult, Result


async def listen(hub: Hub, offered: ServerCapabilities, exchange: Exchange) -> Result:
    """Tell a client of the changes that it wants to hear of. Raises InvalidParams, and TooMany (503)."""
    params = exchange.params
    if not isinstance(params, ListenParams):
        raise InvalidParams("Invalid params: the notifications are missing")
    granted = _granted(params.notifications, offered)
    meta = {SUBSCRIPTION_KEY: exchange.request_id}
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    listener = hub.listen(_topics(granted), wake)
    exchange.listener = listener
    try:
        await exchange.notify(Request(ACKNOWLEDGED, AcknowledgedParams(granted, meta)))
        while not listener.ended:
            await changed.wait()
            changed.clear()
            for topic in listener.take():
                await exchange.notify(notice_of(topic, meta))
        return EmptyResult(meta=dict(meta))
    finally:
        listener.close()


def _granted(wanted: SubscriptionFilter, offered: ServerCapabilities) -> SubscriptionFilter:
    """The part of a filter that the server can honour."""
    resources = offered.resources is not None
    return SubscriptionFilter(
        tools_list_changed=wanted.tools_list_changed and offered.tools is not None,
        prompts_list_changed=wanted.prompts_list_changed and offered.prompts is not None,
        resources_list_changed=wanted.resources_list_changed and resources,
        resource_subscriptions=list(dict.fromkeys(wanted.resource_subscriptions)) if resources else [],
    )


def _topics(granted: SubscriptionFilter) -> list[str]:
    lists: Mapping[str, bool] = {
        TOOLS: granted.tools_list_changed,
        PROMPTS: granted.prompts_list_changed,
        RESOURCES: granted.resources_list_changed,
    }
    return [topic for topic, wanted in lists.items() if wanted] + granted.resource_subscriptions
