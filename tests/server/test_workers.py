"""Threads for functions that may block: a caller that is cancelled leaves one behind, which counts until it returns."""

import asyncio
import threading

import pytest

from bascule.errors import Busy, ToolError
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
    workers = Workers(max_threads=1, max_waiting=1)
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


class Crowd:
    """Functions of one key that hang until they are let go, and who waits for them."""

    def __init__(self, workers, key, many, most=None):
        self.functions = [Blocking() for _ in range(many)]
        self.callers = [asyncio.create_task(workers.run(one, key=key, most=most)) for one in self.functions]

    @property
    def running(self):
        return sum(one.entered.is_set() for one in self.functions)

    async def started(self, many):
        """Wait until so many of them run."""
        for one in self.functions[:many]:
            assert await asyncio.to_thread(one.entered.wait, 5)

    def go(self):
        for one in self.functions:
            one.go.set()


async def test_the_functions_of_one_key_hold_half_of_the_threads():
    workers = Workers(max_threads=4)
    crowd = Crowd(workers, "hanging", 20)
    await crowd.started(2)
    for key in ("quick", "other", "quick"):
        assert await asyncio.wait_for(workers.run(lambda: "at once", key=key), 5) == "at once"
    assert crowd.running == 2
    crowd.go()
    assert await asyncio.gather(*crowd.callers) == ["late"] * 20
    assert len(workers) == 0


@pytest.mark.parametrize(("threads", "share", "held"), [(1, 0, 1), (2, 0, 1), (3, 0, 1), (4, 3, 3), (2, 9, 2)])
async def test_the_share_of_a_key_is_at_least_one_thread_and_at_most_all(threads, share, held):
    workers = Workers(threads, max_threads_per_key=share)
    crowd = Crowd(workers, "hanging", 5)
    await crowd.started(held)
    assert crowd.running == held
    crowd.go()
    await asyncio.gather(*crowd.callers)


@pytest.mark.parametrize(("most", "held"), [(1, 1), (2, 2), (9, 2)])
async def test_a_key_may_be_held_to_less_than_its_share_also_by_what_is_abandoned(most, held):
    workers = Workers(max_threads=4)
    crowd = Crowd(workers, "hanging", 5, most)
    await crowd.started(held)
    for caller in crowd.callers[:held]:
        caller.cancel()
    await asyncio.wait(crowd.callers[:held])
    assert await workers.run(lambda: "other", key="other") == "other"
    assert crowd.running == held
    crowd.go()
    assert await asyncio.gather(*crowd.callers[held:]) == ["late"] * (5 - held)


async def test_who_is_abandoned_counts_to_the_share_until_its_function_returns():
    workers = Workers(max_threads=4)
    crowd = Crowd(workers, "hanging", 2)
    await crowd.started(2)
    for caller in crowd.callers:
        caller.cancel()
    await asyncio.wait(crowd.callers)
    third = Crowd(workers, "hanging", 1)
    assert await workers.run(lambda: "other", key="other") == "other"
    assert third.running == 0
    crowd.go()
    await third.started(1)
    third.go()
    assert await third.callers[0] == "late"


async def test_a_lane_is_bounded_and_who_is_cancelled_in_it_makes_room():
    workers = Workers(max_threads=2, max_waiting=3)
    crowd = Crowd(workers, "hanging", 4)
    await crowd.started(1)
    with pytest.raises(Busy) as refused:
        await workers.run(lambda: None, key="hanging")
    assert refused.value.code == "overloaded"
    assert refused.value.details == {"limit": 1, "retryAfter": 1.0}
    crowd.callers[3].cancel()
    await asyncio.wait({crowd.callers[3]})
    crowd.callers[3] = asyncio.create_task(workers.run(lambda: "room", key="hanging"))
    await asyncio.sleep(0)
    crowd.go()
    assert await asyncio.gather(*crowd.callers) == ["late", "late", "late", "room"]


async def test_a_storm_of_cancelled_callers_loses_no_thread_and_no_place():
    workers = Workers(max_threads=4, max_waiting=1000)
    ran = []
    for turn in range(50):
        crowd = [asyncio.create_task(workers.run(ran.append, turn, key=key)) for key in "aabbccdd" * 4]
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        for caller in crowd[turn % 3 :: 3]:
            caller.cancel()
        await asyncio.wait(crowd)
    crowd = Crowd(workers, None, 4)
    await crowd.started(4)  # all threads are free of what was abandoned
    assert len(workers) == 1
    crowd.go()
    await asyncio.gather(*crowd.callers)
    assert len(workers) == 0
    assert not workers._ready


async def test_a_machine_that_gives_no_more_threads_costs_no_place(monkeypatch, caplog):
    def start(thread):
        raise RuntimeError("can't start new thread")

    workers = Workers(max_threads=4)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(5):
            with pytest.raises(Busy):
                await workers.run(lambda: None, key="k")
    assert len(workers) == 0
    assert "no further thread" in caplog.text
    crowd = Crowd(workers, None, 1)
    await crowd.started(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        waiting = asyncio.create_task(workers.run(lambda: "by the one that there is", key="k"))
        await asyncio.sleep(0)
    crowd.go()
    assert await asyncio.wait_for(waiting, 5) == "by the one that there is"
