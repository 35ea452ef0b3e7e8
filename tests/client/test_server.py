"""The client and our own server in one process, in both eras: every method, written and parsed for real."""

import asyncio
from typing import Any

import pytest

from bascule import Client, Context, Server
from bascule.engine.connection import EraName
from bascule.errors import CallTimedOut, MCPError

ERAS: list[EraName | None] = [None, "modern", "legacy"]
cancelled: list[str] = []


def shop() -> Server:
    app = Server("shop", version="1.0.0")

    @app.tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @app.tool
    async def work(ctx: Context) -> str:
        """Report and log."""
        await ctx.report_progress(1, 2, "half")
        await ctx.info("working")
        await ctx.report_progress(2, 2)
        return "done"

    @app.tool
    async def stall() -> str:
        """Never end."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("stall")
            raise
        return ""

    @app.resource("config://shop")
    def config() -> dict[str, Any]:
        return {"open": True}

    @app.prompt
    def greet(name: str) -> str:
        return f"Greet {name}"

    return app


@pytest.mark.parametrize("era", ERAS)
async def test_every_method_works(era: EraName | None) -> None:
    seen: list[Any] = []
    async with Client(shop(), era=era, on_log=lambda log: seen.append(log.data)) as client:
        assert client.era == (era or "modern")
        assert client.server is not None
        assert client.server.name == "shop"
        assert {tool.name for tool in await client.list_tools()} == {"add", "work", "stall"}
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        assert (await client.call_tool("add", {"a": "x"})).is_error
        await client.set_log_level("info")
        await client.call_tool("work", on_progress=lambda *step: seen.append(step))
        assert seen == [(1, 2, "half"), "working", (2, 2, None)]
        assert [resource.uri for resource in await client.list_resources()] == ["config://shop"]
        assert await client.list_resource_templates() == []
        assert (await client.read_resource("config://shop")).contents[0].text == '{"open":true}'
        assert [prompt.name for prompt in await client.list_prompts()] == ["greet"]
        assert (await client.get_prompt("greet", {"name": "Ada"})).messages[0].role == "user"
        await client.ping()
        with pytest.raises(MCPError, match="nothing"):
            await client.call_tool("nothing")
        with pytest.raises(MCPError, match=r"[Rr]esource"):
            await client.read_resource("config://nothing")


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_that_is_given_up_is_cancelled_in_the_server(era: EraName | None) -> None:
    cancelled.clear()
    async with Client(shop(), era=era) as client:
        with pytest.raises(CallTimedOut):
            await client.call_tool("stall", timeout=0.02)
        await client.ping()
        await client.ping()
        assert cancelled == ["stall"]


async def test_many_calls_at_once() -> None:
    async with Client(shop()) as client:
        results = await asyncio.gather(*(client.call_tool("add", {"a": n, "b": n}) for n in range(500)))
    assert [result.structured_content for result in results] == [{"result": 2 * n} for n in range(500)]
