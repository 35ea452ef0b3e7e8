"""What the client is told of a change. Source: specification 2026-07-28, basic/patterns/subscriptions."""

from typing import Any

from msgspec import UNSET

from bascule.engine.hub import PROMPTS, RESOURCES, TOOLS
from bascule.wire.jsonrpc import Request
from bascule.wire.notices import (
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TOOLS_CHANGED,
    ChangedParams,
)

_METHODS = {TOOLS: TOOLS_CHANGED, PROMPTS: PROMPTS_CHANGED, RESOURCES: RESOURCES_CHANGED}


def notice_of(topic: str, meta: dict[str, Any] | None = None) -> Request:
    """The notification of a topic's change; `meta` names the subscription that it belongs to, where there is one."""
    method = _METHODS.get(topic, RESOURCE_UPDATED)
    about = UNSET if method != RESOURCE_UPDATED else topic
    if meta is None and about is UNSET:
        return Request(method)
    return Request(method, ChangedParams(about, UNSET if meta is None else meta))
