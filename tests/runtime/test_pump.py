"""A server on a byte stream: both eras at once, cancellation, batches, bad input, limits."""

import asyncio
import json
from contextvars import ContextVar

import pytest

from bascule import CallToolResult, Context, DeclarationError, MCPError, ResourceLink, Server
from bascule.engine.exchange import LOCAL
from bascule.eras.route import StreamRoute
from bascule.eras.sealing import Sealer
from bascule.runtime.pump import Pump
from tests.messages import META, PREFIX, initialize, legacy, line, request


class Stream:
    """A pump whose answers are kept; `take` waits for the next."""

    def __init__(self, app, **options):
        self.answers = asyncio.Queue()
        self.pump = Pump(
            app, StreamRoute(app, lambda: Sealer(())), LOCAL, self.answers.put_nowait, self.drained, **options
        )
        self.pump.open({})

    async def drained(self):
        return None

    def send(self, *messages):
        for message in messages:
            self.pump.feed(message if isinstance(message, bytes) else line(message))

    async def take(self):
        return json.loads(await asyncio.wait_for(self.answers.get(), 5))

    async def ask(self, message):
        self.send(message)
        return await self.take()


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.entered = asyncio.Event()
    app.left = []

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def wait(name: str = "x") -> str:
        app.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            app.left.append(name)
        return "never"

    @app.tool
    async def stubborn(ctx: Context) -> str:
        app.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await ctx.info("still here")
        return "too late"

    @app.tool
    async def steps(ctx: Context) -> str:
        for step in (0, 50, 50, 20, 100):
            await ctx.report_progress(step, 100, f"at {step}")
        await ctx.debug("quiet")
        await ctx.warning({"loud": True}, logger="steps")
        return "done"

    return app


def call(name, arguments=None, **options):
    return request("tools/call", {"name": name, "arguments": arguments or {}}, **options)


async def test_a_stateless_call_needs_nothing_before_it(app):
    answer = await Stream(app).ask(call("add", {"a": 1, "b": 2}))
    assert answer["result"]["structuredContent"] == {"result": 3}
    assert answer["result"]["resultType"] == "complete"
    assert answer["result"]["_meta"][PREFIX + "serverInfo"] == {"name": "t", "version": "1"}


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_handshake_speaks_the_version_asked_for_and_results_carry_nothing_new(app, version):
    stream = Stream(app)
    greeted = await stream.ask(initialize(version))
    assert greeted["result"]["protocolVersion"] == version
    assert greeted["result"]["serverInfo"] == {"name": "t", "version": "1"}
    stream.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    answer = await stream.ask(legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}))
    assert answer["result"] == {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}}
    assert (await stream.ask(legacy("ping", id=2)))["result"] == {}
    assert (await stream.ask(legacy("logging/setLevel", {"level": "debug"}, id=3)))["result"] == {}


async def test_an_unknown_version_in_a_handshake_is_answered_with_the_newest_of_its_era(app):
    assert (await Stream(app).ask(initialize("1999-01-01")))["result"]["protocolVersion"] == "2025-11-25"
    assert (await Stream(app).ask(initialize("2026-07-28")))["result"]["protocolVersion"] == "2025-11-25"


async def test_both_eras_are_served_on_one_stream(app):
    stream = Stream(app)
    await stream.ask(initialize())
    modern = await stream.ask(call("add", {"a": 1, "b": 1}, id="m"))
    old = await stream.ask(legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 1}}, id="o"))
    assert "resultType" in modern["result"]
    assert "resultType" not in old["result"]


async def test_text_that_looks_like_the_version_key_does_not_change_the_era(app):
    stream = Stream(app)
    await stream.ask(initialize())
    answer = await stream.ask(legacy("tools/call", {"name": PREFIX + "protocolVersion", "arguments": {}}))
    assert answer["error"]["code"] == -32602
    assert "Unknown tool" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (request("no/such"), -32601),
        (request("ping"), -32601),
        (request("initialize"), -32601),
        (request("logging/setLevel", {"level": "debug"}), -32601),
        (legacy("tools/list"), -32602),
        (legacy("tools/list", {}), -32602),
        (request("tools/list", meta={PREFIX + "protocolVersion": "2026-07-28"}), -32602),
        (request("tools/list", meta={**META, PREFIX + "protocolVersion": "1900-01-01"}), -32022),
        (request("tools/list", meta={**META, PREFIX + "clientCapabilities": 7}), -32602),
        (request("tools/list", meta={**META, "progressToken": 1.5}), -32602),
        (request("tools/list", {"cursor": 5}), -32602),
        (request("tools/list", {"cursor": "bm9uc2Vuc2U="}), -32602),
        (request("tools/call", {}), -32602),
        (request("tools/call", {"name": "nobody"}), -32602),
        (request("prompts/list"), -32601),
        (request("resources/read", {"uri": "x://y"}), -32601),
    ],
)
async def test_what_is_wrong_gets_the_code_of_the_specification_and_its_id(app, message, code):
    answer = await Stream(app).ask({**message, "id": "the id"})
    assert answer["error"]["code"] == code
    assert answer["id"] == "the id"


