"""Changes as a client hears of them, in both eras and over every transport; and what an interruption leaves."""

import asyncio
import contextlib
from contextlib import aclosing
from typing import Any

import pytest

from bascule import Client, MCPError, Server
from bascule.client import subscriptions
from bascule.client.subscriptions import Change
from tests.serving import serving

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "PAUSE", 0.01)


@pytest.fixture
def app() -> Server:
    app = Server("t", cache_ttl_ms=60_000)
    app.resource("note://a", name="a")(lambda: "a")
    app.resource("note://b", name="b")(lambda: "b")
    app.tool(name="first")(lambda: 1)
    return app


async def heard(changes: Any, tell: Any) -> Change:
    """The next change, told again and again until the subscription stands."""
    following = asyncio.ensure_future(anext(changes))
    async with asyncio.timeout(10):
        while not following.done():
            tell()
            await asyncio.wait({following}, timeout=0.01)
    return following.result()


@ERAS
@pytest.mark.parametrize("over", ["memory", "http"])
async def test_changes_of_what_is_wanted_are_heard_and_no_others(app: Server, era: Any, over: str) -> None:
    with serving(app) if over == "http" else contextlib.nullcontext() as running:
        async with Client(running.url if running else app, era=era) as client:
            async with aclosing(client.subscribe(["note://a"], tools=True)) as changes:
                assert await heard(changes, lambda: app.notify_resource_updated("note://a")) == Change(
                    "resource", "note://a"
                )
                app.notify_resource_updated("note://b")
                app.tool(name="second")(lambda: 2)
                async with asyncio.timeout(10):
                    while (change := await anext(changes)).kind != "tools":
                        assert change.uri == "note://a"
                assert {tool.name for tool in await client.list_tools()} == {"first", "second"}


async def test_a_change_ends_the_keeping_of_an_answer(app: Server) -> None:
    async with Client(app) as client, aclosing(client.subscribe(tools=True)) as changes:
        assert len(await client.list_tools()) == 1
        await heard(changes, lambda: app.notify_list_changed("tools"))
        await client.list_tools()
        app.tool(name="second")(lambda: 2)
        async with asyncio.timeout(10):
            await anext(changes)
        assert len(await client.list_tools()) == 2


@ERAS
async def test_after_an_interruption_it_goes_on_with_what_may_have_been_missed(app: Server, era: Any) -> None:
    async with Client(app, era=era) as client, aclosing(client.subscribe(["note://a"])) as changes:
        await heard(changes, lambda: app.notify_resource_updated("note://a"))
        client._session._connection._lose(None)  # type: ignore[union-attr]
        if era == "legacy":
            await client.ping()  # nothing but the next call finds out
        async with asyncio.timeout(10):
            while not (change := await anext(changes)).missed:
                pass
        assert change == Change("resource", "note://a", missed=True)
        assert not (await heard(changes, lambda: app.notify_resource_updated("note://a"))).missed


@ERAS
async def test_leaving_ends_the_subscription_at_the_server(app: Server, era: Any) -> None:
    async with Client(app, era=era) as client:
        async with aclosing(client.subscribe(["note://a"])) as changes:
            await heard(changes, lambda: app.notify_resource_updated("note://a"))
        async with asyncio.timeout(10):
            while any("note://a" in listener.topics for listener in app.hub.listeners):  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_a_server_that_tells_of_nothing_is_an_error() -> None:
    app = Server("t")
    app.tool(name="x")(lambda: 1)
    async with Client(app) as client, aclosing(client.subscribe(prompts=True)) as changes:
        with pytest.raises(MCPError, match="none of the changes"):
            async with asyncio.timeout(10):
                await anext(changes)


@ERAS
async def test_each_subscriber_hears_its_own_and_leaving_takes_nothing_from_the_others(app: Server, era: Any) -> None:
    async with Client(app, era=era) as client, aclosing(client.subscribe(["note://a"])) as one:
        await heard(one, lambda: app.notify_resource_updated("note://a"))
        async with aclosing(client.subscribe(["note://a", "note://b"])) as two:
            assert (await heard(two, lambda: app.notify_resource_updated("note://b"))).uri == "note://b"
        change = await heard(one, lambda: app.notify_resource_updated("note://a"))
        assert change.uri == "note://a", "nothing of the other's came before"
