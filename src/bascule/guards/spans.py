"""Spans and durations of a server's requests, by OpenTelemetry's conventions for MCP.

Does next to nothing as long as no provider was set. A span's parent is what the request's `_meta` says; the span that
is open around it already (that of an HTTP server) is linked then, and is the parent only where `_meta` says nothing.
Texts of the caller stand in no name and no metric; what a handler raised unforeseen is told by its class alone.
"""

from collections.abc import Mapping
from contextvars import Token
from typing import Any, NamedTuple

from msgspec import UNSET
from opentelemetry import context, metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from bascule.engine import semconv
from bascule.engine.exchange import Exchange, Handler
from bascule.engine.policy import Kind
from bascule.engine.ports import Clock
from bascule.engine.semconv import Failure
from bascule.version import VERSION
from bascule.wire.meta import trace_in
from bascule.wire.resources import ReadResourceParams
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

# Where the library keeps the providers that a program sets. Its functions look into the environment as long as there is
# none, which takes longer than any other part of a call; they are asked only once there is one, or where it keeps them
# elsewhere.
_TRACING: Mapping[str, Any] = trace.get_tracer_provider.__globals__
_METERING: Mapping[str, Any] = metrics.get_meter_provider.__globals__
_UNKNOWN = object()


class _Open(NamedTuple):
    """A span that is open, and what takes it out of the context again."""

    span: Span
    token: Token[Context]


class Spans:
    """Speaks to the providers that the program has set; to those that are given in their place."""

    def __init__(
        self,
        timer: Clock,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._timer = timer
        self._traces = tracer_provider is not None
        self._metrics = meter_provider is not None
        self._no_traces = trace.ProxyTracerProvider
        meters = metrics.get_meter_provider()
        # The library's stand-in for a provider that nobody has set is one object, of a class that it does not show.
        self._no_metrics = meters if type(meters).__name__ == "_ProxyMeterProvider" else None
        self._tracer = trace.get_tracer(semconv.SCOPE, VERSION, tracer_provider)
        meter = metrics.get_meter(semconv.SCOPE, VERSION, meter_provider)
        self._operations = meter.create_histogram(
            semconv.SERVER_OPERATION,
            semconv.UNIT,
            "How long requests took, from their receipt to their result.",
            explicit_bucket_boundaries_advisory=semconv.BUCKETS,
        )
        self._sessions = meter.create_histogram(
            semconv.SERVER_SESSION,
            semconv.UNIT,
            "How long sessions lasted.",
            explicit_bucket_boundaries_advisory=semconv.BUCKETS,
        )

    @property
    def awake(self) -> bool:
        """Whether anybody is told: a provider was set."""
        if not self._traces and _TRACING.get("_TRACER_PROVIDER", _UNKNOWN) is not None:
            self._traces = type(trace.get_tracer_provider()) is not self._no_traces
        if not self._metrics and _METERING.get("_METER_PROVIDER", _UNKNOWN) is not None:
            self._metrics = metrics.get_meter_provider() is not self._no_metrics
        return self._traces or self._metrics

    def watch(self, next: Handler, kind: Kind | None, name: str) -> Handler:
        """The handler, with a span and a duration for each request."""
        about, timer, in_tool = semconv.about(kind, name), self._timer, kind == "tool"

        async def told(exchange: Exchange) -> Result:
            began = timer()
            attributes = _attributes(exchange, about)
            opened = self._opened(exchange, attributes) if self._traces else None
            failure: Failure | None = None
            try:
                result = await next(exchange)
                if in_tool and isinstance(result, CallToolResult) and result.is_error is True:
                    failure = semconv.TOOL_FAILED
                return result
            except BaseException as error:
                failure = semconv.server_failure(error, in_tool=in_tool)
                raise
            finally:
                self._close(opened, failure)
                if self._metrics:
                    measured = attributes if failure is None else {**attributes, **failure.attributes}
                    self._operations.record(timer() - began, measured)

        return lambda exchange: told(exchange) if self.awake else next(exchange)

    def session_ended(self, seconds: float, version: str, *, http: bool, error: str | None) -> None:
        attributes = {semconv.VERSION: version, **(semconv.HTTP if http else semconv.PIPE)}
        if error is not None:
            attributes[semconv.ERROR_TYPE] = error
        self._sessions.record(seconds, attributes)

    def trace_id(self) -> str | None:
        if not self.awake:
            return None
        found = trace.get_current_span().get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None

    def _opened(self, exchange: Exchange, attributes: Mapping[str, Any]) -> _Open:
        parent, links = _parent(exchange)
        span = self._tracer.start_span(
            semconv.span_name(exchange.method, attributes), parent, SpanKind.SERVER, attributes, links
        )
        if span.is_recording():
            span.set_attributes(_details(exchange))
        return _Open(span, context.attach(trace.set_span_in_context(span, parent)))

    def _close(self, opened: _Open | None, failure: Failure | None) -> None:
        if opened is None:
            return
        context.detach(opened.token)
        span = opened.span
        if failure is not None:
            span.set_attributes(failure.attributes)
            if failure.is_error:
                span.set_status(Status(StatusCode.ERROR, failure.sentence))
        span.end()


def _attributes(exchange: Exchange, about: Mapping[str, str]) -> dict[str, str]:
    """What stands on span and duration alike: few values each."""
    return {
        semconv.METHOD: exchange.method,
        semconv.VERSION: exchange.peer.protocol_version,
        **(semconv.PIPE if exchange.headers is None else semconv.HTTP),
        **about,
    }


def _details(exchange: Exchange) -> dict[str, str]:
    """What stands on the span alone."""
    found = {semconv.REQUEST_ID: str(exchange.request_id)[: semconv.LONGEST]}
    if exchange.conversation is not None:
        found[semconv.SESSION_ID] = exchange.conversation.key
    if isinstance(exchange.params, ReadResourceParams):
        found[semconv.RESOURCE_URI] = exchange.params.uri[: semconv.LONGEST]
    return found


def _parent(exchange: Exchange) -> tuple[Context | None, list[Link] | None]:
    """What a span hangs on: what the request says, with a link to the span around; or that span."""
    meta = exchange.params.meta
    carrier = {} if meta is UNSET else trace_in(meta)
    if not carrier:
        return None, None
    parent = propagate.extract(carrier)
    around = trace.get_current_span().get_span_context()
    remote = trace.get_current_span(parent).get_span_context()
    return parent, [Link(around)] if around.is_valid and around != remote else None
