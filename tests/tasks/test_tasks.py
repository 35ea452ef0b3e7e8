"""Tasks: calls that go on after their answer, looked after by their own caller and by nobody else."""

import asyncio
from typing import Annotated

import pytest
from msgspec import UNSET, Raw
from msgspec.structs import replace

from bascule import Ask, Context, MCPError, Server, ToolError
from bascule.engine.asking import Asking
from bascule.engine.exchange import CLOSED, LOCAL, Exchange, Peer, Principal
from bascule.engine.ports import Keeping
from bascule.engine.settings import TaskSettings
from bascule.eras.rounds import Rounds
from bascule.eras.sealing import Sealer
from bascule.errors import InvalidParams, MethodNotFound, MissingCapability
from bascule.wire.jsonrpc import encode
from bascule.wire.notices import ListenParams, SubscriptionFilter
from bascule.wire.requests import ClientCapabilities
from bascule.wire.tasks import EXTENSION, TaskParams, UpdateTaskParams
from bascule.wire.tools import CallToolParams

ABLE = Peer("x", None, ClientCapabilities(elicitation={}, extensions={EXTENSION: {}}))
UNABLE = Peer("x", None, ClientCapabilities(elicitation={}))
OTHER = Principal(issuer="i", subject="other")


TTL = TaskSettings().ttl


def runner(app):
    (found,) = app._tasks.runners()
    return found


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Caller:
    """A client of one server, without a wire."""

    def __init__(self, app, state):
        self.app = app
        self.state = state
        self.rounds = Rounds(lambda: Sealer([b"a key of sixteen bytes"]))

    def exchange(self, method, params, peer=ABLE, principal=LOCAL):
        return Exchange(
            method=method,
            request_id=1,
            params=params,
            raw_params=None,
            peer=peer,
            principal=principal,
            channel=CLOSED,
            inquire=self.rounds.inquire,
            state=self.state,
        )

    def keep(self, **settings):
        self.state[Keeping] = Keeping(TaskSettings(**settings))

    async def call(self, name, arguments=b"{}", responses=UNSET, **options):
        params = CallToolParams(name=name, arguments=Raw(arguments), input_responses=responses)
        exchange = self.exchange("tools/call", params, **options)
        if responses is not UNSET:
            self.rounds.resume(exchange, params)
        return await self.app.answer(exchange)

    async def look(self, task, **options):
        return await self.app.answer(self.exchange("tasks/get", TaskParams(task_id=task.task_id), **options))

    async def tell(self, task, principal=LOCAL, **responses):
        params = UpdateTaskParams(
            task_id=task.task_id, input_responses={key: Raw(value) for key, value in responses.items()}
        )
        return await self.app.answer(self.exchange("tasks/update", params, principal=principal))

    async def cancel(self, task, **options):
        return await self.app.answer(self.exchange("tasks/cancel", TaskParams(task_id=task.task_id), **options))

    async def settled(self, task, *states):
        for turn in range(5000):
            found = await self.look(task)
            if found.status in states:
                return found
            await asyncio.sleep(0 if turn < 500 else 0.002)  # at first for turns of the loop, then for the disk
        pytest.fail(f"still {found.status}")


@pytest.fixture
def app():
    app = Server("t")
    app.go = asyncio.Event()
    app.left = []

    @app.tool(task="optional")
    async def wait(ctx: Context, name: str = "x") -> str:
        if ctx.task is not None:
            await ctx.task.status("half way")
        try:
            await app.go.wait()
        finally:
            app.left.append(name)
        return name

    @app.tool(task="required")
    async def must(ctx: Context) -> str:
        raise ToolError("no luck")

    @app.tool(task="optional")
    async def broken() -> str:
        raise MCPError("off the protocol", code=-32603, data={"a": 1})

    @app.tool(task="optional")
    async def ask(ctx: Context) -> str:
        first = await ctx.elicit("Number?", int)
        return f"{first.content}"

    @app.tool(task="optional")
    async def before(name: Annotated[str, Ask("Name?")], number: int = 1) -> str:
        return f"{name} {number}"

    @app.tool(task="optional")
    async def big() -> str:
        return "x" * 100

    @app.tool
    async def plain() -> str:
        return "plain"

    return app