async def test_an_unsupported_version_is_told_what_is_supported(app):
    answer = await Stream(app).ask(request("tools/list", meta={**META, PREFIX + "protocolVersion": "1900-01-01"}))
    assert answer["error"]["data"] == {"supported": ["2026-07-28"], "requested": "1900-01-01"}


async def test_wrong_arguments_are_a_result_that_the_model_can_read(app):
    answer = await Stream(app).ask(call("add", {"a": "x", "c": 1}))
    assert answer["result"]["isError"] is True
    text = answer["result"]["content"][0]["text"]
    assert all(word in text for word in ('"a"', '"b"', '"c"'))
    assert answer["result"]["_meta"]["dev.bascule/error"]["code"] == "invalid_arguments"


async def test_garbage_is_answered_and_the_stream_goes_on(app):
    stream = Stream(app)
    assert (await stream.ask(b"garbage"))["error"]["code"] == -32700
    assert (await stream.ask(b'{"jsonrpc":"2.0","id":null,"method":"ping"}'))["error"]["code"] == -32600
    assert (await stream.ask(b'{"jsonrpc":"2.0","id":9,"method":[]}'))["id"] == 9
    assert (await stream.ask(call("add", {"a": 1, "b": 2})))["result"]


async def test_responses_and_unknown_notices_are_met_with_silence(app):
    stream = Stream(app)
    stream.send(
        {"jsonrpc": "2.0", "id": 5, "result": {}},
        {"jsonrpc": "2.0", "method": "notifications/unheard"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nobody"}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [1]},
        {"jsonrpc": "2.0", "method": "notifications/cancelled"},
    )
    assert (await stream.ask(call("add", {"a": 1, "b": 2}, id="last")))["id"] == "last"


async def test_a_cancelled_request_stops_and_is_never_answered(app):
    stream = Stream(app)
    stream.send(call("wait", id="w"))
    await app.entered.wait()
    stream.send(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w", "reason": "bored"}}
    )
    assert (await stream.ask(call("add", {"a": 1, "b": 2}, id="next")))["id"] == "next"
    assert app.left == ["x"]
    assert stream.answers.empty()


async def test_a_handler_that_swallows_its_cancellation_loses_its_reply_and_its_voice(app):
    stream = Stream(app)
    stream.send(call("stubborn", id="s", meta={**META, PREFIX + "logLevel": "debug"}))
    await app.entered.wait()
    stream.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "s"}})
    assert (await stream.ask(call("add", {"a": 1, "b": 2}, id="next")))["id"] == "next"
    assert stream.answers.empty()


async def test_the_ids_1_and_text_1_are_two_requests_but_one_id_cannot_run_twice(app):
    stream = Stream(app)
    stream.send(call("wait", id=1), call("wait", id="1"))
    await app.entered.wait()
    assert (await stream.ask(call("add", {"a": 1, "b": 2}, id=1)))["error"]["code"] == -32600
    await stream.pump.finish(0)
    assert len(app.left) == 2


async def test_progress_only_rises_and_only_for_who_asked(app):
    stream = Stream(app)
    stream.send(call("steps", meta={**META, "progressToken": "tok"}))
    seen = []
    while "id" not in (message := await stream.take()):
        assert message["params"]["progressToken"] == "tok"
        seen.append(message["params"]["progress"])
    assert seen == [0, 50, 100]
    assert "method" not in await stream.ask(call("steps", id=2))


async def test_log_messages_follow_the_level_of_the_request_or_the_conversation(app):
    stream = Stream(app)
    notice = await stream.ask(call("steps", meta={**META, PREFIX + "logLevel": "warning"}))
    assert notice["params"] == {"level": "warning", "data": {"loud": True}, "logger": "steps"}
    await stream.take()
    await stream.ask(initialize())
    await stream.ask(legacy("logging/setLevel", {"level": "debug"}))
    stream.send(legacy("tools/call", {"name": "steps", "arguments": {}}))
    assert [(await stream.take())["params"]["level"] for _ in range(2)] == ["debug", "warning"]


