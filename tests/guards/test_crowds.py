"""A server of which hundreds of calls hang goes on answering, through real sockets, threads and clients."""

import asyncio
import json
import statistics
import threading
import time
from contextlib import suppress

import httpx2
import pytest
from msgspec.structs import replace

from bascule import Client, Context, Server
from bascule.engine.exchange import LOCAL
from bascule.engine.policy import Policy
from bascule.engine.settings import LoadSettings
from bascule.eras.route import StreamRoute
from bascule.errors import ToolError
from bascule.guards.concurrency import concurrency_limit
from bascule.guards.deadlines import Deadlines, time_limit
from bascule.guards.load import Load, load_limit
from bascule.guards.repeats import Repeats, repeat_brake
from bascule.runtime.pump import Pump
from bascule.server.features import failure
from bascule.wire.inputs import ElicitResult
from tests.guards.calls import simulated
from tests.messages import headers, line, request
from tests.serving import serving

CROWD = 200


def told(next, feature):
    """A tool's refusals as results, as a server makes them."""

    async def answer(exchange):
        try:
            return await next(exchange)
        except ToolError as error:
            return failure(error)

    return answer


class Guarded(Server):
    """A server with these guards around its tools."""

    def __init__(self, **settings):
        super().__init__("guarded")
        chosen = LoadSettings(**settings)
        self.deadlines = Deadlines(chosen.timeout_grace)
        self.load = Load(chosen, address=lambda exchange: (exchange.headers or {}).get("x-test-address"))
        self.repeats = Repeats(chosen)
        self.released = threading.Event()
        guards = [told, load_limit(self.load), repeat_brake(self.repeats), concurrency_limit()]
        self.guards = [*guards, time_limit(self.deadlines)]

    def guard(self, name, **policy):
        feature = replace(self._registry.tools[name], policy=Policy(**policy))
        handler = feature.handler
        for guard in reversed(self.guards):
            handler = guard(handler, feature)
        self._registry.tools[name] = replace(feature, handler=handler)


def hanging_server(seconds, **settings):
    app = Guarded(**settings)

    @app.tool
    async def hang() -> str:
        """Waits for what never comes."""
        await asyncio.Event().wait()
        return "never"

    @app.tool
    def block() -> str:
        """Holds its thread until the test lets it go."""
        app.released.wait(30)
        return "late"

    @app.tool
    async def quick() -> str:
        """Answers on the loop."""
        await asyncio.sleep(0)
        return "quick"

    @app.tool
    def threaded() -> str:
        """Answers from a thread."""
        return "threaded"

    for name in ("hang", "block"):
        app.guard(name, timeout=seconds)
    for name in ("quick", "threaded"):
        app.guard(name)
    return app


class Knocking:
    """An HTTP client with a connection for each call under way."""

    def __init__(self, url):
        self.url = url
        self.http = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None), timeout=60, trust_env=False)

    async def call(self, name, **extra):
        message = request("tools/call", {"name": name, "arguments": {}})
        answer = await self.http.post(self.url, json=message, headers={**headers(message), **extra})
        return answer.status_code, answer.json()

    async def latency(self, name, text):
        """The median time, in seconds, of calls one after the other."""
        took = []
        for _ in range(20):
            began = time.perf_counter()
            _, body = await self.call(name)
            took.append(time.perf_counter() - began)
            assert body["result"]["content"][0]["text"] == text
        return statistics.median(took)


def refused(body):
    return body["result"]["_meta"]["dev.bascule/error"]["code"]


@pytest.mark.parametrize("hanging", ["hang", "block"])
async def test_two_hundred_calls_that_hang_leave_the_others_answered_as_before(hanging):
    app = hanging_server(3.0, max_calls_per_principal=500, max_repeats=0)
    with serving(app) as server:
        knocking = Knocking(server.url)
        async with knocking.http:
            before = {name: await knocking.latency(name, name) for name in ("quick", "threaded")}
            crowd = [asyncio.create_task(knocking.call(hanging)) for _ in range(CROWD)]
            while app.load.running < CROWD:
                assert (await knocking.call("quick"))[1]["result"]["content"][0]["text"] == "quick"
            for name, normal in before.items():
                assert await knocking.latency(name, name) < 5 * normal + 0.1
            assert not any(call.done() for call in crowd), "they have hung all the while"
            assert {refused(body) for _, body in await asyncio.gather(*crowd)} == {"timed_out"}
            assert await knocking.latency("threaded", "threaded") < 5 * before["threaded"] + 0.1
        assert (app.load.running, len(app.load), len(app.deadlines)) == (0, 0, 0)
        app.released.set()


