"""Telemetry: spans and durations as OpenTelemetry's conventions for MCP name them, and nothing where nobody listens."""

import asyncio
import subprocess
import sys

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from bascule import Client, Server
from bascule.client import telemetry as client_telemetry
from bascule.client.spans import Spans as ClientSpans
from bascule.engine.asking import Asking, Question
from bascule.engine.exchange import Conversation
from bascule.engine.semconv import BUCKETS
from bascule.errors import InternalError, InvalidParams, MethodNotFound, ResourceNotFound, ToolError
from bascule.guards.spans import Spans
from bascule.guards.telemetry import Telemetry
from bascule.pipeline import Pipeline
from bascule.testing import serve_http
from bascule.wire.content import TextContent
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import RequestMeta, RequestParams
from bascule.wire.resources import ReadResourceParams
from bascule.wire.results import Result
from bascule.wire.tools import CallToolParams, CallToolResult
from tests.guards.otel import Told
from tests.guards.test_audit import PARENT, TRACE, exchange, raising, returning

DONE = CallToolResult(content=[])
FAILED = CallToolResult(content=[TextContent("no")], is_error=True)
OPERATION = "mcp.server.operation.duration"


@pytest.fixture
def told():
    return Told()


def spans_of(told, timer=None):
    times = iter(range(1000))
    return Spans(timer or (lambda: float(next(times))), told.tracers, told.meters)


async def watched(told, handler, given=None, kind="tool", name="add"):
    """What a handler raised, watched."""
    try:
        await spans_of(told).watch(handler, kind, name)(exchange() if given is None else given)
    except BaseException as error:
        return error
    return None


def meta(**more):
    return CallToolParams(name="add", meta=RequestMeta(**more))


async def test_a_call_is_a_span_and_a_duration(told):
    await watched(told, returning(DONE))
    span = told.span
    assert (span.name, span.kind, span.status.status_code) == ("tools/call add", SpanKind.SERVER, StatusCode.UNSET)
    common = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "x",
        "network.transport": "pipe",
        "gen_ai.tool.name": "add",
        "gen_ai.operation.name": "execute_tool",
    }
    assert dict(span.attributes) == {**common, "jsonrpc.request.id": "7"}
    assert span.instrumentation_scope.name == "bascule"
    (point,) = told.points(OPERATION)
    assert dict(point.attributes) == common
    assert (point.count, point.sum, point.explicit_bounds) == (1, 1.0, BUCKETS)


@pytest.mark.parametrize(
    ("kind", "name", "given", "span_name", "attributes", "absent"),
    [
        (
            "prompt",
            "brief",
            exchange(GetPromptParams(name="brief"), "prompts/get"),
            "prompts/get brief",
            {"gen_ai.prompt.name": "brief"},
            {"gen_ai.operation.name", "gen_ai.tool.name"},
        ),
        (
            "template",
            "note://{name}",
            exchange(ReadResourceParams(uri="note://one"), "resources/read"),
            "resources/read",
            {"mcp.resource.uri": "note://one"},
            {"gen_ai.operation.name"},
        ),
        (None, "", exchange(RequestParams(), "tools/list"), "tools/list", {}, {"gen_ai.tool.name"}),
        (
            "tool",
            "add",
            exchange(headers={"host": "x"}, conversation=Conversation(exchange().peer, "abc"), request_id="r" * 5000),
            "tools/call add",
            {
                "network.transport": "tcp",
                "network.protocol.name": "http",
                "mcp.session.id": "abc",
                "jsonrpc.request.id": "r" * 1024,
            },
            set(),
        ),
    ],
)
async def test_other_requests_have_the_attributes_of_their_kind(told, kind, name, given, span_name, attributes, absent):
    await watched(told, returning(Result()), given, kind, name)
    assert told.span.name == span_name
    assert attributes.items() <= dict(told.span.attributes).items()
    assert not absent & set(told.span.attributes)
    (point,) = told.points(OPERATION)
    assert not {"mcp.resource.uri", "mcp.session.id", "jsonrpc.request.id"} & set(point.attributes)
    if given.conversation is None:
        assert "mcp.session.id" not in told.span.attributes


