"""faulty_http: each fault as a client meets it, and everything else unchanged."""

import asyncio

import httpx2
import pytest

from bascule import CallTimedOut, Client, ConfigError, ConnectionLost, Context, MCPError, Server
from bascule.testing import Faults, ManualClock, faulty_http, serve_http

CALL = "tools/call"


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def url(calls):
    app = Server("behind")

    @app.tool(inline=True)
    def add(a: int, b: int) -> int:
        calls.append((a, b))
        return a + b

    @app.tool
    async def count(ctx: Context) -> str:
        for step in range(3):
            await ctx.report_progress(step, 3)
        return "x" * 200_000

    with serve_http(app) as serving:
        yield serving.url


async def add(client, a, b):
    return (await client.call_tool("add", {"a": a, "b": b})).structured_content["result"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_without_faults_everything_passes_as_it_is(url, era):
    seen = []
    with faulty_http(url) as proxy:
        async with Client(proxy.url, era=era) as client:
            assert await add(client, 1, 2) == 3
            result = await client.call_tool("count", on_progress=lambda step, total, message: seen.append(step))
            assert len(result.structured_content["result"]) == 200_000
            assert seen == [0, 1, 2]
    methods = [request.method for request in proxy.requests]
    assert methods[0] == ("server/discover" if era == "modern" else "initialize")
    assert methods.count(CALL) == 2
    assert proxy.requests[0].http_method == "POST"
    assert proxy.requests[0].headers["content-type"] == "application/json"
    assert proxy.requests[-1].http_method == ("POST" if era == "modern" else "DELETE")


async def test_a_status_answers_in_the_place_of_the_server(url, calls):
    before = len(calls)
    with faulty_http(url, Faults(status=429, retry_after=7, method=CALL)) as proxy:
        async with httpx2.AsyncClient() as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": CALL, "params": {"name": "add", "arguments": {"a": 1, "b": 2}}}
            answer = await http.post(proxy.url, json=body)
    assert (answer.status_code, answer.reason_phrase) == (429, "Too Many Requests")
    assert answer.headers["retry-after"] == "7"
    assert len(calls) == before


async def test_a_client_is_told_the_status(url):
    with faulty_http(url, Faults(status=404, method=CALL, nth=1)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            with pytest.raises(MCPError, match="HTTP 404"):
                await add(client, 1, 2)
            assert await add(client, 3, 4) == 7


@pytest.mark.parametrize(
    "fault",
    [
        {"close_before_answer": True},
        {"drop_after": 0},
        {"drop_after": 10},
    ],
)
async def test_a_connection_that_breaks_is_seen_as_lost_and_the_server_has_worked(url, calls, fault):
    before = len(calls)
    with faulty_http(url, Faults(**fault, method=CALL)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            with pytest.raises(ConnectionLost):
                await add(client, 5, 6)
    assert calls[before] == (5, 6)


@pytest.mark.parametrize("fault", [{"truncate": 10}, {"truncate": 0}, {"garbage": b"<html>"}, {"garbage": b""}])
async def test_an_answer_that_is_not_whole_or_not_json_fails_the_call(url, fault):
    with faulty_http(url, Faults(**fault, method=CALL, nth=1)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            with pytest.raises(MCPError):
                await add(client, 1, 2)
            assert await add(client, 3, 4) == 7


async def test_garbage_and_truncation_reach_the_client_byte_for_byte(url):
    body = {"jsonrpc": "2.0", "method": "notifications/x"}
    rules = [Faults(garbage=b"\x00\xff<", nth=1), Faults(truncate=3, nth=2), Faults(drop_after=3, nth=3)]
    with faulty_http(url.removesuffix("/mcp") + "/health", *rules) as proxy:
        async with httpx2.AsyncClient() as http:
            assert (await http.post(proxy.url, json=body)).content == b"\x00\xff<"
            whole = (await http.get(url.removesuffix("/mcp") + "/health")).content
            assert (await http.get(proxy.url)).content == whole[:3]
            with pytest.raises(httpx2.RemoteProtocolError):
                await http.get(proxy.url)
            assert (await http.get(proxy.url)).content == whole


async def test_a_stream_breaks_in_its_middle(url):
    steps = []
    with faulty_http(url, Faults(drop_after=2_000, method=CALL)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            with pytest.raises(ConnectionLost):
                await client.call_tool("count", on_progress=lambda step, total, message: steps.append(step))


async def test_a_duplicate_reaches_the_server_twice_and_the_client_once(url, calls):
    before = len(calls)
    with faulty_http(url, Faults(duplicate=True, method=CALL, nth=1)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            assert await add(client, 8, 9) == 17
            assert calls[before:] == [(8, 9), (8, 9)]
            assert await add(client, 1, 1) == 2


async def test_a_delay_lasts_as_long_as_the_clock_says(url):
    clock = ManualClock()
    with faulty_http(url, Faults(delay=3600, method=CALL), clock=clock) as proxy:
        async with Client(proxy.url, era="modern") as client:
            call = asyncio.create_task(add(client, 1, 2))
            await clock.until_sleeping()
            clock.advance(3599)
            assert clock.sleeping == 1
            clock.advance(1)
            assert await call == 3


async def test_a_client_that_leaves_ends_its_delay(url):
    with faulty_http(url, Faults(delay=3600, method=CALL)) as proxy:
        async with Client(proxy.url, era="modern") as client:
            with pytest.raises(CallTimedOut):
                await client.call_tool("add", {"a": 1, "b": 2}, timeout=0.05)


async def test_a_server_that_is_gone_is_a_lost_connection(url):
    with serve_http(Server("short")) as serving:
        pass
    with faulty_http(serving.url) as proxy:
        with pytest.raises(ConnectionLost):
            async with Client(proxy.url, era="modern"):
                pass


def test_only_plain_http_can_be_passed_on():
    with pytest.raises(ConfigError, match="http://"), faulty_http("https://example.com/mcp"):
        pass


def test_what_a_predicate_raises_is_raised_to_the_test(url):
    def when(seen):
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        with faulty_http(url, Faults(delay=1, when=when)) as proxy:
            with pytest.raises(httpx2.RemoteProtocolError):
                httpx2.get(proxy.url)