async def test_batches_exist_in_exactly_one_revision(app):
    batch = b"[" + line(legacy("ping", id=1)) + b"," + line(legacy("tools/list", id=2)) + b"]"
    for version in ("2024-11-05", "2025-06-18", "2025-11-25"):
        stream = Stream(app)
        await stream.ask(initialize(version))
        assert (await stream.ask(batch))["error"]["code"] == -32600
    assert (await Stream(app).ask(batch))["error"]["code"] == -32600
    stream = Stream(app)
    await stream.ask(initialize("2025-03-26"))
    assert sorted(answer["id"] for answer in await stream.ask(batch)) == [1, 2]


async def test_a_batch_answers_its_bad_parts_and_is_silent_about_notices(app):
    stream = Stream(app)
    await stream.ask(initialize("2025-03-26"))
    answers = await stream.ask(b'[1, {"jsonrpc":"2.0","id":7,"method":"ping"}]')
    assert {answer.get("id"): "error" in answer for answer in answers} == {None: True, 7: False}
    stream.send(b'[{"jsonrpc":"2.0","method":"notifications/initialized"}]')
    assert (await stream.ask(b"[]"))["error"]["code"] == -32600


def cancelled(request_id):
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}


async def test_requests_beyond_the_limit_wait_their_turn_and_can_be_cancelled_meanwhile(app):
    stream = Stream(app, limit=2)
    stream.send(call("wait", id=1), call("wait", id=2), call("wait", id=3), call("add", {"a": 1, "b": 2}, id=4))
    await app.entered.wait()
    assert stream.answers.empty()
    stream.send(cancelled(3), cancelled(1))
    assert (await stream.take())["id"] == 4
    await stream.pump.finish(0)
    assert len(app.left) == 2, "the request that was cancelled in the queue never ran"


