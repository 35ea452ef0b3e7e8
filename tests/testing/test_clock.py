"""The manual clock: it stands still, wakes whom it should, and serves several threads."""

import asyncio
import threading

import pytest

from bascule.testing import ManualClock


def test_it_tells_the_time_it_was_given_and_moves_only_by_hand():
    clock = ManualClock(100)
    assert (clock(), clock()) == (100, 100)
    clock.advance(2.5)
    assert clock() == 102.5
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-1)


async def test_sleepers_wake_when_their_time_has_come_and_not_before():
    clock, woken = ManualClock(), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
    await clock.until_sleeping(3)
    clock.advance(0.5)
    clock.advance(1.5)
    await asyncio.gather(tasks[1], tasks[2])
    assert (woken, clock.sleeping) == ([1, 2], 1)
    clock.advance(1)
    await tasks[0]
    assert clock.sleeping == 0


async def test_no_time_is_no_sleep():
    await ManualClock().sleep(0)


async def test_a_sleeper_that_is_cancelled_is_forgotten():
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.until_sleeping()
    task.cancel()
    await asyncio.wait({task})
    assert clock.sleeping == 0


async def test_it_wakes_sleepers_of_another_thread():
    clock, seen = ManualClock(), []

    async def far():
        await clock.sleep(5)
        seen.append(clock())

    thread = threading.Thread(target=lambda: asyncio.run(far()))
    thread.start()
    await clock.until_sleeping()
    clock.advance(5)
    await asyncio.to_thread(thread.join, 10)
    assert seen == [5]