@pytest.fixture
async def caller(app):
    async with app.running() as state:
        yield Caller(app, state)


async def test_a_call_becomes_a_task_that_can_be_looked_at_until_it_is_done(app, caller):
    task = await caller.call("wait", b'{"name":"a"}')
    assert (task.result_type, task.status, task.result, task.error) == ("task", "working", UNSET, UNSET)
    assert task.created_at.endswith("Z")
    assert task.ttl_ms == 3_600_000
    await asyncio.sleep(0)
    looked = await caller.look(task)
    assert (looked.result_type, looked.status, looked.status_message) == ("complete", "working", "half way")
    app.go.set()
    done = await caller.settled(task, "completed")
    assert b'"result":"a"' in bytes(done.result)
    assert (await caller.look(task)).result == done.result, "and again, for as long as it is kept"


async def test_a_client_without_the_extension_waits_or_is_refused(app, caller):
    app.go.set()
    result = await caller.call("wait", peer=UNABLE)
    assert result.structured_content["result"] == Raw(b'"x"') or result.structured_content == {"result": "x"}
    with pytest.raises(MissingCapability) as refused:
        await caller.call("must", peer=UNABLE)
    assert refused.value.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    task = await caller.call("wait")
    with pytest.raises(MissingCapability):
        await caller.look(task, peer=UNABLE)


async def test_a_tools_failure_completes_the_task_and_a_protocol_error_fails_it(caller):
    done = await caller.settled(await caller.call("must"), "completed")
    assert b'"isError":true' in bytes(done.result)
    failed = await caller.settled(await caller.call("broken"), "failed")
    assert (failed.error.code, failed.error.message, failed.error.data) == (-32603, "off the protocol", {"a": 1})
    assert failed.result is UNSET
    assert failed.status_message == "off the protocol"


async def test_what_nobody_foresaw_fails_the_task_and_stands_in_the_log_only(app, caller, caplog):
    @app.tool(task="optional")
    async def odd() -> str:
        raise asyncio.CancelledError("secret")

    @app.tool(task="optional")
    async def unsendable() -> str:
        raise MCPError("not so", data={1: object()})

    failed = await caller.settled(await caller.call("odd"), "failed")
    assert failed.error.code == -32603
    reference = failed.error.message.removeprefix("Internal error (reference ").removesuffix(")")
    assert len(reference) == 8
    assert reference in caplog.text
    assert "secret" not in encode(failed).decode()
    failed = await caller.settled(await caller.call("unsendable"), "failed")
    assert (failed.error.message, failed.error.data) == ("not so", UNSET)


async def test_the_status_of_a_task_that_has_ended_stands(app, caller):
    kept = []

    @app.tool(task="required")
    async def leave(ctx: Context) -> str:
        kept.append(ctx.task)
        return "done"

    task = await caller.call("leave")
    done = await caller.settled(task, "completed")
    await kept[0].status("still here")
    assert await caller.look(task) == done


async def test_wrong_arguments_make_no_task(app, caller):
    result = await caller.call("wait", b'{"name":5}')
    assert result.is_error
    assert len(runner(app)) == 0


async def test_cancelling_runs_finally_blocks_and_may_be_said_twice(app, caller):
    task = await caller.call("wait")
    await asyncio.sleep(0)
    await caller.cancel(task)
    assert (await caller.settled(task, "cancelled")).result is UNSET
    assert app.left == ["x"]
    await caller.cancel(task)
    await caller.tell(task, anything=b"1")
    assert (await caller.look(task)).status == "cancelled"


async def test_a_task_that_is_cancelled_before_it_begins_is_cancelled(app, caller):
    task = await caller.call("wait")
    await caller.cancel(task)
    await caller.settled(task, "cancelled")
    assert app.left == [], "its function was never entered"


