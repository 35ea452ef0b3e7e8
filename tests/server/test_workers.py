"""Threads for functions that may block: a caller that is cancelled leaves one behind, which counts until it returns."""

import asyncio
import threading

import pytest

from bascule.errors import ToolError
from bascule.server.workers import Workers


class Blocking:
    """A function that works until it is let go."""

    def __init__(self):
        self.entered = threading.Event()
        self.go = threading.Event()

    def __call__(self):
        self.entered.set()
        assert self.go.wait(5)
        return "late"


async def abandoned(workers):
    """A function under way whose caller was cancelled."""
    blocking = Blocking()
    caller = asyncio.create_task(workers.run(blocking))
    await asyncio.to_thread(blocking.entered.wait, 5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    return blocking


async def test_what_is_abandoned_holds_its_thread_until_it_returns():
    workers = Workers(max_threads=1, max_waiting=0)
    blocking = await abandoned(workers)
    next_one = asyncio.create_task(workers.run(lambda: "next"))
    await asyncio.sleep(0)
    assert not next_one.done(), "it waits for the thread"
    with pytest.raises(ToolError, match="busy"):
        await workers.run(lambda: "one too many")
    blocking.go.set()
    assert await asyncio.wait_for(next_one, 5) == "next"


async def test_a_call_that_is_cancelled_while_it_waits_is_never_run():
    workers = Workers(max_threads=1, max_waiting=5)
    blocking = await abandoned(workers)
    ran = []
    waiting = asyncio.create_task(workers.run(ran.append, "cancelled"))
    after = asyncio.create_task(workers.run(ran.append, "after"))
    await asyncio.sleep(0)
    waiting.cancel()
    blocking.go.set()
    await asyncio.wait_for(after, 5)
    assert ran == ["after"]


async def test_threads_are_used_again_and_bounded():
    workers = Workers(max_threads=2)
    for _ in range(20):
        await workers.run(lambda: None)
    assert workers._threads <= 2
    both = [Blocking(), Blocking()]
    calls = [asyncio.create_task(workers.run(one)) for one in both]
    for one in both:
        await asyncio.to_thread(one.entered.wait, 5)
    assert workers._threads == 2
    for one in both:
        one.go.set()
    assert await asyncio.gather(*calls) == ["late", "late"]
