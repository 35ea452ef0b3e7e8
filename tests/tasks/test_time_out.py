"""Time-outs of tasks: the limit is that of the work, and waiting for the user is no work."""

import asyncio

from msgspec import Raw

from bascule.engine.asking import Question
from bascule.guards.deadlines import Deadlines, time_limit
from bascule.tasks.runner import Tasks
from bascule.wire.requests import ClientCapabilities
from bascule.wire.tasks import EXTENSION, TaskParams, UpdateTaskParams
from tests.guards.calls import exchange, feature, result, simulated
from tests.guards.test_crowds import told

ABLE = ClientCapabilities(extensions={EXTENSION: {}}, elicitation={})
QUESTIONS = {"q1": Question("elicitation/create", None, "elicitation")}


async def nothing_before(exchange):
    """The prelude of a tool without arguments and questions."""


def task_of(handler, loop):
    """Begin a task that may work for ten seconds; gives what looks after it."""
    limited = time_limit(Deadlines(clock=loop.time))(handler, feature(timeout=10.0))
    tasks = Tasks(lambda topic: None, loop.time)
    begin = tasks.handler(told(limited, None), "optional", nothing_before)

    async def begun():
        call = exchange()
        call.peer = call.peer.__class__("", None, ABLE)
        created = await begin(call)

        def ask(method, params):
            call.method, call.params = method, params
            return tasks.answer(call)

        return created.task_id, ask

    return begun


def test_a_task_that_works_for_too_long_completes_with_a_time_out():
    async def work(_):
        await asyncio.sleep(1000)

    async def main(loop):
        task_id, ask = await task_of(work, loop)()
        await asyncio.sleep(10.1)
        shown = ask("tasks/get", TaskParams(task_id=task_id))
        assert shown.status == "completed"
        assert b'"code":"timed_out"' in bytes(shown.result)

    simulated(main)


def test_a_task_may_wait_for_its_user():
    async def work(exchange):
        await exchange.inquire(exchange, QUESTIONS)
        await asyncio.sleep(9)
        return result("answered")

    async def main(loop):
        task_id, ask = await task_of(work, loop)()
        await asyncio.sleep(500)
        assert ask("tasks/get", TaskParams(task_id=task_id)).status == "input_required"
        ask("tasks/update", UpdateTaskParams(task_id=task_id, input_responses={"q1": Raw(b"{}")}))
        await asyncio.sleep(9.5)
        shown = ask("tasks/get", TaskParams(task_id=task_id))
        assert b"answered" in bytes(shown.result)

    simulated(main)
