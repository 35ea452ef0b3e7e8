"""Telemetry of a client: a span and a duration for each request, and the trace context that travels with it.

Loads OpenTelemetry only once the program has done so. What is told is the business of `spans`.
"""

import sys
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.spans import Spans

_LIBRARY = "opentelemetry.trace"


class Operation(Protocol):
    """One request, from before it leaves until after its answer; `params` are what it is sent with."""

    params: Mapping[str, Any]

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def answered(self, result: Any) -> None:
        """Look at the result: a tool's may say that it failed."""
        ...


class Untold:
    """A request that nobody is told of."""

    __slots__ = ("params",)

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        """There is nothing to end."""

    def answered(self, result: Any) -> None:
        """There is nobody to tell."""


def operation(method: str, params: Mapping[str, Any], version: str, *, http: bool) -> Operation:
    """What tells of one request that is about to leave; nothing where the program does not use OpenTelemetry."""
    spans = _spans()
    return Untold(params) if spans is None else spans.operation(method, params, version, http=http)


def session_ended(seconds: float, version: str, *, http: bool) -> None:
    """Tell how long a session has lasted."""
    spans = _spans()
    if spans is not None:
        spans.session_ended(seconds, version, http=http)


def _spans() -> "Spans | None":
    return _loaded() if _LIBRARY in sys.modules else None


@cache
def _loaded() -> "Spans":
    return late("bascule.client.spans:Spans")()  # type: ignore[no-any-return]
