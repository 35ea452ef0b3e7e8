"""Changes as a client hears of them, in both eras and over every transport; and what an interruption leaves."""

import asyncio
import contextlib
import gc
import math
from contextlib import aclosing
from typing import Any

import pytest

from bascule import CallTimedOut, Client, ConnectionLost, MCPError, Server
from bascule.client import client as module
from bascule.client import subscriptions
from bascule.client.connect import Openers
from bascule.client.subscriptions import Change, Wanted
from bascule.runtime.caller import Caller
from bascule.runtime.inbox import Inbox
from tests.client.scripted import Message, Posted, ScriptedStream, answer, error, http, legacy, modern, notice, speaking
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


@ERAS
@pytest.mark.parametrize("over", ["memory", "http"])
async def test_what_changes_after_the_server_has_agreed_is_heard(app: Server, era: Any, over: str) -> None:
    with serving(app) if over == "http" else contextlib.nullcontext() as running:
        async with Client(running.url if running else app, era=era) as client:
            async with client.subscribe(["note://a"], tools=True) as changes:
                app.notify_resource_updated("note://a")
                app.notify_list_changed("tools")
                async with asyncio.timeout(10):
                    assert {(await anext(changes)).kind, (await anext(changes)).kind} == {"resource", "tools"}


@ERAS
async def test_a_plain_loop_reads_too_and_can_be_waited_for_first(app: Server, era: Any) -> None:
    async with Client(app, era=era) as client:
        changes = client.subscribe(["note://a"])
        await changes.ready()
        await changes.ready()
        app.notify_resource_updated("note://a")
        async for change in changes:
            assert change == Change("resource", "note://a")
            break
        await changes.aclose()
        await changes.aclose()
        assert [change async for change in changes] == []
        with pytest.raises(ConnectionLost, match="The subscription was closed"):
            await changes.ready()


async def test_waiting_for_a_change_may_be_cancelled_and_loses_none(app: Server) -> None:
    async with Client(app) as client, client.subscribe(["note://a"]) as changes:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(changes)
        app.notify_resource_updated("note://a")
        async with asyncio.timeout(10):
            assert await anext(changes) == Change("resource", "note://a")


async def test_who_waits_for_a_change_ends_with_the_subscription(app: Server) -> None:
    async with Client(app) as client:
        changes = client.subscribe(["note://a"])
        await changes.ready()

        async def read() -> list[Change]:
            return [change async for change in changes]

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        await changes.aclose()
        assert await reading == []


async def test_it_ends_with_the_client(app: Server) -> None:
    async with Client(app) as client:
        changes = client.subscribe(["note://a"])
        await changes.ready()
    with pytest.raises(ConnectionLost):
        await anext(changes)
    await changes.aclose()


@ERAS
async def test_one_that_is_dropped_unclosed_ends_at_the_server_too(app: Server, era: Any) -> None:
    async with Client(app, era=era) as client:
        changes = client.subscribe(["note://a"])
        await changes.ready()
        del changes
        gc.collect()
        async with asyncio.timeout(10):
            while any("note://a" in listener.topics for listener in app.hub.listeners):  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_ready_tells_what_the_server_refuses(app: Server) -> None:
    app = Server("t")
    app.tool(name="x")(lambda: 1)
    async with Client(app) as client:
        with pytest.raises(MCPError, match="none of the changes"):
            async with client.subscribe(prompts=True):
                pass
        assert not client._inbox.subscriptions, "and nothing is left of it"


async def test_a_server_that_never_agrees_is_waited_for_as_long_as_was_said() -> None:
    async def handler(posted: Posted) -> None:
        if posted.message.get("method") == "subscriptions/listen":
            await posted.gone.wait()
        else:
            await speaking(modern())(posted)

    async with http(handler) as server, Client(server.url) as client:
        with pytest.raises(CallTimedOut, match=r"did not agree within 0\.05 seconds"):
            async with client.subscribe(tools=True, timeout=0.05):
                pass
        async with asyncio.timeout(10):
            await (await server.until_posted("subscriptions/listen")).gone.wait()
        changes = client.subscribe(tools=True, timeout=math.inf)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await changes.ready()
        await changes.aclose()


def acknowledged(message: Message) -> Message:
    told = {"io.modelcontextprotocol/subscriptionId": message["id"]}
    params = {"_meta": told, "notifications": {"toolsListChanged": True}}
    return {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}