async def test_a_full_queue_says_so_until_there_is_room(app, monkeypatch):
    monkeypatch.setattr("bascule.runtime.pump.MAX_QUEUED", 2)
    stream = Stream(app, limit=1)
    stream.send(call("wait", id=1))
    await app.entered.wait()
    stream.send(call("add", {"a": 1, "b": 2}, id=2))
    assert not stream.pump.full
    stream.send(call("add", {"a": 1, "b": 2}, id=3))
    assert stream.pump.full
    waiting = asyncio.create_task(stream.pump.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    stream.send(cancelled(1))
    await asyncio.wait_for(waiting, 5)
    assert [(await stream.take())["id"] for _ in range(2)] == [2, 3]


async def test_a_request_cancelled_before_its_first_step_leaves_nothing_behind(app):
    stream = Stream(app)
    for number in range(200):
        stream.send(call("wait", id=number), cancelled(number))
    assert (await stream.ask(call("add", {"a": 1, "b": 2}, id="after")))["id"] == "after"
    assert not stream.pump.busy
    stream.send(call("add", {"a": 1, "b": 2}, id=0))
    assert (await stream.take())["id"] == 0, "the id is free again"


async def test_a_batch_of_requests_cancelled_in_the_same_breath_leaves_nothing_behind(app):
    stream = Stream(app)
    await stream.ask(initialize("2025-03-26"))
    for _ in range(5):
        batch = [part for number in range(50) for part in (legacy("ping", id=number), cancelled(number))]
        stream.send(json.dumps(batch).encode())
    await stream.pump.finish(1)
    assert not stream.pump.busy


async def test_requests_wait_until_the_application_is_open(app):
    answers = asyncio.Queue()
    pump = Pump(
        app, StreamRoute(app, lambda: Sealer(())), LOCAL, answers.put_nowait, Stream.drained.__get__(None, object)
    )
    pump.feed(line(call("add", {"a": 1, "b": 2})))
    await asyncio.sleep(0)
    assert answers.empty()
    assert pump.busy
    pump.open({})
    assert json.loads(await asyncio.wait_for(answers.get(), 5))["result"]


async def test_batches_are_bounded_in_parts_and_bytes_and_never_hold_a_handshake(app):
    stream = Stream(app)
    await stream.ask(initialize("2025-03-26"))
    assert (await stream.ask(json.dumps([1] * 101).encode()))["error"]["code"] == -32600
    assert (await stream.ask(b"[" + b" " * 1_100_000 + b"1]"))["error"]["code"] == -32600
    (answer,) = await stream.ask(json.dumps([initialize("2025-11-25")]).encode())
    assert answer["error"]["code"] == -32600
    assert len(await stream.ask(json.dumps([legacy("ping", id=n) for n in range(100)]).encode())) == 100


async def test_what_a_handler_says_after_its_answer_is_not_sent(app):
    kept = []

    @app.tool
    async def keep(ctx: Context) -> str:
        kept.append(ctx)
        return "done"

    stream = Stream(app)
    meta = {**META, "progressToken": "p", PREFIX + "logLevel": "debug"}
    assert (await stream.ask(call("keep", meta=meta)))["result"]
    await kept[0].report_progress(1)
    await kept[0].info("late")
    assert stream.answers.empty()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_notice_carries_the_meta_that_its_handler_gave_it(app, era):
    @app.tool
    async def work(ctx: Context) -> str:
        await ctx.report_progress(1, meta={"com.example/step": "a"})
        await ctx.warning("hot", meta={"com.example/sensor": 5})
        await ctx.info("plain")
        return "done"

    stream, named = Stream(app), {"name": "work", "arguments": {}}
    if era == "modern":
        stream.send(request("tools/call", named, meta={**META, "progressToken": "p", PREFIX + "logLevel": "info"}))
    else:
        await stream.ask(initialize())
        stream.send(legacy("tools/call", {**named, "_meta": {"progressToken": "p"}}))
    said = [(await stream.take())["params"] for _ in range(3)]
    assert said == [
        {"progressToken": "p", "progress": 1, "_meta": {"com.example/step": "a"}},
        {"level": "warning", "data": "hot", "_meta": {"com.example/sensor": 5}},
        {"level": "info", "data": "plain"},
    ]


@pytest.mark.parametrize("name", ["io.modelcontextprotocol/subscriptionId", "progressToken", "not a name"])
async def test_a_name_in_meta_that_is_not_the_authors_to_use_is_refused(app, name):
    refused = []

    @app.tool
    async def work(ctx: Context) -> str:
        for say in (lambda meta: ctx.report_progress(1, meta=meta), lambda meta: ctx.debug("a", meta=meta)):
            try:
                await say({"com.example/a": 1, name: 1})
            except DeclarationError as wrong:
                refused.append(str(wrong))
        return "done"

    assert (await Stream(app).ask(call("work")))["result"]
    assert len(refused) == 2
    assert all(repr(name) in sentence for sentence in refused)


async def test_progress_that_is_no_number_is_not_sent(app):
    @app.tool
    async def odd(ctx: Context) -> str:
        for value in (float("nan"), float("inf"), 1):
            await ctx.report_progress(value)
        return "done"

    stream = Stream(app)
    notice = await stream.ask(call("odd", meta={**META, "progressToken": "p"}))
    assert notice["params"]["progress"] == 1


@pytest.mark.parametrize(
    "escaped", [r"io.modelcontextprotocol\/protocolVersion", r"\u0069o.modelcontextprotocol/protocolVersion"]
)
async def test_the_version_is_found_however_its_key_is_spelt(app, escaped):
    stream = Stream(app)
    await stream.ask(initialize())
    text = json.dumps(call("add", {"a": 1, "b": 2})).replace(PREFIX + "protocolVersion", escaped)
    assert escaped in text
    assert "resultType" in (await stream.ask(text.encode()))["result"]


@pytest.mark.parametrize("message", [request("no/such"), request("tools/list", {"cursor": 5})])
async def test_an_unsupported_version_is_told_before_anything_else_that_is_wrong(app, message):
    message["params"]["_meta"] = {**META, PREFIX + "protocolVersion": "2027-01-01"}
    assert (await Stream(app).ask(message))["error"]["code"] == -32022


@pytest.mark.parametrize(
    "thrown",
    [
        MCPError("x", data=object()),
        MCPError(ValueError("x")),
        GeneratorExit(),
        BaseExceptionGroup("g", [GeneratorExit()]),
        asyncio.CancelledError(),
    ],
)
async def test_every_error_is_answered(app, thrown):
    @app.tool
    async def throws() -> str:
        raise thrown

    answer = await Stream(app).ask(call("throws"))
    assert "error" in answer or answer["result"]["isError"]


async def test_a_handler_that_cancels_its_own_task_is_answered(app):
    @app.tool
    async def suicidal() -> str:
        asyncio.current_task().cancel()
        await asyncio.sleep(0)
        return "unreachable"

    assert (await Stream(app).ask(call("suicidal")))["error"]["code"] == -32603


async def test_one_result_object_given_twice_is_marked_by_neither_era(app):
    shared = CallToolResult(content=[ResourceLink("book://1", "one")])

    @app.tool
    async def same() -> CallToolResult:
        return shared

    stream = Stream(app)
    assert (await stream.ask(call("same")))["result"]["resultType"] == "complete"
    await stream.ask(initialize("2025-03-26"))
    old = (await stream.ask(legacy("tools/call", {"name": "same", "arguments": {}})))["result"]
    assert old == {"content": [{"type": "text", "text": "one: book://1"}]}
    assert (await stream.ask(call("same")))["result"]["content"][0]["type"] == "resource_link"


async def test_finishing_lets_running_requests_end_before_it_cancels(app):
    stream = Stream(app)
    stream.send(call("add", {"a": 1, "b": 2}, id="quick"), call("wait", id="slow"))
    await stream.pump.finish(0.05)
    assert (await stream.take())["id"] == "quick"
    assert stream.answers.empty()
    assert app.left == ["x"]


async def test_what_one_request_leaves_in_context_variables_is_not_seen_by_the_next(app):
    user = ContextVar("user", default="nobody")

    @app.tool
    async def login(name: str) -> str:
        user.set(name)
        return name

    @app.tool
    async def whoami() -> str:
        return user.get()

    stream = Stream(app)
    stream.send(*[one for n in range(5) for one in (call("login", {"name": "x"}, id=n), call("whoami", id=100 + n))])
    answers = [await stream.take() for _ in range(10)]
    seen = {answer["id"]: answer["result"]["content"][0]["text"] for answer in answers}
    assert {seen[100 + n] for n in range(5)} == {"nobody"}


async def test_slow_requests_run_side_by_side_and_let_quick_ones_pass(app):
    gate, running = asyncio.Event(), []

    @app.tool
    async def slow(n: int) -> int:
        running.append(n)
        await gate.wait()
        return n

    stream = Stream(app)
    stream.send(*[call("slow", {"n": n}, id=n) for n in range(50)], call("add", {"a": 1, "b": 2}, id="quick"))
    assert (await stream.take())["id"] == "quick"
    assert len(running) == 50
    gate.set()
    assert {(await stream.take())["id"] for _ in range(50)} == set(range(50))
    assert not stream.pump.busy


async def test_long_requests_fill_the_queue_by_their_length(app, monkeypatch):
    monkeypatch.setattr("bascule.runtime.pump.MAX_QUEUED_BYTES", 300_000)
    stream = Stream(app, limit=1)
    stream.send(call("wait", id=0))
    await app.entered.wait()
    long = {"name": "x" * 100_000}
    stream.send(call("wait", long, id=1), call("wait", long, id=2))
    assert not stream.pump.full
    stream.send(call("wait", long, id=3))
    assert stream.pump.full
    stream.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}})
    assert not stream.pump.full, "what is cancelled waits no longer"
    stream.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}})
    await stream.pump.finish(0.05)
    assert stream.pump._heavy_bytes < 150_000


