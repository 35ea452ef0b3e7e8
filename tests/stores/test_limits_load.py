"""Eight processes and a real Redis: never more than the limit in any window, and never much less where more is wanted.

BASCULE_FULL=1 makes it 100,000 attempts rather than 40,000.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from bisect import bisect_right

import pytest

from bascule.engine.policy import Window
from bascule.stores.limits_redis import RedisCounters

PROCESSES = 8
ATTEMPTS = 100_000 if os.environ.get("BASCULE_FULL") else 40_000
RATE = 8_000.0
"""Attempts a second, of all processes and for all keys together."""

LIMIT, PER = 500, 2.0
SEEN = 0.01


def moments_of_all(redis):
    """For each key, when starts were allowed, and when they were refused."""
    start = time.monotonic() + 2.0
    words = [redis.url, LIMIT, PER, ATTEMPTS // PROCESSES, RATE / PROCESSES, start]
    command = [sys.executable, "-m", "tests.stores.limits_load", *map(str, words)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    try:
        told = [json.loads(child.communicate(timeout=100)[0]) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    return {
        key: [sorted(moment for each in told for moment in each[key][which]) for which in (0, 1)] for key in told[0]
    }


def test_eight_processes_start_no_more_than_the_limit_and_are_refused_only_where_99_percent_of_it_are_used(redis):
    per = PER * 1e6
    found = moments_of_all(redis)
    assert sum(len(allowed) + len(refused) for allowed, refused in found.values()) == ATTEMPTS
    for allowed, refused in found.values():
        spans = [later - earlier for earlier, later in zip(allowed, allowed[LIMIT:], strict=False)]
        assert min(spans) >= per, "more than the limit in a window"
        used = [bisect_right(allowed, at) - bisect_right(allowed, at - per) for at in refused]
        assert min(used) >= LIMIT * 0.99, "refused although there was room"
        seconds = (max(allowed[-1], refused[-1]) - allowed[0]) / 1e6
        assert len(allowed) >= LIMIT * 0.9 * seconds / PER, "a busy machine may have asked too late for the rest"


class Demand:
    """Three processes' counters that are asked as fast as they answer, and when each start was allowed."""

    def __init__(self, redis, fail, limit):
        self.counters = [RedisCounters(redis.url, fail, 2.0) for _ in range(3)]
        self.limit = (limit,)
        self.starts = []
        self.refusals = 0

    async def until(self, moment):
        """Ask until a moment of the monotonic clock."""
        await asyncio.gather(*(self._ask(each, moment) for each in self.counters))

    async def _ask(self, counters, moment):
        while time.monotonic() < moment:
            if (await counters.charge("k", self.limit)).allowed:
                self.starts.append(time.monotonic())
            else:
                self.refusals += 1
            await asyncio.sleep(0)

    async def close(self):
        for each in self.counters:
            await each.close()

    def most(self, starts):
        """The most starts in a window; a little shorter here, for a start is seen a little after it was decided."""
        per = self.limit[0].per - SEEN
        return max((sum(at - per < each <= at for each in starts) for at in starts), default=0)


@pytest.mark.parametrize(("fail", "while_down", "around"), [("local", 3, 3), ("closed", 0, 2), ("open", None, None)])
async def test_redis_dies_and_comes_back_under_load_and_the_stated_bound_holds(redis, fail, while_down, around):
    limit = Window(20, 0.4)
    demand = Demand(redis, fail, limit)
    try:
        begun = time.monotonic()
        await demand.until(begun + 0.5)
        assert demand.most(demand.starts) <= limit.limit
        redis.kill()
        await asyncio.gather(*(each.charge("noticed", demand.limit) for each in demand.counters))
        down = time.monotonic()
        await demand.until(down + 0.6)
        back = time.monotonic()
        during = [at for at in demand.starts if down <= at < back]
        redis.restart()
        await demand.until(time.monotonic() + 0.1)
        await asyncio.gather(*(each._search for each in demand.counters))
        again = time.monotonic()
        await demand.until(again + 1.0)
    finally:
        await demand.close()
    if while_down is None:
        assert len(during) > limit.limit * 10
    else:
        assert demand.most(during) <= while_down * limit.limit
        assert demand.most(demand.starts) <= around * limit.limit
        assert (len(during) > 0) == (while_down > 0)
    late = [at for at in demand.starts if at > again + 0.5]
    assert limit.limit * 0.8 <= demand.most(late) <= limit.limit
    assert demand.refusals
