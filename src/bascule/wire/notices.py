"""Notifications: progress, log messages, cancellation, changes; and how a client asks for the latter.

Source: specification 2026-07-28, basic/patterns/progress, cancellation and subscriptions, server/utilities/logging.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from bascule.wire.content import Meta
from bascule.wire.requests import PREFIX, LogLevel, ProgressToken, RequestParams

PROGRESS = "notifications/progress"
MESSAGE = "notifications/message"
CANCELLED = "notifications/cancelled"
INITIALIZED = "notifications/initialized"
TOOLS_CHANGED = "notifications/tools/list_changed"
PROMPTS_CHANGED = "notifications/prompts/list_changed"
RESOURCES_CHANGED = "notifications/resources/list_changed"
RESOURCE_UPDATED = "notifications/resources/updated"
TASK_CHANGED = "notifications/tasks"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION_KEY = PREFIX + "subscriptionId"


class ProgressParams(Struct, rename="camel", omit_defaults=True):
    """How far a request has come: `progress` of `total` (any unit), and a sentence."""

    progress_token: ProgressToken
    progress: float
    total: float | None = None
    message: str | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class LogMessageParams(Struct, rename="camel", omit_defaults=True):
    """One log message for the client: any JSON value as `data`."""

    level: LogLevel
    data: Any
    logger: str | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class CancelledParams(Struct, rename="camel", omit_defaults=True):
    """Which request its sender no longer wants, and why."""

    request_id: str | int | UnsetType = UNSET
    reason: str | None = None
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class ChangedParams(Struct, rename="camel", omit_defaults=True):
    """What has changed: a resource, or (without a URI) the list that the method names."""

    uri: str | UnsetType = UNSET
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class SubscriptionFilter(Struct, rename="camel", omit_defaults=True):
    """Of which changes a client wants to hear."""

    tools_list_changed: bool = False
    prompts_list_changed: bool = False
    resources_list_changed: bool = False
    resource_subscriptions: list[str] = []
    task_ids: list[str] = []


class ListenParams(RequestParams):
    """A wish to hear of changes, for as long as the request runs (stateless era)."""

    notifications: SubscriptionFilter


class AcknowledgedParams(Struct, rename="camel", omit_defaults=True):
    """Which of these wishes are granted."""

    notifications: SubscriptionFilter
    meta: Meta | UnsetType = field(default=UNSET, name="_meta")


class SubscribeParams(RequestParams):
    """Which resource a client wants to hear of, or no longer (handshake era)."""

    uri: str
