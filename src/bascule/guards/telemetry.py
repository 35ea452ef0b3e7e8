"""Telemetry: a span and a duration for each request, through OpenTelemetry, where the program uses it.

Loads OpenTelemetry only once the program has done so: without it there is nothing to tell, and a server starts without
its cost. What is told is the business of `spans`.
"""

import sys
import time
from collections.abc import Awaitable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bascule.engine.exchange import Exchange, Feature, Handler
from bascule.engine.policy import Kind
from bascule.engine.ports import Clock
from bascule.late import late
from bascule.wire.results import Result

if TYPE_CHECKING:
    from bascule.guards.spans import Spans

_LIBRARY = "opentelemetry.trace"


class Telemetry:
    """What a server tells of its requests. `timer` tells seconds that never go back."""

    def __init__(self, timer: Clock = time.perf_counter) -> None:
        self._timer = timer
        self._spans: Spans | None = None
        self._installed = _LIBRARY in sys.modules or _is_installed()

    def guard(self, next: Handler, feature: Feature) -> Handler:
        """The guard: tells of each call, read and prompt."""
        return self.watch(next, feature.kind, feature.address)

    def watch(self, next: Handler, kind: Kind | None = None, name: str = "") -> Handler:
        """The handler, told of; for methods that are about no feature (lists, discovery) too.

        The handler itself where OpenTelemetry is not installed.
        """
        if not self._installed:
            return next
        ready: Handler | None = None

        def watched(exchange: Exchange) -> Awaitable[Result]:
            nonlocal ready
            if ready is None:
                if _LIBRARY not in sys.modules:
                    return next(exchange)
                ready = self._speaking().watch(next, kind, name)
            return ready(exchange)

        return watched

    def session_ended(self, seconds: float, version: str, *, http: bool, error: str | None = None) -> None:
        """Tell how long a session of the handshake era has lasted, and the type of the error that ended it, if any."""
        spans = self.spans
        if spans is not None:
            spans.session_ended(seconds, version, http=http, error=error)

    def trace_id(self) -> str | None:
        """The id of the trace that is under way, as 32 hexadecimal digits."""
        spans = self.spans
        return None if spans is None else spans.trace_id()

    @property
    def spans(self) -> "Spans | None":
        """What speaks to OpenTelemetry; None as long as the program has not loaded it."""
        return self._speaking() if _LIBRARY in sys.modules else None

    def _speaking(self) -> "Spans":
        if self._spans is None:
            self._spans = late("bascule.guards.spans:Spans")(self._timer)
        return self._spans


def _is_installed() -> bool:
    try:
        return find_spec(_LIBRARY.partition(".")[0]) is not None
    except ModuleNotFoundError:
        return False
