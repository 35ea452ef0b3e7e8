"""What a refusal is on the wire, in both eras: over HTTP those that concern the transport are statuses with headers."""

import asyncio

import httpx2
import pytest

from bascule import Client, Context, MCPError, Server
from bascule.engine.exchange import Principal
from bascule.errors import AuditUnavailable, MissingScope, Overloaded, Refused, TimedOut, TooMany
from tests.messages import headers, initialize, legacy, request
from tests.serving import serving

ERAS = ["stateless", "handshake"]
NAMES = {"stateless": "modern", "handshake": "legacy"}
CHALLENGE = 'Bearer error="insufficient_scope", scope="tools:read tools:write"'
SENTENCE = "The tool '{}' needs tools:write, which your credentials do not grant; ask the operator for it"


def described(name):
    return f'{CHALLENGE}, error_description="{SENTENCE.format(name)}"'


REFUSALS = {
    "scope": (MissingScope("tool 'a'", ["tools:write"], ["tools:read", "tools:write"]), 403, None, described("a")),
    "strange scope": (MissingScope("tool 'a'", ['a"b'], ['a"b']), 403, None, 'Bearer error="insufficient_scope"'),
    "line in scope": (MissingScope("tool 'a'", ["a\r\nb: c"], ["a\r\nb: c"]), 403, None, CHALLENGE.partition(",")[0]),
    "load": (Overloaded("The server has enough to do", 1.2), 503, "2", None),
    "audit": (AuditUnavailable(), 503, "1", None),
    "listeners": (TooMany("Too many"), 503, None, None),
    "other": (MCPError("no", code=1234, data={"a": 1}), 200, None, None),
    "refused": (Refused(TimedOut("It took too long", details={"timeout": 1.0})), 200, None, None),
}


class Door:
    """Lets everybody in, with one scope."""

    async def authenticate(self, headers, address):
        return Principal(issuer="test", subject="ada", scopes=frozenset({"tools:read"}), anonymous=False)

    async def close(self):
        """Nothing is held."""


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.calls = []

    @app.tool
    async def refuse(how: str, first: bool = False, ctx: Context = None) -> str:
        app.calls.append(how)
        if first:
            await ctx.report_progress(1)
        await asyncio.sleep(0)
        raise REFUSALS[how][0]

    @app.tool(scopes=["tools:read", "tools:write"])
    async def drop() -> str:
        raise AssertionError("it was called")

    @app.resource("note://{name}")
    async def note(name: str) -> str:
        app.calls.append(name)
        if len(app.calls) < 3:
            raise Overloaded("The server has enough to do", 0.01)
        return "at last"

    return app


@pytest.fixture
def http():
    with httpx2.Client(timeout=20) as client:
        yield client


def opened(http, server, version="2025-11-25"):
    """The headers of a session."""
    answer = http.post(server.url, json=initialize(version), headers={"accept": "application/json, text/event-stream"})
    return {
        "accept": "application/json, text/event-stream",
        "mcp-session-id": answer.headers["mcp-session-id"],
        "mcp-protocol-version": version,
    }


def asked(http, server, era, method, params):
    if era == "stateless":
        message = request(method, params)
        return http.post(server.url, json=message, headers=headers(message))
    return http.post(server.url, json=legacy(method, params), headers=opened(http, server))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("how", REFUSALS)
def test_what_concerns_the_transport_is_a_status_with_headers_in_both_eras(app, http, era, how):
    error, status, wait, challenge = REFUSALS[how]
    with serving(app) as server:
        answer = asked(http, server, era, "tools/call", {"name": "refuse", "arguments": {"how": how}})
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)
    assert answer.headers.get("www-authenticate") == challenge
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": error.code, "message": error.message, "data": error.data},
    }


@pytest.mark.parametrize("era", ERAS)
def test_a_guard_challenges_who_lacks_a_scope(app, http, era):
    with serving(app, door=Door()) as server:
        answer = asked(http, server, era, "tools/call", {"name": "drop"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (403, described("drop"))
    assert answer.json()["error"]["data"]["missingScopes"] == ["tools:write"]


@pytest.mark.parametrize("era", ERAS)
def test_an_answer_that_is_a_stream_already_stays_one(app, http, era):
    arguments = {"how": "load", "first": True}
    params = {"name": "refuse", "arguments": arguments, "_meta": {"progressToken": 1}}
    with serving(app) as server:
        if era == "stateless":
            message = request("tools/call", params)
            message["params"]["_meta"] = {**message["params"]["_meta"], "progressToken": 1}
            answer = http.post(server.url, json=message, headers=headers(message))
        else:
            answer = asked(http, server, era, "tools/call", params)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert "retry-after" not in answer.headers
    assert '"code":"overloaded"' in answer.text
    assert "progress" in answer.text


def test_one_of_a_batch_is_an_answer_among_others(app, http):
    parts = [
        legacy("tools/call", {"name": "refuse", "arguments": {"how": "load"}}, id=1),
        legacy("ping", id=2),
    ]
    with serving(app) as server:
        answer = http.post(server.url, json=parts, headers=opened(http, server, "2025-03-26"))
    assert answer.status_code == 200
    assert {part["id"]: part.get("error", {}).get("code") for part in answer.json()} == {1: 503, 2: None}


@pytest.mark.parametrize("target", ["http", "memory"])
@pytest.mark.parametrize("era", ERAS)
async def test_our_client_learns_when_to_try_again_and_repeats_only_what_is_safe(app, era, target):
    with serving(app) as server:
        async with Client(server.url if target == "http" else app, era=NAMES[era]) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool("refuse", {"how": "load"})
            assert app.calls == ["load"]
            assert refused.value.retry_after == (2.0 if target == "http" else 1.2)
            assert refused.value.data == {"code": "overloaded", "retryAfter": 1.2}
            with pytest.raises(MCPError) as refused:
                await client.call_tool("refuse", {"how": "scope"})
            assert refused.value.data["requiredScopes"] == ["tools:read", "tools:write"]
            assert refused.value.status == (403 if target == "http" else 200)


@pytest.mark.parametrize("era", ERAS)
async def test_our_client_reads_again_after_the_pause(app, era):
    with serving(app) as server:
        async with Client(server.url, era=NAMES[era]) as client:
            assert (await client.read_resource("note://a")).contents[0].text == "at last"
    assert app.calls == ["a"] * 3
