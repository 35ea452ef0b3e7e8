"""Concurrency: never more of one feature at once than its policy says, and no slot is lost."""

import asyncio

import pytest

from bascule.errors import Busy, MCPError, ToolError
from bascule.guards.concurrency import concurrency_limit
from bascule.guards.deadlines import Deadlines, time_limit
from tests.guards.calls import exchange, feature, simulated

GUARD = concurrency_limit()


async def work(_):
    await asyncio.sleep(1)
    return "done"


def test_a_feature_without_a_limit_is_left_as_it_is():
    assert GUARD(work, feature()) is work


def test_whoever_is_over_the_limit_is_told_so_at_once():
    async def main(loop):
        limited = GUARD(work, feature(concurrency=2, name="report"))
        running = [asyncio.create_task(limited(exchange())) for _ in range(2)]
        await asyncio.sleep(0.5)
        with pytest.raises(Busy, match=r"The tool report already serves as many calls as it may \(2\)") as refused:
            await limited(exchange())
        assert loop.time() == 0.5
        assert (refused.value.code, refused.value.details) == ("overloaded", {"limit": 2, "retryAfter": 1.0})
        assert await asyncio.gather(*running) == ["done", "done"]
        assert await limited(exchange()) == "done"

    simulated(main)


def test_each_feature_has_slots_of_its_own():
    async def main(_):
        one, other = (GUARD(work, feature(concurrency=1, kind=kind)) for kind in ("tool", "prompt"))
        assert await asyncio.gather(one(exchange()), other(exchange())) == ["done", "done"]

    simulated(main)


@pytest.mark.parametrize(
    "wrong", [ValueError("x"), ToolError("x"), MCPError("x"), asyncio.CancelledError(), SystemExit()]
)
@pytest.mark.parametrize("waits", [True, False])
def test_the_slot_is_free_again_after_whatever_went_wrong(wrong, waits):
    async def handler(_):
        if waits:
            await asyncio.sleep(1)
        raise wrong

    async def main(_):
        limited = GUARD(handler, feature(concurrency=1))
        for _ in range(3):
            with pytest.raises(type(wrong)):
                await limited(exchange())

    simulated(main)


def test_the_slot_is_free_again_after_a_time_out_and_a_storm_of_cancellations():
    async def hang(_):
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.1)
            raise ValueError("in the clean-up")

    async def main(_):
        policy = feature(concurrency=3, timeout=2.0)
        limited = GUARD(time_limit(Deadlines(clock=asyncio.get_running_loop().time))(hang, policy), policy)
        for turn in range(100):
            calls = [asyncio.create_task(limited(exchange())) for _ in range(5)]
            await asyncio.sleep(0.01 * (turn % 3))
            for call in calls[turn % 4 :]:
                call.cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(outcome, Busy) for outcome in outcomes) <= 2
        assert not isinstance(await asyncio.gather(limited(exchange()), return_exceptions=True), Busy)

    simulated(main)
