"""Tasks that outlive their server: results after a restart, an end for those that were cut short, a disk that fails."""

import asyncio

import pytest

from bascule import Context, MCPError, Server
from bascule.engine.ports import Keeping
from bascule.engine.settings import TaskSettings
from bascule.errors import InternalError, InvalidParams
from bascule.stores.sqlite import SqliteTasks
from bascule.wire.notices import SubscriptionFilter
from tests.tasks.test_tasks import OTHER, Caller, listening


def server(path, store=SqliteTasks, **settings):
    """A server that keeps its tasks in a file, as one process would make it."""
    app = Server("t")
    app.go = asyncio.Event()
    app.keep_tasks(Keeping(TaskSettings(**settings), store(path)))

    @app.tool(task="required")
    async def done(ctx: Context) -> str:
        await ctx.task.status("nearly")
        return "the result"

    @app.tool(task="required")
    async def wrong() -> str:
        raise MCPError("not so", code=-32001, data=[1])

    @app.tool(task="required")
    async def wait() -> str:
        await app.go.wait()
        return "late"

    return app


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "tasks.sqlite")


async def test_results_and_errors_are_there_after_a_restart_for_their_owner_only(path):
    app = server(path)
    async with app.running() as state:
        caller = Caller(app, state)
        before = [
            await caller.settled(await caller.call("done"), "completed"),
            await caller.settled(await caller.call("wrong"), "failed"),
        ]
    app = server(path)
    async with app.running() as state:
        caller = Caller(app, state)
        for one in before:
            again = await caller.look(one)
            again.last_updated_at = one.last_updated_at
            assert again == one
            with pytest.raises(InvalidParams):
                await caller.look(one, principal=OTHER)
        await caller.cancel(before[0])
        assert (await caller.look(before[0])).status == "completed"


async def test_what_still_ran_has_failed_after_a_restart(path):
    app = server(path)
    async with app.running() as state:
        task = await Caller(app, state).call("wait")
    for _ in range(2):
        app = server(path)
        async with app.running() as state:
            found = await Caller(app, state).look(task)
            assert (found.status, found.error.code) == ("failed", -32603)
            assert found.status_message == found.error.message
            assert "call the tool again" in found.error.message


async def test_a_crash_loses_no_result(path):
    """The process is gone without a farewell: its file is opened as it was left."""
    app = server(path)
    running = app.running()
    state = await running.__aenter__()
    caller = Caller(app, state)
    done = await caller.settled(await caller.call("done"), "completed")
    task = await caller.call("wait")
    lost = app._tasks.keeping.store
    await lost._do(lost._closed)  # as the system does with a dead process's files
    app = server(path)
    async with app.running() as again:
        caller = Caller(app, again)
        assert (await caller.look(done)).result == done.result
        assert (await caller.look(task)).status == "failed"
    await running.__aexit__(None, None, None)


async def test_a_cancelled_task_is_cancelled_after_a_restart(path):
    app = server(path)
    async with app.running() as state:
        caller = Caller(app, state)
        task = await caller.call("wait")
        await caller.cancel(task)
        await caller.settled(task, "cancelled")
    app = server(path)
    async with app.running() as state:
        assert (await Caller(app, state).look(task)).status == "cancelled"


async def test_a_listener_is_granted_its_task_of_before(path):
    app = server(path)
    async with app.running() as state:
        caller = Caller(app, state)
        task = await caller.settled(await caller.call("done"), "completed")
    app = server(path)
    async with app.running() as state:
        wanted = SubscriptionFilter(task_ids=[task.task_id])
        listener, heard = await listening(Caller(app, state), wanted)
        assert (await heard.get()).params.notifications.task_ids == [task.task_id]
        listener.cancel()


async def test_kept_tasks_count_for_the_limits(path):
    app = server(path, max_tasks_per_principal=1)
    async with app.running() as state:
        caller = Caller(app, state)
        await caller.settled(await caller.call("done"), "completed")
    app = server(path, max_tasks_per_principal=1)
    async with app.running() as state:
        assert (await Caller(app, state).call("done")).is_error


class Failing(SqliteTasks):
    """A disk that takes the first so many writes, and no more."""

    takes = 0

    async def put(self, record):
        if not self.takes:
            raise OSError("no space left")
        self.takes -= 1
        await super().put(record)


async def test_a_task_that_cannot_be_kept_does_not_begin(path, caplog):
    app = server(path, Failing)
    async with app.running() as state:
        with pytest.raises(InternalError, match="cannot be kept"):
            await Caller(app, state).call("done")
        (runner,) = app._tasks.runners()
        assert len(runner) == 0
        assert not runner._of_owner
    assert "no space left" in caplog.text


async def test_an_end_that_cannot_be_kept_is_remembered_while_the_server_runs(path, caplog):
    app = server(path, Failing)
    app._tasks.keeping.store.takes = 1
    async with app.running() as state:
        caller = Caller(app, state)
        task = await caller.call("done")
        await caller.settled(task, "completed")
    assert "only remembered" in caplog.text
    app = server(path)
    async with app.running() as state:
        assert (await Caller(app, state).look(task)).status == "failed"


async def test_an_end_is_kept_before_it_is_told(path):
    """Whoever has seen a result finds it again, whenever the process dies."""
    app = server(path)
    async with app.running() as state:
        caller = Caller(app, state)
        store = app._tasks.keeping.store
        put, seen = store.put, []

        async def looked_at(record):
            if record.state == "completed":
                found = await caller.look(task)
                seen.append((found.status, bool(found.result)))
            await put(record)

        task = await caller.call("done")
        store.put = looked_at
        await caller.settled(task, "completed")
    assert seen == [("working", False)]


async def test_a_mounted_servers_tasks_are_kept_too(path):
    inner, outer = server(path), Server("outer")
    keeping = inner._tasks.keeping
    inner._tasks.keeping = None
    outer.mount(inner)
    outer.keep_tasks(keeping)
    async with outer.running() as state:
        caller = Caller(outer, state)
        task = await caller.settled(await caller.call("done"), "completed")
    async with outer.running() as state:
        assert (await Caller(outer, state).look(task)).result == task.result