@pytest.mark.parametrize(
    ("handler", "kind", "attributes", "description"),
    [
        (returning(FAILED), "tool", {"error.type": "tool_error"}, None),
        (raising(ToolError("Too many.")), "tool", {"error.type": "tool_error"}, None),
        (raising(ToolError("Too many.")), "prompt", {"error.type": "tool_failed"}, "Too many."),
        (
            raising(InternalError("Internal error (reference 1)")),
            "tool",
            {"error.type": "-32603", "rpc.response.status_code": "-32603"},
            "Internal error (reference 1)",
        ),
        (raising(InvalidParams("no")), "tool", {"rpc.response.status_code": "-32602"}, False),
        (raising(MethodNotFound("no")), None, {"rpc.response.status_code": "-32601"}, False),
        (raising(ResourceNotFound("x")), "resource", {"rpc.response.status_code": "-32602"}, False),
        (raising(ValueError("hunter2")), "tool", {"error.type": "ValueError"}, None),
        (raising(subprocess.TimeoutExpired("x", 1)), "tool", {"error.type": "subprocess.TimeoutExpired"}, None),
        (raising(asyncio.CancelledError()), "tool", {"dev.bascule.outcome": "cancelled"}, False),
        (raising(Asking({"q": Question("x", None, "roots")})), "tool", {"dev.bascule.outcome": "asked"}, False),
    ],
)
async def test_what_counts_as_an_error_and_what_does_not(told, handler, kind, attributes, description):
    await watched(told, handler, kind=kind)
    span = told.span
    names = {"error.type", "rpc.response.status_code", "dev.bascule.outcome"}
    assert {name: value for name, value in span.attributes.items() if name in names} == attributes
    assert span.status.status_code == (StatusCode.UNSET if description is False else StatusCode.ERROR)
    assert span.status.description == (description or None)
    (point,) = told.points(OPERATION)
    assert {name: value for name, value in point.attributes.items() if name in names} == attributes
    assert "hunter2" not in span.to_json()
    assert span.events == ()


async def test_errors_pass_unchanged(told):
    error = ToolError("no")
    assert await watched(told, raising(error)) is error


async def test_the_parent_is_what_the_request_says_and_the_span_around_is_linked(told):
    with told.tracers.get_tracer("web").start_as_current_span("POST /mcp") as web:
        await watched(told, returning(DONE), exchange(meta(traceparent=PARENT, tracestate="a=b")))
    span, _ = told.spans
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, "00f067aa0ba902b7")
    assert span.parent.is_remote
    assert span.context.trace_state.get("a") == "b"
    assert [link.context for link in span.links] == [web.get_span_context()]


async def test_without_one_the_span_around_is_the_parent(told):
    with told.tracers.get_tracer("web").start_as_current_span("POST /mcp") as web:
        await watched(told, returning(DONE))
    span, _ = told.spans
    assert span.parent == web.get_span_context()
    assert not span.links


async def test_the_span_is_current_while_the_handler_works_and_not_after(told):
    seen = []

    async def handler(given):
        seen.append(trace.get_current_span().get_span_context().span_id)
        return DONE

    await watched(told, handler)
    assert seen == [told.span.context.span_id]
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_the_sampling_of_the_caller_is_kept(flags):
    told = Told(sampler=ParentBased(ALWAYS_ON))
    await watched(told, returning(DONE), exchange(meta(traceparent=PARENT[:-2] + flags)))
    assert len(told.spans) == int(flags)
    assert len(told.points(OPERATION)) == 1


async def test_a_span_that_is_not_sampled_still_hands_on_its_trace():
    told, seen = Told(sampler=ALWAYS_OFF), []

    async def handler(given):
        seen.append(spans_of(told).trace_id())
        return DONE

    await watched(told, handler, exchange(meta(traceparent=PARENT)))
    assert (seen, told.spans) == ([TRACE], ())