async def test_a_question_is_answered_once_and_taken_back_when_nobody_waits(app):
    @app.tool
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("Name?", str)).content

    stream = Stream(app)
    greeting = initialize()
    greeting["params"]["capabilities"] = {"elicitation": {}}
    await stream.ask(greeting)
    question = await stream.ask(legacy("tools/call", {"name": "ask", "arguments": {}}, id="a"))
    assert question["method"] == "elicitation/create"
    stream.send({"jsonrpc": "2.0", "id": 999, "result": {}})
    stream.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "a"}})
    taken_back = await stream.take()
    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"]["requestId"] == question["id"]
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"value": "Ada"}}}
    stream.send(answer, answer)
    assert (await stream.ask(legacy("ping", id="p")))["id"] == "p", "late answers change nothing"


async def everything_said(app):
    """What a stream says while a subscription is held, a question asked, a request cancelled; and at its end."""

    @app.tool
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("Name?", str)).content

    stream = Stream(app)
    can = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}}
    said = [await stream.ask(request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id="s"))]
    said.append(await stream.ask(call("ask", id="a", meta=can)))
    stream.send(call("wait", id="w"), call("wait", id="left"))
    await app.entered.wait()
    stream.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}})
    said.append(await stream.ask(call("add", {"a": 1, "b": 2}, id="last")))
    assert [one.get("id") for one in said] == [None, "a", "last"]
    assert said[1]["result"]["resultType"] == "input_required"
    await stream.pump.finish(0.05)
    assert len(app.left) == 2
    while not stream.answers.empty():
        said.append(await stream.take())
    return said


def taken_back(said):
    return [one["params"]["requestId"] for one in said if one.get("method") == "notifications/cancelled"]


async def test_nothing_but_a_subscription_is_taken_back_in_the_stateless_era(app):
    said = await everything_said(app)
    assert set(taken_back(said)) <= {"s"}
    assert all("method" not in one or "id" not in one for one in said), "and nothing is asked"


async def test_a_subscription_that_the_server_ends_is_taken_back(app):
    assert taken_back(await everything_said(app)) == ["s"]