async def test_who_holds_its_share_gets_503_and_others_their_answers():
    app = hanging_server(2.0, max_calls=40, max_calls_per_principal=20, max_waiting=4, max_wait=0.1, max_repeats=0)
    with serving(app) as server:
        knocking = Knocking(server.url)
        async with knocking.http:
            crowd = [asyncio.create_task(knocking.call("hang", **{"x-test-address": "hog"})) for _ in range(50)]
            others = [call async for call in answers(knocking, crowd)]
            assert {status for status, _ in others} == {200}
            outcomes = await asyncio.gather(*crowd)
            full = [body["error"] for status, body in outcomes if status == 503]
            assert len(full) == 30
            assert full[0]["data"] == {"code": "overloaded", "retryAfter": 1.0}
            assert (await knocking.http.get(server.url.replace("/mcp", "/health"))).status_code == 200
        assert (app.load.running, app.load.waiting, len(app.load)) == (0, 0, 0)


async def answers(knocking, crowd):
    """What somebody else is answered until the first of a crowd is."""
    while not any(call.done() for call in crowd):
        yield await knocking.call("quick", **{"x-test-address": "other"})


async def test_ten_thousand_calls_leave_nothing_behind():
    app = hanging_server(5.0, max_repeats=0)
    async with Client(app) as client:
        for _ in range(100):
            for outcome in await asyncio.gather(*(client.call_tool("quick") for _ in range(100))):
                assert outcome.content[0].text == "quick"
    assert (app.load.running, len(app.load), len(app.deadlines), len(app.repeats)) == (0, 0, 0, 0)


async def test_a_model_that_repeats_itself_is_told_so():
    app = hanging_server(5.0, max_repeats=20)
    async with Client(app) as client:
        outcomes = [await client.call_tool("quick") for _ in range(23)]
    assert [outcome.is_error for outcome in outcomes] == [False] * 20 + [True] * 3
    assert outcomes[-1].meta["dev.bascule/error"]["code"] == "repeated_call"


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_time_that_a_person_takes_is_not_the_tools(era):
    """The person answers when a call that began later has been stopped already."""
    app = hanging_server(0.3)

    @app.tool
    async def ask(ctx: Context) -> str:
        answer = await ctx.elicit("How many?", int)
        return f"{answer.content} seats"

    app.guard("ask", timeout=0.2)
    with serving(app) as server:

        async def on_elicit(question):
            async with Client(server.url) as other:
                stopped = await other.call_tool("hang")
            assert stopped.is_error
            return ElicitResult("accept", {"value": 3})

        async with Client(server.url, era=era, on_elicit=on_elicit) as client:
            result = await client.call_tool("ask")
    assert result.content[0].text == "3 seats"
    assert len(app.deadlines) == 0


async def test_a_tool_that_reads_a_resource_needs_one_turn():
    app = Guarded(max_calls=1, max_waiting=0)

    @app.resource("note://one")
    async def note() -> str:
        await asyncio.sleep(0)
        return "read"

    @app.tool
    async def reads(ctx: Context) -> str:
        return (await ctx.read_resource("note://one"))[0].text

    app.guard("reads")
    feature = app._registry.resources["note://one"]
    app._registry.resources["note://one"] = replace(feature, handler=load_limit(app.load)(feature.handler, feature))
    async with Client(app) as client:
        assert (await client.call_tool("reads")).content[0].text == "read"
        assert (await client.read_resource("note://one")).contents[0].text == "read"
    assert app.load.running == 0


def test_a_stream_goes_on_after_a_handler_was_cut_off():
    """One task serves many requests: what is left of a handler must not disturb those that follow."""
    app = hanging_server(1.0, timeout_grace=5.0, max_repeats=0)

    @app.tool
    async def deaf() -> str:
        """Swallows two cancellations, and after eight seconds has the task cancelled that it began in."""
        async with asyncio.timeout(8):
            for _ in range(2):
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            await asyncio.Event().wait()
        return "never"

    @app.tool
    async def patient() -> str:
        await asyncio.sleep(5)
        return "patient"

    async def main(loop):
        app.deadlines.clock = loop.time
        app.guard("deaf", timeout=1.0)
        app.guard("patient", timeout=30.0)
        answers = asyncio.Queue()
        pump = Pump(app, StreamRoute(app, lambda: None), LOCAL, answers.put_nowait, drained, limit=1)
        pump.open({})
        for number, name in enumerate(("deaf", "patient"), 1):
            pump.feed(line(request("tools/call", {"name": name, "arguments": {}}, id=number)))
        assert refused(json.loads(await answers.get())) == "timed_out"
        assert 6 <= loop.time() < 7
        assert json.loads(await answers.get())["result"]["content"][0]["text"] == "patient"
        assert loop.time() > 8
        await pump.finish(0)

    simulated(main)


async def drained():
    """There is always room."""
