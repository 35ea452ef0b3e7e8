"""Notifications: progress, log messages, cancellation.

Source: specification 2026-07-28, basic/patterns/progress and cancellation, server/utilities/logging.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from bascule.wire.requests import LogLevel, ProgressToken

PROGRESS = "notifications/progress"
MESSAGE = "notifications/message"
CANCELLED = "notifications/cancelled"
INITIALIZED = "notifications/initialized"


class ProgressParams(Struct, rename="camel", omit_defaults=True):
    """How far a request has come: `progress` of `total` (any unit), and a sentence."""

    progress_token: ProgressToken
    progress: float
    total: float | None = None
    message: str | None = None


class LogMessageParams(Struct, rename="camel", omit_defaults=True):
    """One log message for the client: any JSON value as `data`."""

    level: LogLevel
    data: Any
    logger: str | None = None


class CancelledParams(Struct, rename="camel", omit_defaults=True):
    """Which request its sender no longer wants, and why."""

    request_id: str | int | UnsetType = UNSET
    reason: str | None = None
