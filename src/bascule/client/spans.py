"""Spans and durations of a client's requests, by OpenTelemetry's conventions for MCP.

The span's context travels in `_meta`, where the caller has not put one; so does that of a span around the call where
no provider was set here.
"""

import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from bascule.engine import semconv
from bascule.engine.policy import Kind
from bascule.engine.ports import Clock
from bascule.engine.semconv import Failure
from bascule.version import VERSION
from bascule.wire.tools import CallToolResult

_KINDS: Mapping[str, Kind] = {"tools/call": "tool", "prompts/get": "prompt"}


class Spans:
    """Speaks to the providers that the program has set, or to those that are given in their place."""

    def __init__(
        self,
        timer: Clock = time.perf_counter,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self.timer = timer
        self.tracer = trace.get_tracer(semconv.SCOPE, VERSION, tracer_provider)
        meter = metrics.get_meter(semconv.SCOPE, VERSION, meter_provider)
        self.operations = meter.create_histogram(
            semconv.CLIENT_OPERATION,
            semconv.UNIT,
            "How long requests took, from their sending to their answer.",
            explicit_bucket_boundaries_advisory=semconv.BUCKETS,
        )
        self._sessions = meter.create_histogram(
            semconv.CLIENT_SESSION,
            semconv.UNIT,
            "How long sessions lasted.",
            explicit_bucket_boundaries_advisory=semconv.BUCKETS,
        )

    def operation(self, method: str, params: Mapping[str, Any], version: str, *, http: bool) -> "Operation":
        kind = _KINDS.get(method)
        name = params.get("name")
        attributes = {
            semconv.METHOD: method,
            semconv.VERSION: version,
            **(semconv.HTTP if http else semconv.PIPE),
            **semconv.about(kind, name if isinstance(name, str) else ""),
        }
        return Operation(self, method, params, attributes)

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None:
        self._sessions.record(seconds, {semconv.VERSION: version, **(semconv.HTTP if http else semconv.PIPE)})


class Operation:
    """One request that is told of."""

    def __init__(self, spans: Spans, method: str, params: Mapping[str, Any], attributes: dict[str, str]) -> None:
        self._spans = spans
        self._method = method
        self._attributes = attributes
        self._failure: Failure | None = None
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        self._began = 0.0
        self.params = params

    def __enter__(self) -> Self:
        attributes, uri = self._attributes, self.params.get("uri")
        details = {semconv.RESOURCE_URI: uri[: semconv.LONGEST]} if isinstance(uri, str) else {}
        name = semconv.span_name(self._method, attributes)
        self._began = self._spans.timer()
        self._span = self._spans.tracer.start_span(name, None, SpanKind.CLIENT, {**attributes, **details})
        self._token = context.attach(trace.set_span_in_context(self._span))
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        if carrier:
            own = self.params.get("_meta") or {}
            carried = own if "traceparent" in own else {**carrier, **own}
            self.params = {**self.params, "_meta": carried}
        return self

    def answered(self, result: Any) -> None:
        if isinstance(result, CallToolResult) and result.is_error is True:
            self._failure = semconv.TOOL_FAILED

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        failure = self._failure if error is None else semconv.client_failure(error)
        if self._token is not None:
            context.detach(self._token)
        if failure is not None:
            self._span.set_attributes(failure.attributes)
            if failure.is_error:
                self._span.set_status(Status(StatusCode.ERROR, failure.sentence))
        self._span.end()
        measured = self._attributes if failure is None else {**self._attributes, **failure.attributes}
        self._spans.operations.record(self._spans.timer() - self._began, measured)
