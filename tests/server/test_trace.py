"""The trace context of a request: what a handler can pass on, and what is passed on by itself."""

import httpx2
import pytest

from bascule import Context, Server
from tests.messages import META, headers, legacy, request
from tests.serving import serving
from tests.transports.test_changes import Stream, opened

PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.fixture
def served():
    app = Server("t")

    @app.tool
    async def trace(ctx: Context) -> dict[str, str]:
        return ctx.trace

    @app.tool
    async def ask(ctx: Context) -> str:
        return f"{(await ctx.elicit('Name?', str)).action} {len(await ctx.roots())}"

    with serving(app) as running, httpx2.Client(timeout=10) as http:
        yield running.url, http


def traced(served, **meta):
    url, http = served
    message = request("tools/call", {"name": "trace", "arguments": {}}, meta={**META, **meta})
    return http.post(url, json=message, headers=headers(message)).json()["result"]["structuredContent"]


def test_a_handler_gets_the_trace_context(served):
    whole = {"traceparent": PARENT, "tracestate": "vendor=value", "baggage": "userId=alice"}
    assert traced(served, **whole) == whole
    assert traced(served) == {}
    assert traced(served, baggage="a=b") == {"baggage": "a=b"}


@pytest.mark.parametrize(
    "parent",
    [
        5,
        None,
        "",
        PARENT.upper(),
        PARENT[:-1],
        "ff" + PARENT[2:],
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT + "\n",
        PARENT + "-" + "x" * 300,
    ],
)
def test_a_wrong_trace_context_is_ignored_and_fails_nothing(served, parent):
    assert traced(served, traceparent=parent, tracestate="a=b", baggage="ok=1") == {"baggage": "ok=1"}


@pytest.mark.parametrize("text", [7, "", "a=b\r\nx: y", "\u00e9=1", "x" * 9000])
def test_what_could_not_be_a_header_is_dropped(served, text):
    assert traced(served, traceparent=PARENT, tracestate=text, baggage=text) == {"traceparent": PARENT}


def test_questions_of_the_handshake_era_carry_it(served):
    url, http = served
    session = opened(http, url, {"elicitation": {}, "roots": {}})
    call = legacy("tools/call", {"name": "ask", "arguments": {}, "_meta": {"traceparent": PARENT}}, id=5)
    answers = {"elicitation/create": {"action": "decline"}, "roots/list": {"roots": []}}
    with http.stream("POST", url, json=call, headers=session) as response:
        stream = Stream(response)
        for method, answer in answers.items():
            question = stream.next()
            assert question["method"] == method
            assert question["params"]["_meta"] == {"traceparent": PARENT}
            reply = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
            assert http.post(url, json=reply, headers=session).status_code == 202
        assert stream.next()["result"]["structuredContent"] == {"result": "decline 0"}