@pytest.mark.parametrize(
    "said",
    [
        {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"},
        {"traceparent": PARENT.upper()},
        {"traceparent": "ff" + PARENT[2:]},
        {"traceparent": PARENT + "\r\nx: y"},
        {"traceparent": PARENT + "-" + "x" * 100_000},
        {"traceparent": 7},
        {"traceparent": {"a": PARENT}},
        {"traceparent": None, "tracestate": "a=b"},
        {"traceparent": "", "baggage": ["x"]},
        {"tracestate": "a=b"},
    ],
)
async def test_a_trace_context_that_is_none_begins_a_trace_and_fails_nothing(told, said):
    assert await watched(told, returning(DONE), exchange(meta(**said))) is None
    assert told.span.parent is None
    assert not told.span.links


@pytest.mark.parametrize(("value", "found"), [("user=alice", {"user": "alice"}), ("user=" + "x" * 100_000, {})])
async def test_baggage_is_handed_on_unless_it_is_too_heavy(told, value, found):
    seen = []

    async def handler(given):
        seen.append(dict(baggage.get_all()))
        return DONE

    await watched(told, handler, exchange(meta(baggage=value)))
    assert seen == [found]
    assert not baggage.get_all()


async def test_a_wrong_tracestate_leaves_the_parent(told):
    await watched(told, returning(DONE), exchange(meta(traceparent=PARENT, tracestate="x" * 100_000)))
    assert f"{told.span.parent.trace_id:032x}" == TRACE


async def test_many_at_once_do_not_mix_their_traces(told):
    spans, seen = spans_of(told), {}

    async def handler(given):
        await asyncio.sleep(0)
        seen[given.request_id] = spans.trace_id()
        return DONE

    served = spans.watch(handler, "tool", "add")
    parents = [f"00-{number:032x}-00f067aa0ba902b7-01" for number in range(1, 51)]
    await asyncio.gather(
        *(served(exchange(meta(traceparent=one), request_id=place)) for place, one in enumerate(parents, 1))
    )
    assert seen == {number: f"{number:032x}" for number in range(1, 51)}


async def test_sessions_have_a_duration(told):
    spans = spans_of(told)
    spans.session_ended(12.0, "x", http=True, error=None)
    spans.session_ended(3.0, "x", http=False, error="timeout")
    points = {point.attributes["network.transport"]: point for point in told.points("mcp.server.session.duration")}
    assert dict(points["tcp"].attributes) == {
        "mcp.protocol.version": "x",
        "network.transport": "tcp",
        "network.protocol.name": "http",
    }
    assert points["pipe"].attributes["error.type"] == "timeout"
    assert points["tcp"].explicit_bounds == BUCKETS


UNUSED = """
import asyncio, sys
from tests.guards.test_audit import exchange, returning, Named
from bascule.guards.telemetry import Telemetry
from bascule.pipeline import Pipeline
from bascule.testing import serve_http
told = Telemetry()
handler = returning(None)
served = told.guard(handler, Named("add", "tool"))
asyncio.run(served(exchange()))
"""


def run(code, **more):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_program_that_does_not_use_opentelemetry_does_not_load_it():
    assert run(UNUSED + "print('opentelemetry.trace' in sys.modules, told.spans, told.trace_id())") == (
        "False None None\n"
    )


def test_where_it_is_not_installed_there_is_no_guard_at_all():
    hidden = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
"""
    assert run(
        hidden + UNUSED + "print(served is handler, Telemetry().guard(handler, Named('x', 'tool')) is handler)"
    ) == ("True True\n")


@pytest.mark.parametrize("elsewhere", ["", "import bascule.guards.spans as own; own._TRACING = own._METERING = {}\n"])
def test_a_provider_that_is_set_after_the_server_was_declared_is_told(elsewhere):
    code = (
        UNUSED
        + """
from opentelemetry import trace, metrics
asyncio.run(served(exchange()))
asyncio.run(served(exchange()))
"""
        + elsewhere
        + """
from tests.guards.otel import Told
seen = Told()
trace.set_tracer_provider(seen.tracers)
asyncio.run(served(exchange()))
print(len(seen.spans), len(seen.points("mcp.server.operation.duration")))
metrics.set_meter_provider(seen.meters)
asyncio.run(served(exchange()))
(point,) = seen.points("mcp.server.operation.duration")
print(len(seen.spans), point.count, len(point.explicit_bounds))
"""
    )
    assert run(code) == "1 0\n2 1 14\n"


def test_without_a_provider_nothing_is_opened():
    handler = returning(DONE)
    seen = []

    async def look(given):
        seen.append(context.get_current())
        return DONE

    asyncio.run(Telemetry().watch(look, "tool", "add")(exchange(meta(traceparent=PARENT))))
    assert seen == [{}]
    assert Telemetry().guard(handler, type("F", (), {"kind": "tool", "address": "add"})) is not handler
    assert Telemetry().guard(handler, type("F", (), {"kind": "tool", "address": "add"})) is not handler


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_through_the_public_door_client_and_server_are_one_trace(told, era, monkeypatch):
    app = Server("shop")

    @app.tool
    async def add(a: int) -> int:
        if a < 0:
            raise ToolError("No negative numbers.")
        return a

    own = Told()
    spans = spans_of(told)
    app.guard(lambda next, feature: spans.watch(next, feature.kind, feature.address), before="telemetry")
    client_spans = ClientSpans(tracer_provider=own.tracers, meter_provider=own.meters)
    monkeypatch.setattr(client_telemetry, "_spans", lambda: client_spans)
    async with Client(app, era=era) as client:
        await client.call_tool("add", {"a": 1})
        await client.call_tool("add", {"a": -1})
    sent = [span for span in own.spans if span.name == "tools/call add"]
    assert [span.parent.span_id for span in told.spans] == [span.context.span_id for span in sent]
    assert [span.attributes.get("error.type") for span in told.spans] == [None, "tool_error"]
    assert {"mcp.session.id" in span.attributes for span in told.spans} == {era == "legacy"}


class Sessions(Telemetry):
    """What is told of sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = []

    def session_ended(self, seconds, version, *, http, error=None):
        self.ended.append((seconds >= 0, version, http))


def observed():
    app, pipeline, sessions = Server("t"), Pipeline(), Sessions()
    app.tool(name="add")(lambda: 1)
    pipeline._observer = sessions
    app.use_guards(pipeline)
    return app, sessions


@pytest.mark.parametrize("how", ["memory", "http", "sse"])
async def test_a_session_of_the_handshake_era_is_told_of_when_it_ends(how):
    app, sessions = observed()
    if how == "memory":
        async with Client(app, era="legacy") as client:
            version = client.protocol_version
            await client.call_tool("add")
            assert sessions.ended == []
    else:
        with serve_http(app, legacy_sse=True) as serving:
            url = serving.url if how == "http" else serving.url.replace("/mcp", "/sse")
            async with Client(url, era=None if how == "sse" else "legacy") as client:
                version = client.protocol_version
                await client.call_tool("add")
                assert sessions.ended == []
    assert sessions.ended == [(True, version, how != "memory")]


async def test_a_client_of_the_stateless_era_has_no_session():
    app, sessions = observed()
    async with Client(app, era="modern") as client:
        await client.call_tool("add")
    assert sessions.ended == []
