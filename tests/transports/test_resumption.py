"""Answers that a client lost, or was told to come back for; and questions over the stream of the call that asks."""

import asyncio
import json
import threading

import httpx2
import pytest

from bascule import Client, Context, ElicitResult, Server
from bascule.stores.memory import MemoryReplay
from tests.messages import legacy
from tests.serving import serving
from tests.transports.test_changes import Stream, opened


class Held(Server):
    """A server whose tool works until it is let go."""

    def __init__(self):
        super().__init__("t")
        self.go = threading.Event()
        self.tool(self.work)
        self.tool(self.long)

    async def work(self, ctx: Context) -> str:
        """Lets the client go, then reports, then ends."""
        await ctx.release_stream(0.25)
        await ctx.info("meanwhile")
        await asyncio.to_thread(self.go.wait, 5)
        return "done"

    async def long(self, ctx: Context) -> str:
        """Reports and ends, however long it takes."""
        await ctx.info("begun")
        await asyncio.to_thread(self.go.wait, 5)
        await ctx.info("nearly")
        return "done"


@pytest.fixture
def app():
    app = Held()
    yield app
    app.go.set()


def call(name, id=5):
    return legacy("tools/call", {"name": name, "arguments": {}}, id=id)


def test_a_client_that_is_let_go_comes_back_for_the_answer(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        with http.stream("POST", running.url, json=call("work"), headers=session) as response:
            lines = [line for line in response.iter_lines() if line]
        assert lines[0].startswith("id: ")
        assert lines[1] == "data: ", "an event without data, so that there is an id to come back with"
        assert lines[2] == "retry: 250"
        assert len(lines) == 3
        with http.stream("GET", running.url, headers={**session, "last-event-id": lines[0][4:]}) as response:
            stream = Stream(response)
            assert stream.next()["params"]["data"] == "meanwhile"
            app.go.set()
            answer = stream.next()
            assert (answer["id"], answer["result"]["structuredContent"]) == (5, {"result": "done"})
            assert stream.next() is None, "the stream ends with the answer"
        with http.stream("GET", running.url, headers={**session, "last-event-id": stream.ids[0]}) as response:
            assert Stream(response).next()["id"] == 5, "and can be fetched again from any place"


def test_what_a_lost_connection_did_not_deliver_is_delivered_later(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        with http.stream("POST", running.url, json=call("long"), headers=session) as response:
            stream = Stream(response)
            assert stream.next()["params"]["data"] == "begun"
        app.go.set()
        with http.stream("GET", running.url, headers={**session, "last-event-id": stream.ids[-1]}) as response:
            again = Stream(response)
            assert again.next()["params"]["data"] == "nearly"
            assert again.next()["result"]["structuredContent"] == {"result": "done"}
        assert len(set(stream.ids + again.ids)) == len(stream.ids + again.ids), "no id twice"


def test_streams_of_one_session_share_no_id_and_each_replays_its_own_messages_alone(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        streams = {}
        for number in (5, 6):
            with http.stream("POST", running.url, json=call("long", number), headers=session) as response:
                streams[number] = Stream(response)
                assert streams[number].next()["params"]["data"] == "begun"
        app.go.set()
        told = [event for stream in streams.values() for event in stream.ids]
        for number, stream in streams.items():
            with http.stream("GET", running.url, headers={**session, "last-event-id": stream.ids[-1]}) as response:
                again = Stream(response)
                nearly, answer, end = again.next(), again.next(), again.next()
            assert (nearly["params"]["data"], answer["id"], end) == ("nearly", number, None)
            told += again.ids
        assert len(set(told)) == len(told)


def test_another_session_gets_nothing_of_it(app):
    with serving(app, keep_alive_interval=0.05) as running, httpx2.Client(timeout=10) as http:
        session, thief = opened(http, running.url), opened(http, running.url)
        with http.stream("POST", running.url, json=call("work"), headers=session) as response:
            event = next(line for line in response.iter_lines() if line.startswith("id: "))[4:]
        app.go.set()
        for stolen in (event, event.replace(".1", ".0"), "nonsense", "a.b.c", f"{event}9999999999", "\xb2"):
            with http.stream(
                "GET", running.url, headers={**thief, "last-event-id": stolen.encode("latin-1")}
            ) as response:
                lines = response.iter_lines()
                assert [next(lines) for _ in range(3)] == [":", "", ":"], "a stream on which nothing is said"
        with http.stream("GET", running.url, headers={**session, "last-event-id": event}) as response:
            assert Stream(response).next()["params"]["data"] == "meanwhile", "and the owner is not disturbed"


def test_an_ended_session_leaves_nothing(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url)
        with http.stream("POST", running.url, json=call("work"), headers=session) as response:
            event = next(line for line in response.iter_lines() if line.startswith("id: "))[4:]
        assert http.delete(running.url, headers=session).status_code == 200
        assert http.get(running.url, headers={**session, "last-event-id": event}).status_code == 404
        app.go.set()


def test_an_older_client_gets_no_event_without_data(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened_as(http, running.url, "2025-06-18")
        with http.stream("POST", running.url, json=call("long"), headers=session) as response:
            stream = Stream(response)
            app.go.set()
            assert stream.next()["params"]["data"] == "begun"
            assert stream.ids[0].endswith(".1")


def test_an_older_client_is_not_let_go_because_it_could_not_come_back(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened_as(http, running.url, "2025-06-18")
        app.go.set()
        with http.stream("POST", running.url, json=call("work"), headers=session) as response:
            stream = Stream(response)
            assert stream.next()["params"]["data"] == "meanwhile"
            assert stream.next()["result"]["structuredContent"] == {"result": "done"}


def opened_as(http, url, version):
    greeting = legacy(
        "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    )
    accept = {"accept": "application/json, text/event-stream"}
    session = http.post(url, json=greeting, headers=accept).headers["mcp-session-id"]
    return {**accept, "mcp-session-id": session, "mcp-protocol-version": version}


@pytest.fixture
def asking():
    app = Server("asking")

    @app.tool
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("Name?", str)).content

    return app


def test_a_question_travels_on_the_stream_of_the_call_and_its_answer_by_post(asking):
    with serving(asking) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url, {"elicitation": {}})
        stranger = opened(http, running.url, {"elicitation": {}})
        with http.stream("POST", running.url, json=call("ask"), headers=session) as response:
            stream = Stream(response)
            question = stream.next()
            assert question["method"] == "elicitation/create"
            answer = {
                "jsonrpc": "2.0",
                "id": question["id"],
                "result": {"action": "accept", "content": {"value": "Eve"}},
            }
            assert httpx2.post(running.url, json=answer, headers=stranger).status_code == 202, "it says nothing"
            answer["result"]["content"]["value"] = "Ada"
            assert httpx2.post(running.url, json=answer, headers=session).status_code == 202
            assert stream.next()["result"]["structuredContent"] == {"result": "Ada"}
            assert httpx2.post(running.url, json=answer, headers=session).status_code == 202, "too late, and harmless"


def test_a_client_that_takes_no_stream_cannot_be_asked(asking):
    with serving(asking) as running, httpx2.Client(timeout=10) as http:
        session = {**opened(http, running.url, {"elicitation": {}}), "accept": "application/json"}
        result = http.post(running.url, json=call("ask"), headers=session).json()["result"]
        assert result["isError"]
        assert "event stream" in result["content"][0]["text"]


def test_ending_the_session_ends_its_questions(asking):
    with serving(asking) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url, {"elicitation": {}})
        with http.stream("POST", running.url, json=call("ask"), headers=session) as response:
            stream = Stream(response)
            assert stream.next()["method"] == "elicitation/create"
            assert httpx2.delete(running.url, headers=session).status_code == 200
            assert [message for message in iter(stream.next, None) if "result" in message] == []


def test_a_server_that_stops_does_not_wait_for_answers(asking):
    with httpx2.Client(timeout=10) as http, serving(asking, shutdown_timeout=8.0) as running:
        session = opened(http, running.url, {"elicitation": {}})
        with http.stream("POST", running.url, json=call("ask"), headers=session) as response:
            stream = Stream(response)
            assert stream.next()["method"] == "elicitation/create"
            running.server.should_exit = True
            answer = stream.next()
            if "method" in answer:  # the question is taken back first
                answer = stream.next()
            assert answer["result"]["isError"]


def test_a_task_that_outlives_its_call_can_ask_no_more():
    app = Server("t")
    outcome = threading.Event()
    said = []

    @app.tool
    async def leave_behind(ctx: Context) -> str:
        async def later():
            await asyncio.sleep(0)
            try:
                await ctx.elicit("Still there?", str)
            except Exception as error:
                said.append(type(error).__name__)
            outcome.set()

        app.kept = asyncio.create_task(later())
        return "done"

    with serving(app) as running, httpx2.Client(timeout=10) as http:
        session = opened(http, running.url, {"elicitation": {}})
        assert http.post(running.url, json=call("leave_behind"), headers=session).status_code == 200
        assert outcome.wait(5)
    assert said == ["NotAnswered"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_our_client_answers_over_http_in_both_eras(asking, era):
    with serving(asking) as running:
        async with Client(
            running.url, era=era, on_elicit=lambda params: ElicitResult("accept", {"value": "Ada"})
        ) as client:
            assert (await client.call_tool("ask")).structured_content == {"result": "Ada"}


async def test_the_replay_store_is_bounded_in_every_direction():
    now = [0.0]
    replay = MemoryReplay(max_stream_bytes=100, max_bytes=250, max_streams=3, kept_for=10, clock=lambda: now[0])
    for number in range(1, 21):
        assert await replay.append("a.1", b"x" * 30) == number
    assert replay.size <= 100
    assert await replay.after("a.1", 1) is None, "what is gone is not passed over in silence"
    assert [event.number for event in await replay.after("a.1", 18)] == [19, 20]
    for name in ("b.1", "c.1", "d.1"):
        await replay.append(name, b"y" * 80, last=True)
    assert replay.size <= 250
    assert await replay.after("a.1", 20) is None
    assert await replay.after("d.1", 1) == []
    now[0] += 11
    assert not await replay.knows("d.1", 0)
    assert (len(replay), replay.size) == (0, 0)
    assert json.dumps(len(replay)) == "0"


async def test_a_stream_is_kept_until_it_ends_however_long_its_call_is_silent():
    now = [0.0]
    replay = MemoryReplay(kept_for=10, clock=lambda: now[0])
    await replay.append("a.1", b"begun")
    now[0] += 1000
    await replay.append("b.1", b"another", last=True)
    assert await replay.knows("a.1", 1)
    assert await replay.append("a.1", b"done", last=True) == 2
    assert [event.data for event in await replay.after("a.1", 1)] == [b"done"]
    now[0] += 11
    assert not await replay.knows("a.1", 1)
    assert len(replay) == 0


async def test_the_number_of_a_lost_event_is_not_given_to_another():
    replay = MemoryReplay(max_streams=1)
    await replay.append("a.1", b"begun")
    await replay.append("b.1", b"another", last=True)
    assert await replay.append("a.1", b"done", last=True) == 2
    assert not await replay.knows("a.1", 0)
