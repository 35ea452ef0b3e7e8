"""The audit guard: every way in which a call can end is kept, and nothing is called that could not be."""

import asyncio
from typing import NamedTuple

import httpx2
import pytest
from msgspec import UNSET, Raw
from msgspec.structs import astuple

from bascule import Client, Server
from bascule.engine.asking import Asking, Question
from bascule.engine.exchange import CLOSED, LOCAL, Exchange, Peer
from bascule.engine.policy import PLAIN, Kind, Policy
from bascule.errors import (
    ERROR_KEY,
    AuditUnavailable,
    InternalError,
    InvalidArguments,
    MCPError,
    MissingCapability,
    ToolError,
)
from bascule.guards.audit import MAX_ARGUMENTS, audit
from bascule.stores.audit.log import FileAudit
from bascule.wire.content import TextContent
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import ClientCapabilities, RequestMeta, RequestParams
from bascule.wire.tasks import TaskResult
from bascule.wire.tools import CallToolParams, CallToolResult
from tests.messages import headers, request
from tests.serving import serving
from tests.stores.audit.logs import calls, checked, settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Named(NamedTuple):
    """A feature as guards see it."""

    name: str
    kind: Kind
    policy: Policy = PLAIN

    @property
    def address(self) -> str:
        return self.name


class Kept:
    """An audit log in memory, which can refuse."""

    healthy = True

    def __init__(self) -> None:
        self.decisions = []
        self.refuses = False

    def admit(self):
        if self.refuses:
            raise AuditUnavailable

    def put(self, decision):
        self.decisions.append(decision)

    def digest(self, data):
        return f"digest of {len(data)}"


def exchange(params=None, method="tools/call", **more):
    params = CallToolParams(name="add", arguments=Raw(b'{"a":1}')) if params is None else params
    peer = Peer("x", None, ClientCapabilities())
    said = {"request_id": 7, "raw_params": None, "principal": LOCAL, "channel": CLOSED, "inquire": None}
    return Exchange(method=method, params=params, peer=peer, **{**said, **more})


async def kept(handler, feature=None, given=None, log=None, **more):
    """The one decision about a call of this handler."""
    log = Kept() if log is None else log
    times = iter([10.0, 10.5])
    guard = audit(log, clock=lambda: 1000.0, timer=lambda: next(times), **more)
    served = guard(handler, feature or Named("add", "tool"))
    try:
        await served(exchange() if given is None else given)
    except BaseException as error:
        raised = error
    else:
        raised = None
    (decision,) = log.decisions
    return decision, raised


def raising(error):
    async def handler(exchange):
        raise error

    return handler


def returning(result):
    async def handler(exchange):
        return result

    return handler


def refusal(error, guard):
    error.guard = guard
    return error


class Limited(ToolError):
    code = "rate_limited"


FAILED = CallToolResult(content=[TextContent("no")], is_error=True, meta={ERROR_KEY: {"code": "internal"}})
PLAINLY_FAILED = CallToolResult(content=[TextContent("no")], is_error=True)
TASK = TaskResult(task_id="1", status="working", created_at="", last_updated_at="", ttl_ms=None)
SCOPE = MCPError("no", data={"code": "missing_scope"})
QUESTION = Question("elicitation/create", b"{}", "elicitation")


@pytest.mark.parametrize(
    ("handler", "ending"),
    [
        (returning(CallToolResult(content=[])), ("ok", None, None)),
        (returning(FAILED), ("error", "internal", None)),
        (returning(PLAINLY_FAILED), ("error", "tool_failed", None)),
        (returning(TASK), ("task", None, None)),
        (raising(refusal(Limited("too many"), "rate_limit")), ("refused", "rate_limited", "rate_limit")),
        (raising(InvalidArguments("no")), ("error", "invalid_arguments", None)),
        (raising(InternalError("no")), ("error", "-32603", None)),
        (raising(refusal(MissingCapability({"elicitation": {}}), "confirm")), ("refused", "-32021", "confirm")),
        (
            raising(refusal(MCPError("no", data={"code": "missing_scope"}), "scopes")),
            ("refused", "missing_scope", "scopes"),
        ),
        (raising(ValueError("secret")), ("error", "internal", None)),
        (raising(Asking({"q1": QUESTION})), ("asked", None, None)),
        (raising(BaseExceptionGroup("both", [Asking({"q1": QUESTION})])), ("asked", None, None)),
        (raising(asyncio.CancelledError()), ("cancelled", None, None)),
        (raising(SystemExit(1)), ("error", "internal", None)),
    ],
)
async def test_every_ending_is_kept_as_what_it_is(handler, ending):
    decision, _ = await kept(handler)
    assert (decision.outcome, decision.code, decision.guard) == ending
    assert "secret" not in repr(decision)


async def test_a_decision_says_who_what_when_and_how_long():
    meta = RequestMeta(traceparent=PARENT)
    given = exchange(CallToolParams(name="add", arguments=Raw(b'{"a":1}'), meta=meta))
    decision, _ = await kept(returning(CallToolResult(content=[])), given=given)
    assert astuple(decision) == (
        1000.0, 0.5, LOCAL, "tools/call", "tool", "add", b'{"a":1}', "ok", None, None, TRACE, 7,
    )  # fmt: skip


