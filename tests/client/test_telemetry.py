"""A client's telemetry: what it sends is told by OpenTelemetry's conventions for MCP, and carries its trace along."""

import asyncio
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from bascule import Client, Context, Server, ToolError
from bascule.client import telemetry
from bascule.client.spans import Spans
from bascule.errors import CallTimedOut, MCPError
from tests.guards.otel import Told
from tests.guards.test_audit import PARENT, TRACE


@pytest.fixture
def told(monkeypatch):
    told = Told()
    spans = Spans(tracer_provider=told.tracers, meter_provider=told.meters)
    monkeypatch.setattr(telemetry, "_spans", lambda: spans)
    return told


@pytest.fixture
def app():
    app = Server("shop")

    @app.tool
    def trace_of(ctx: Context) -> dict[str, str]:
        return ctx.trace

    @app.tool
    def fail() -> str:
        raise ToolError("It cannot be done.")

    @app.tool
    async def hang() -> None:
        await asyncio.Event().wait()

    @app.resource("note://one")
    def note() -> str:
        return "x"

    @app.prompt
    def brief() -> str:
        return "x"

    return app


ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


def named(told, name):
    (span,) = [span for span in told.spans if span.name == name]
    return span


@ERAS
async def test_a_call_is_a_span_whose_context_travels_in_meta(told, app, era):
    async with Client(app, era=era) as client:
        with told.tracers.get_tracer("agent").start_as_current_span("turn") as turn:
            found = (await client.call_tool("trace_of")).structured_content
            assert trace.get_current_span() is turn
        span = named(told, "tools/call trace_of")
        assert span.kind == SpanKind.CLIENT
        assert span.parent == turn.get_span_context()
        assert found["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")
        assert dict(span.attributes) == {
            "mcp.method.name": "tools/call",
            "mcp.protocol.version": client.protocol_version,
            "network.transport": "pipe",
            "gen_ai.tool.name": "trace_of",
            "gen_ai.operation.name": "execute_tool",
        }
    point = next(
        point
        for point in told.points("mcp.client.operation.duration")
        if point.attributes["mcp.method.name"] == "tools/call"
    )
    assert dict(point.attributes) == dict(span.attributes)


@ERAS
async def test_a_context_that_the_caller_gives_is_kept(told, app, era):
    async with Client(app, era=era) as client:
        found = await client.request("tools/call", {"name": "trace_of", "_meta": {"traceparent": PARENT}})
    assert TRACE in str(found)


@ERAS
async def test_reads_and_prompts_have_their_own_attributes(told, app, era):
    async with Client(app, era=era) as client:
        await client.read_resource("note://one")
        await client.get_prompt("brief")
    assert named(told, "resources/read").attributes["mcp.resource.uri"] == "note://one"
    assert named(told, "prompts/get brief").attributes["gen_ai.prompt.name"] == "brief"
    for point in told.points("mcp.client.operation.duration"):
        assert "mcp.resource.uri" not in point.attributes


@ERAS
async def test_every_error_of_the_server_is_one_here(told, app, era):
    async with Client(app, era=era, timeout=5.0, retries=0) as client:
        await client.call_tool("fail")
        with pytest.raises(MCPError):
            await client.get_prompt("absent")
        with pytest.raises(CallTimedOut):
            await client.call_tool("hang", timeout=0.01)
    failed, absent, hung = (
        named(told, f"{name}") for name in ("tools/call fail", "prompts/get absent", "tools/call hang")
    )
    assert failed.attributes["error.type"] == "tool_error"
    assert (absent.attributes["error.type"], absent.attributes["rpc.response.status_code"]) == ("-32602", "-32602")
    assert absent.status.description == "Unknown prompt: absent"
    assert hung.attributes["error.type"] == "timeout"
    assert {span.status.status_code for span in (failed, absent, hung)} == {StatusCode.ERROR}


@ERAS
async def test_a_call_that_is_given_up_is_no_error(told, app, era):
    async with Client(app, era=era) as client:
        task = asyncio.create_task(client.call_tool("hang"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    span = named(told, "tools/call hang")
    assert (span.attributes["dev.bascule.outcome"], span.status.status_code) == ("cancelled", StatusCode.UNSET)


@ERAS
async def test_a_session_has_a_duration(told, app, era):
    async with Client(app, era=era) as client:
        version = client.protocol_version
    (point,) = told.points("mcp.client.session.duration")
    assert dict(point.attributes) == {"mcp.protocol.version": version, "network.transport": "pipe"}


def test_a_program_that_does_not_use_opentelemetry_does_not_load_it():
    code = """
import asyncio, sys
from bascule import Client, Server
app = Server("x")
@app.tool
def add(a: int) -> int: return a
async def main():
    async with Client(app) as client:
        await client.call_tool("add", {"a": 1})
asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
