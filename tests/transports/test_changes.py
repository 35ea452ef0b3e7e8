"""Changes as clients hear of them: listening requests, GET streams and byte streams, over one hub."""

import asyncio
import json
import threading

import httpx2
import pytest

from bascule import Client, Context, Server
from tests.messages import PREFIX, headers, initialize, legacy, request
from tests.serving import serving

SUBSCRIPTION = PREFIX + "subscriptionId"
EVERYTHING = {
    "toolsListChanged": True,
    "promptsListChanged": True,
    "resourcesListChanged": True,
    "resourceSubscriptions": ["note://a", "note://b"],
}


@pytest.fixture
def app():
    app = Server("t")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.resource("note://{name}")
    async def note(name: str) -> str:
        return name

    return app


class Stream:
    """An event stream, read message by message."""

    def __init__(self, response):
        self.response = response
        self.lines = response.iter_lines()
        self.ids = []

    def next(self):
        """The next message; its id, where it has one, goes to `ids`."""
        for line in self.lines:
            if line.startswith("id: "):
                self.ids.append(line[4:])
            if line.startswith("data: ") and line != "data: ":
                return json.loads(line[6:])
        return None

    def rest(self):
        return [line for line in self.lines if line]


def listen(http, url, wanted, id=7):
    message = request("subscriptions/listen", {"notifications": wanted}, id=id)
    return http.stream("POST", url, json=message, headers=headers(message))


def notices(app):
    """One change of each kind, told from another thread."""

    def tell():
        app.notify_resource_updated("note://b")
        app.notify_resource_updated("note://other")
        app.tool(name="more")(lambda: 1)

    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()