async def test_errors_and_results_pass_unchanged():
    error = ToolError("no")
    _, raised = await kept(raising(error))
    assert raised is error
    result = CallToolResult(content=[])
    served = audit(Kept())(returning(result), Named("add", "tool"))
    assert await served(exchange()) is result


@pytest.mark.parametrize(
    ("feature", "given", "arguments"),
    [
        (Named("add", "tool"), exchange(CallToolParams(name="add")), None),
        (Named("p", "prompt"), exchange(GetPromptParams(name="p", arguments={"a": "b"})), {"a": "b"}),
        (Named("p", "prompt"), exchange(GetPromptParams(name="p")), None),
        (Named("t://{x}", "template"), exchange(RequestParams(), variables={"x": "1"}), {"x": "1"}),
        (Named("t://x", "resource"), exchange(RequestParams()), None),
    ],
)
async def test_arguments_are_those_of_the_kind(feature, given, arguments):
    decision, _ = await kept(returning(CallToolResult(content=[])), feature, given)
    assert decision.arguments == arguments


async def test_long_arguments_and_names_do_not_wait_in_memory():
    long = Raw(b'{"a":"' + b"x" * MAX_ARGUMENTS + b'"}')
    given = exchange(CallToolParams(name="add", arguments=long), request_id="r" * 10_000)
    decision, _ = await kept(returning(CallToolResult(content=[])), given=given)
    assert decision.arguments == f"digest of {MAX_ARGUMENTS + 8}"
    assert len(decision.request_id) == 128
    prompt = exchange(GetPromptParams(name="p", arguments={"a": "x" * MAX_ARGUMENTS, "b": "\ud800"}))
    decision, _ = await kept(returning(CallToolResult(content=[])), Named("p", "prompt"), prompt)
    assert decision.arguments.startswith("digest of ")
    wrong = exchange(CallToolParams(name="add", meta=RequestMeta(traceparent="x" * 1_000_000)))
    decision, _ = await kept(returning(CallToolResult(content=[])), given=wrong)
    assert len(decision.trace) == 32


@pytest.mark.parametrize("parent", [UNSET, None, 7, ["x"], ""])
async def test_a_trace_context_that_is_none_fails_no_call(parent):
    given = exchange(CallToolParams(name="add", meta=RequestMeta(traceparent=parent)))
    decision, raised = await kept(returning(CallToolResult(content=[])), given=given)
    assert raised is None
    assert not decision.trace


async def test_the_trace_that_is_under_way_stands_before_the_one_that_came():
    given = exchange(CallToolParams(name="add", meta=RequestMeta(traceparent=PARENT)))
    decision, _ = await kept(returning(CallToolResult(content=[])), given=given, trace=lambda: "ab" * 16)
    assert decision.trace == "ab" * 16
    decision, _ = await kept(returning(CallToolResult(content=[])), given=given, trace=lambda: None)
    assert decision.trace == TRACE


async def test_nothing_is_called_that_could_not_be_kept():
    called = []

    async def handler(exchange):
        called.append(exchange)

    log = Kept()
    log.refuses = True
    with pytest.raises(AuditUnavailable):
        await audit(log)(handler, Named("add", "tool"))(exchange())
    assert (called, log.decisions) == ([], [])


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_through_the_public_door_a_call_is_a_line(era, tmp_path):
    app = Server("shop")
    chosen = settings(tmp_path, arguments="redacted")
    log = FileAudit(chosen)

    @app.tool
    def add(a: int, api_key: str) -> int:
        if a < 0:
            raise ToolError("No negative numbers.")
        return a

    app.guard(audit(log), before="audit")
    log.open()
    async with Client(app, era=era) as client:
        await client.call_tool("add", {"a": 1, "api_key": "hunter2"})
        assert (await client.call_tool("add", {"a": -1, "api_key": "hunter2"})).is_error
        assert (await client.call_tool("add", {"a": "x", "api_key": "hunter2"})).is_error
    log.close()
    assert [(line["outcome"], line.get("code")) for line in calls(chosen)] == [
        ("ok", None),
        ("error", "tool_failed"),
        ("error", "invalid_arguments"),
    ]
    assert calls(chosen)[0]["arguments"] == {"a": 1, "api_key": "[redacted]"}
    assert checked(chosen).fault is None


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_where_it_cannot_be_kept_the_client_reads_why(era, tmp_path):
    app = Server("shop")

    @app.tool
    def add(a: int) -> int:
        raise AssertionError("it was called")

    app.guard(audit(FileAudit(settings(tmp_path))), before="audit")
    async with Client(app, era=era, retries=0) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("add", {"a": 1})
    assert refused.value.data["code"] == "audit_unavailable"


def test_over_http_that_is_a_503_whose_body_says_so(tmp_path):
    app = Server("shop")

    @app.tool
    def add(a: int) -> int:
        raise AssertionError("it was called")

    app.guard(audit(FileAudit(settings(tmp_path))), before="audit")
    body = request("tools/call", {"name": "add", "arguments": {"a": 1}})
    with serving(app) as server:
        answer = httpx2.post(server.url, json=body, headers=headers(body))
    assert answer.status_code == 503
    assert answer.json()["error"]["data"] == {"code": "audit_unavailable", "retryAfter": 1.0}