async def test_what_a_task_asks_is_answered_under_its_key_and_asked_again_under_another(caller):
    task = await caller.call("ask")
    asking = await caller.settled(task, "input_required")
    (key,) = asking.input_requests
    assert asking.input_requests[key].method == "elicitation/create"
    await caller.tell(task, unknown=b"1")
    assert (await caller.look(task)).status == "input_required"
    await caller.tell(task, **{key: b'{"action":"accept","content":{"value":"no number"}}'})
    again = await caller.settled(task, "input_required")
    (other,) = again.input_requests
    assert other != key, "no key is used twice"
    await caller.tell(task, **{key: b'{"action":"accept","content":{"value":1}}'})
    await caller.tell(task, **{other: b'{"action":"accept","content":{"value":2}}'})
    done = await caller.settled(task, "completed")
    assert b'"2"' in bytes(done.result)


async def test_declared_questions_are_answered_before_the_task_begins(app, caller):
    with pytest.raises(Asking) as asking:
        await caller.call("before")
    assert set(asking.value.questions) == {"name"}
    assert len(runner(app)) == 0
    answers = {"name": Raw(b'{"action":"accept","content":{"value":"Ada"}}')}
    done = await caller.settled(await caller.call("before", responses=answers), "completed")
    assert b"Ada 1" in bytes(done.result)
    refused = {"name": Raw(b'{"action":"decline"}')}
    assert (await caller.call("before", responses=refused)).is_error
    assert len(runner(app)) == 1


async def test_a_task_is_unknown_to_everybody_else(app, caller):
    task = await caller.call("wait")
    with pytest.raises(InvalidParams):
        await caller.look(task, principal=OTHER)
    with pytest.raises(InvalidParams):
        await caller.look(replace(task, task_id="guessed"))
    assert len(task.task_id) >= 32


async def test_a_task_is_answered_and_cancelled_by_its_caller_alone(caller):
    task = await caller.call("ask")
    (key,) = (await caller.settled(task, "input_required")).input_requests
    with pytest.raises(InvalidParams):
        await caller.tell(task, principal=OTHER, **{key: b'{"action":"accept","content":{"value":1}}'})
    with pytest.raises(InvalidParams):
        await caller.cancel(task, principal=OTHER)
    await asyncio.sleep(0)
    assert list((await caller.look(task)).input_requests) == [key], "as if nothing had come"


async def test_tasks_are_bounded_for_each_caller_and_in_all(app, caller):
    caller.keep(max_tasks=3, max_tasks_per_principal=2)
    assert [(await caller.call("wait")).status for _ in range(2)] == ["working", "working"]
    assert (await caller.call("wait")).is_error
    assert (await caller.call("wait", principal=OTHER)).status == "working"
    assert (await caller.call("wait", principal=OTHER)).is_error


async def test_a_task_is_forgotten_when_its_time_is_over(app, caller):
    clock = Clock()
    runner(app)._clock = clock
    task = await caller.call("wait")
    clock.now += TTL - 1
    assert (await caller.look(task)).status == "working"
    await asyncio.sleep(0)
    clock.now += 2
    with pytest.raises(InvalidParams):
        await caller.look(task)
    for _ in range(2):
        await asyncio.sleep(0)
    assert app.left == ["x"], "what still ran was ended"
    assert len(runner(app)) == 0
    assert not runner(app)._of_owner


async def test_a_result_that_is_too_long_fails_the_task(caller):
    caller.keep(max_result_bytes=50)
    failed = await caller.settled(await caller.call("big"), "failed")
    assert "longer than" in failed.error.message


async def test_all_results_together_are_bounded_and_room_comes_back_with_time(app, caller):
    clock = Clock()
    runner(app)._clock = clock
    caller.keep(max_kept_bytes=400)
    assert (await caller.settled(await caller.call("big"), "completed", "failed")).status == "completed"
    failed = await caller.settled(await caller.call("big"), "completed", "failed")
    assert "room" in failed.error.message
    clock.now += TTL + 1
    assert (await caller.settled(await caller.call("big"), "completed", "failed")).status == "completed"