def test_a_listener_is_acknowledged_first_and_told_what_it_asked_for(app):
    with (
        serving(app) as running,
        httpx2.Client(timeout=10) as http,
        listen(http, running.url, {**EVERYTHING, "promptsListChanged": True}) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        stream = Stream(response)
        acknowledged = stream.next()
        notices(app)
        told = [stream.next(), stream.next()]
        running.server.should_exit = True
        final = stream.next()
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    granted = {"toolsListChanged": True, "resourcesListChanged": True}
    assert acknowledged["params"]["notifications"] == {**granted, "resourceSubscriptions": ["note://a", "note://b"]}
    assert [one["method"] for one in told] == ["notifications/resources/updated", "notifications/tools/list_changed"]
    assert told[0]["params"]["uri"] == "note://b"
    assert {one["params"]["_meta"][SUBSCRIPTION] for one in (acknowledged, *told)} == {7}
    assert final["id"] == 7
    assert final["result"]["resultType"] == "complete"
    assert final["result"]["_meta"][SUBSCRIPTION] == 7


def test_a_listener_that_asked_for_nothing_hears_nothing(app):
    with (
        serving(app, keep_alive_interval=0.05) as running,
        httpx2.Client(timeout=10) as http,
        listen(http, running.url, {}) as response,
    ):
        stream = Stream(response)
        assert stream.next()["params"]["notifications"] == {}
        notices(app)
        assert next(line for line in stream.lines if line).startswith(":"), "only a sign of life"


def test_a_client_that_leaves_is_forgotten(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        with listen(http, running.url, EVERYTHING) as response:
            stream = Stream(response)
            assert stream.next()["method"] == "notifications/subscriptions/acknowledged"
            assert len(app.hub.listeners) == 1
        gone = threading.Event()
        for _ in range(200):
            if not app.hub.listeners:
                break
            gone.wait(0.02)
        assert not app.hub.listeners


def test_changes_of_one_thing_are_told_once_to_a_listener_that_is_slow(app):
    heard = []
    listener = app.hub.listen(["note://a", "tools"], lambda: heard.append(1))
    for _ in range(100_000):
        app.notify_resource_updated("note://a")
    app.notify_list_changed("tools")
    assert listener.take() == ["note://a", "tools"]
    assert listener.take() == []
    listener.close()
    app.notify_resource_updated("note://a")
    assert listener.take() == []


@pytest.mark.parametrize("uris", [[f"a:{n}" for n in range(2000)], [f"a:{'x' * 1000}{n}" for n in range(70)]])
def test_topics_are_bounded_in_number_and_in_length(app, uris):
    message = request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        answer = http.post(running.url, json=message, headers=headers(message))
        assert answer.status_code == 503
        assert not app.hub.listeners
        assert not app.hub._by_topic
        session = opened(http, running.url)
        for uri in uris[:-1]:
            answer = http.post(running.url, json=legacy("resources/subscribe", {"uri": uri}), headers=session).json()
            if "error" in answer:
                break
        else:
            pytest.fail("a session may subscribe without end")


def test_listeners_are_bounded(app, monkeypatch):
    monkeypatch.setattr("bascule.engine.hub.MAX_LISTENERS", 1)
    message = request("subscriptions/listen", {"notifications": EVERYTHING})
    with (
        serving(app) as running,
        httpx2.Client(timeout=10) as http,
        listen(http, running.url, EVERYTHING) as response,
    ):
        stream = Stream(response)
        assert stream.next()["method"] == "notifications/subscriptions/acknowledged"
        assert http.post(running.url, json=message, headers=headers(message)).status_code == 503


def test_a_quiet_stream_of_the_handshake_era_shows_life(app):
    go = threading.Event()

    @app.tool
    async def wait(ctx: Context) -> str:
        await ctx.info("begun")
        await asyncio.to_thread(go.wait, 5)
        return "done"

    with serving(app, keep_alive_interval=0.05) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        call = legacy("tools/call", {"name": "wait", "arguments": {}})
        with http.stream("POST", running.url, json=call, headers=session) as response:
            stream = Stream(response)
            assert stream.next()["params"]["data"] == "begun"
            assert next(line for line in stream.lines if line) == ":"
            go.set()
            assert stream.next()["result"]["structuredContent"] == {"result": "done"}


def opened(http, url, capabilities=None):
    greeting = initialize()
    greeting["params"]["capabilities"] = capabilities or {}
    accept = {"accept": "application/json, text/event-stream"}
    session = http.post(url, json=greeting, headers=accept).headers["mcp-session-id"]
    return {**accept, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}


def subscribe(http, url, session, uri, method="resources/subscribe"):
    assert http.post(url, json=legacy(method, {"uri": uri}), headers=session).json()["result"] == {}


def test_a_get_stream_carries_what_a_session_has_subscribed_to(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        subscribe(http, running.url, session, "note://a")
        with http.stream("GET", running.url, headers=session) as response:
            stream = Stream(response)
            next(stream.lines)
            subscribe(http, running.url, session, "note://b")
            subscribe(http, running.url, session, "note://a", "resources/unsubscribe")
            app.notify_resource_updated("note://a")
            notices(app)
            first, second = stream.next(), stream.next()
        assert first == {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "note://b"}}
        assert second == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


def test_of_two_streams_of_a_session_one_carries_a_message_and_the_other_takes_over(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        with http.stream("GET", running.url, headers=session) as older:
            first = Stream(older)
            next(first.lines)
            with http.stream("GET", running.url, headers=session) as newer:
                second = Stream(newer)
                next(second.lines)
                app.notify_list_changed("tools")
                assert second.next()["method"] == "notifications/tools/list_changed"
                speaking = set(app.hub.listeners)
            gone = threading.Event()
            for _ in range(200):
                if app.hub.listeners and not app.hub.listeners.keys() & speaking:
                    break
                gone.wait(0.02)
            app.notify_list_changed("resources")
            assert first.next()["method"] == "notifications/resources/list_changed"


def test_streams_are_limited_for_each_caller(app):
    with serving(app, max_streams_per_principal=1) as running, httpx2.Client(timeout=10) as http:
        one, two = opened(http, running.url), opened(http, running.url)
        with http.stream("GET", running.url, headers=one) as response:
            lines = response.iter_lines()
            next(lines)
            assert http.get(running.url, headers=two).status_code == 503


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_byte_stream_tells_a_client_that_has_shaken_hands(app, era):
    told = asyncio.Queue()
    async with Client(app, era=era, on_notice=lambda method, params: told.put_nowait((method, params))) as client:
        await client.list_tools()
        if era == "legacy":
            await client.request("resources/subscribe", {"uri": "note://a"})
        app.notify_resource_updated("note://a")
        app.notify_list_changed("tools")
        if era == "legacy":
            assert await told.get() == ("notifications/resources/updated", {"uri": "note://a"})
            assert await told.get() == ("notifications/tools/list_changed", {})
    assert told.empty(), "nobody is told unasked in the stateless era"
    assert not app.hub.listeners


async def test_changes_of_a_mounted_server_are_told_by_the_outer_one():
    inner, outer = Server("inner"), Server("outer")
    outer.mount(inner, prefix="in")
    heard = outer.hub.listen(["tools", "prompts", "note://in/a"], lambda: None)

    @inner.tool
    async def one() -> int:
        return 1

    @inner.prompt
    async def two() -> str:
        return ""

    inner.remove_tool("one")
    inner.notify_resource_updated("note://a")
    assert heard.take() == ["tools", "prompts", "note://in/a"]
    async with Client(outer) as client:
        assert [prompt.name for prompt in await client.list_prompts()] == ["in_two"]
