"""A client that is used for long holds no more than one that was used for a moment."""

import asyncio
import gc
import sys

import pytest

from bascule import Client, MCPError, Server
from bascule.testing import serve_http
from tests.client.scripted import Posted, answer, http, modern, speaking

WARM = 500
CALLS = 10_000
LEAVE = 500
"""Blocks of memory that so many calls may leave behind: fewer than one for every twenty."""


@pytest.fixture
def app():
    app = Server("growth")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def fail(text: str) -> str:
        raise ValueError(text)

    return app


async def left_by(client, calls):
    """How many blocks of memory this many calls leave behind."""
    await use(client, WARM)
    before = held()
    await use(client, calls)
    return held() - before


async def use(client, calls):
    for number in range(calls):
        result = await client.call_tool("add", {"a": number, "b": 1}, into=int)
        assert result == number + 1


def held():
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_calls_in_memory_leave_nothing(app, era):
    async with Client(app, era=era) as client:
        assert await left_by(client, CALLS) < LEAVE


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_calls_over_http_leave_nothing(app, era):
    with serve_http(app) as running:
        async with Client(running.url, era=era) as client:
            assert await left_by(client, CALLS if era == "modern" else CALLS // 5) < LEAVE


async def test_calls_that_fail_leave_nothing(app, caplog):
    caplog.set_level("CRITICAL", "bascule")  # what is logged, pytest keeps
    with serve_http(app) as running:
        async with Client(running.url) as client:

            async def trouble(times):
                for _ in range(times):
                    assert (await client.call_tool("fail", {"text": "x"})).is_error
                    with pytest.raises(MCPError):
                        await client.call_tool("unknown")
                    with pytest.raises(TimeoutError):
                        await client.call_tool("add", {"a": 1, "b": 2}, timeout=0)

            await trouble(100)
            before = held()
            await trouble(300)
            assert held() - before < LEAVE


async def test_answers_in_streams_leave_nothing():
    async def handler(posted: Posted) -> None:
        if posted.message.get("method") == "tools/call":
            await posted.events(answer(posted.message, {"content": []}))
        else:
            await speaking(modern())(posted)

    async with http(handler) as server, Client(server.url) as client:

        async def stream(times):
            for _ in range(times):
                await client.call_tool("x")
                server.posted.clear()

        await stream(100)
        before = held()
        await stream(500)
        assert held() - before < LEAVE


async def test_an_open_client_is_small(app):
    """100 open clients, each of which has called: less than 64 KiB each, of which the socket's is not counted."""
    with serve_http(app) as running:
        clients = [Client(running.url) for _ in range(103)]
        for client in clients[:3]:
            await client.__aenter__()
            await use(client, 1)
        before = held()
        for client in clients[3:]:
            await client.__aenter__()
            await use(client, 1)
        assert (held() - before) / 100 < 400  # blocks, of both ends
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