class Listened:
    """A modern HTTP server: statuses with which it answers wishes to listen, one after the other. 200 agrees and ends
    at once, 0 agrees and goes on."""

    def __init__(self, *statuses: int) -> None:
        self.left = list(statuses)
        self._greet = speaking(modern())

    async def __call__(self, posted: Posted) -> None:
        if posted.message.get("method") != "subscriptions/listen":
            await self._greet(posted)
            return
        status = self.left.pop(0)
        if status == 200:
            await posted.events(acknowledged(posted.message), answer(posted.message, {"resultType": "complete"}))
        elif status:
            await posted.send(b"no", status, "text/plain")
        else:
            await posted.events(acknowledged(posted.message), end=False)
            await posted.gone.wait()


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pauses were made in a row, at each pause; none takes time."""
    made: list[int] = []

    def pause_before(attempt: int, first: float) -> float:
        made.append(attempt)
        return 0.0

    monkeypatch.setattr(subscriptions, "pause_before", pause_before)
    return made


@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_a_refusal_ends_it_with_its_error_at_once(status: int, attempts: list[int]) -> None:
    async with http(Listened(status)) as server, Client(server.url) as client:
        with pytest.raises(MCPError) as refused:
            await anext(client.subscribe(tools=True))
    assert (refused.value.status, attempts) == (status, [])


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_server_that_is_busy_from_the_start_is_asked_again_as_often_as_in_a_call(
    retries: int, attempts: list[int]
) -> None:
    async with http(Listened(*[503] * 9)) as server, Client(server.url, retries=retries) as client:
        with pytest.raises(MCPError, match="503"):
            await anext(client.subscribe(tools=True))
    assert attempts == list(range(retries))


async def test_once_it_had_agreed_a_server_that_fails_is_asked_again_with_growing_pauses(attempts: list[int]) -> None:
    listened = Listened(200, 500, 503, 429, 502, 503, 200, 200, 0)
    async with http(listened) as server, Client(server.url, retries=0) as client:
        async with asyncio.timeout(10), client.subscribe(tools=True) as changes:
            while listened.left:
                assert (await anext(changes)).missed
    assert attempts == list(range(8)), "one that agrees and ends at once does not begin anew"


async def test_a_subscription_that_lasted_begins_its_pauses_anew(
    attempts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "LONGEST", 0.0)
    listened = Listened(200, 200, 200, 0)
    async with http(listened) as server, Client(server.url) as client:
        async with asyncio.timeout(10), client.subscribe(tools=True) as changes:
            while listened.left:
                await anext(changes)
    assert attempts == [0, 0, 0]


async def test_a_server_that_agreed_may_still_end_it() -> None:
    async with http(Listened(200, 403)) as server, Client(server.url) as client:
        async with asyncio.timeout(10), client.subscribe(tools=True) as changes:
            with pytest.raises(MCPError, match="403"):
                await anext(changes)


class Mortal:
    """A handshake-era server on a stream, of which each connection is a script of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.left = list(answers)
        self.streams: list[ScriptedStream] = []
        monkeypatch.setattr(module, "opener", lambda *_, **__: Openers(self.connect))

    def connect(self, inbox: Inbox) -> Caller:
        script = legacy({"resources/subscribe": self.left.pop(0)})
        self.streams.append(ScriptedStream(script))
        return Caller(self.streams[-1], inbox)


async def test_a_server_of_the_handshake_era_that_dies_is_begun_anew_though_nobody_calls_it(
    monkeypatch: pytest.MonkeyPatch, attempts: list[int]
) -> None:
    def die(message: Message) -> list[Message]:
        mortal.streams[-1].end()
        return []

    mortal = Mortal(monkeypatch, {}, die, {}, {})
    async with Client("x", era="legacy") as client, client.subscribe(["a://b"]) as changes:
        for lived in (3, 4):
            mortal.streams[-1].end()
            async with asyncio.timeout(10):
                assert await anext(changes) == Change("resource", "a://b", missed=True)
            assert len(mortal.streams) == lived
    assert attempts == [0, 1, 2]


async def test_a_server_of_the_handshake_era_that_refuses_the_second_time_ends_it(
    monkeypatch: pytest.MonkeyPatch, attempts: list[int]
) -> None:
    mortal = Mortal(monkeypatch, {}, lambda message: [error(message, -32602, "no such resource any more")])
    async with Client("x", era="legacy") as client, client.subscribe(["a://b"]) as changes:
        mortal.streams[-1].end()
        with pytest.raises(MCPError, match="no such resource any more"):
            async with asyncio.timeout(10):
                await anext(changes)


async def test_a_server_that_tells_of_ever_new_parts_of_a_resource_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mortal = Mortal(monkeypatch, {})
    async with Client("x", era="legacy") as client, client.subscribe(["note://a/"]) as changes:
        for number in range(3 * subscriptions.MAX_WAITING):
            mortal.streams[0].say(notice("notifications/resources/updated", uri=f"note://a/{number}"))
        await client.ping()
        waiting = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:
                    waiting.append(await anext(changes))
    assert len(waiting) <= subscriptions.MAX_WAITING
    assert Change("resource", "note://a/", missed=True) in waiting


@pytest.mark.parametrize(
    ("wanted", "uri", "part"),
    [
        ("note://a", "note://a", True),
        ("note://a", "note://ab", False),
        ("note://a", "note://a/b", True),
        ("note://a", "note://a?b=1", True),
        ("note://a", "note://a#b", True),
        ("note://a", "note://a.b", False),
        ("note://a/", "note://a/b", True),
        ("note://a/", "note://a", False),
        ("note://", "note://a", True),
    ],
)
def test_a_subscription_hears_of_sub_resources_and_of_no_neighbours(wanted, uri, part):
    assert Wanted((wanted,)).has(uri) is part
