"""Coroutines run to their first wait in the running task, and go on in it as if they had been awaited."""

import asyncio

import pytest

from bascule.engine.firststep import Suspended, first_step


async def test_what_never_waits_is_done_at_once():
    async def quick():
        return 5

    assert first_step(quick()) == 5


async def test_what_waits_goes_on_in_the_same_task():
    tasks = []

    async def slow():
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            await asyncio.to_thread(int)
        tasks.append(asyncio.current_task())
        return "done"

    step = first_step(slow())
    assert isinstance(step, Suspended)
    assert await step == "done"
    assert set(tasks) == {asyncio.current_task()}


async def test_exceptions_come_out_of_either_part():
    async def early():
        raise ValueError("early")

    async def late():
        await asyncio.sleep(0)
        raise ValueError("late")

    with pytest.raises(ValueError, match="early"):
        first_step(early())
    step = first_step(late())
    with pytest.raises(ValueError, match="late"):
        await step


async def test_cancellation_reaches_the_coroutine_and_may_be_answered():
    reached = []

    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append(True)
            await asyncio.sleep(0)
            return "after all"

    async def run():
        return await first_step(stubborn())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "after all"
    assert reached == [True]


async def test_a_time_out_inside_works_across_the_two_parts():
    async def bounded():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"

    assert await first_step(bounded()) == "timed out"


async def test_what_is_dropped_is_closed():
    closed = []

    async def held():
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    step = first_step(held())
    waiting = step.__await__()
    next(waiting)
    waiting.close()
    assert closed == [True]