async def test_the_end_of_the_server_ends_its_tasks(app):
    async with app.running() as state:
        await Caller(app, state).call("wait")
        await asyncio.sleep(0)
    assert app.left == ["x"]
    assert len(runner(app)) == 0


async def test_the_end_of_one_run_leaves_the_tasks_of_another_alone(app, caller):
    task = await caller.call("wait")
    async with app.running() as state:
        other = await Caller(app, state).call("wait", b'{"name":"other"}')
        await asyncio.sleep(0)
    assert app.left == ["other"]
    assert (await caller.look(task)).status == "working"
    with pytest.raises(InvalidParams):
        await caller.look(other)


async def test_a_server_without_such_tools_has_no_tasks():
    app = Server("t")

    @app.tool
    async def plain() -> str:
        return "plain"

    assert app.facts.capabilities.extensions is None
    with pytest.raises(MethodNotFound):
        await Caller(app, {}).look(type("Named", (), {"task_id": "x"}))


class Heard:
    """A channel whose notices are kept."""

    def __init__(self):
        self.notices = asyncio.Queue()

    async def notify(self, notice):
        self.notices.put_nowait(notice)


async def listening(caller, wanted, **options):
    """A listener, and the queue of what it hears."""
    exchange = caller.exchange("subscriptions/listen", ListenParams(notifications=wanted), **options)
    exchange.channel = heard = Heard()
    task = asyncio.create_task(caller.app.answer(exchange))
    await asyncio.sleep(0)
    return task, heard.notices


async def test_a_listener_hears_what_becomes_of_its_own_tasks(app, caller):
    task = await caller.call("ask")
    foreign = await caller.call("wait", principal=OTHER)
    wanted = SubscriptionFilter(task_ids=[task.task_id, foreign.task_id, "guessed"])
    listener, heard = await listening(caller, wanted)
    acknowledged = await heard.get()
    assert acknowledged.params.notifications.task_ids == [task.task_id]
    asking = await caller.settled(task, "input_required")
    (key,) = asking.input_requests
    await caller.tell(task, **{key: b'{"action":"accept","content":{"value":2}}'})
    while True:
        notice = await asyncio.wait_for(heard.get(), 5)
        assert notice.method == "notifications/tasks"
        assert (notice.params.task_id, notice.params.result_type) == (task.task_id, UNSET)
        if notice.params.status == "completed":
            break
    assert b'"2"' in bytes(notice.params.result)
    listener.cancel()


async def test_a_client_without_the_extension_cannot_listen_to_tasks(app, caller):
    listener, _ = await listening(caller, SubscriptionFilter(task_ids=["x"]), peer=UNABLE)
    with pytest.raises(MissingCapability):
        await listener
    assert not app.hub.listeners


async def test_tasks_of_a_mounted_server_are_looked_after_by_the_outer_one(app):
    outer = Server("outer")
    outer.mount(app, prefix="in")
    assert outer.facts.capabilities.extensions == {EXTENSION: {}}
    async with outer.running() as state:
        caller = Caller(outer, state)
        task = await caller.call("in_wait")
        app.go.set()
        assert (await caller.settled(task, "completed")).result is not UNSET


async def test_a_task_says_nothing_over_the_stream_of_the_call_that_began_it():
    app = Server("t")
    go = asyncio.Event()

    @app.tool(task="optional")
    async def speak(ctx: Context) -> str:
        await ctx.report_progress(1, 3)
        await go.wait()
        await ctx.report_progress(2, 3)
        await ctx.warning("loud")
        return "done"

    async with app.running() as state:
        caller = Caller(app, state)
        exchange = caller.exchange("tools/call", CallToolParams(name="speak", arguments=Raw(b"{}")))
        exchange.progress_token, exchange.log_level = "p", "debug"
        exchange.channel = heard = Heard()
        task = await app.answer(exchange)
        go.set()
        await caller.settled(task, "completed")
    assert heard.notices.empty()
