"""Counters in Redis: one count for all processes, and a stated bound while there is none."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from bascule import ConfigError
from bascule.engine.policy import Window
from bascule.stores import limits_link, limits_memory
from bascule.stores.limits_memory import MemoryCounters
from bascule.stores.limits_redis import RedisCounters, _plan

MINUTE = (Window(50, 60.0),)
BUSY = 2.0
"""Seconds that a healthy Redis may take on a busy machine."""


@asynccontextmanager
async def counting(redis, fail="local", **options):
    counters = RedisCounters(redis.url, fail, BUSY, **options)
    try:
        yield counters
    finally:
        await counters.close()


async def allowed(counters, times, limit=MINUTE, key="k"):
    return sum([(await counters.charge(key, limit)).allowed for _ in range(times)])


class Script:
    """The script, on a clock that tests set: the same text, but for where it gets the time."""

    def __init__(self, redis):
        self.client = Redis.from_url(redis.url)
        text = limits_link.SCRIPT.decode()
        assert text.count("redis.call('TIME')") == 1
        self.run = self.client.register_script(
            text.replace("redis.call('TIME')", "redis.call('LRANGE', 'clock', 0, 1)")
        )

    def charge(self, key, limit, now):
        seconds, micros = divmod(round(now * 1e6), 1_000_000)
        plan = _plan(limit)
        pipeline = self.client.pipeline(transaction=False).delete("clock").rpush("clock", seconds, micros)
        self.run([key + name for name in plan.names], plan.arguments, pipeline)
        return pipeline.execute()[-1]


LIMITS = st.lists(st.builds(Window, st.integers(1, 6), st.sampled_from([100.0, 200.0, 700.0])), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 12.5, 50.0, 100.0, 300.0]), st.sampled_from("abc")), max_size=60)


@pytest.mark.parametrize("group", [1024, 2])
def test_the_script_says_what_the_counters_in_memory_say(redis, monkeypatch, group):
    monkeypatch.setattr(limits_memory, "GROUP", group)
    _plan.cache_clear()
    script = Script(redis)

    @given(LIMITS, STEPS)
    @settings(max_examples=60)
    def same(limit, steps):
        limit = tuple(dict.fromkeys(limit))
        script.client.flushdb()
        now = 1_000_000.0
        model = MemoryCounters(100, lambda: now, lambda: now)
        for pause, key in steps:
            now += pause
            expected = model.take(key, limit)
            got, remaining, wait, place, said = script.charge(key, limit, now)
            assert (got, remaining, wait / 1e6) == (expected.allowed, expected.remaining, pytest.approx(expected.wait))
            assert said == now * 1e6
            assert got or limit[place - 1].per >= wait / 1e6

    same()
    _plan.cache_clear()


@given(steps=st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.9, -0.5, -5000.0]), max_size=60))
@settings(max_examples=60)
def test_a_server_clock_that_goes_back_lets_nobody_in_early_nor_keeps_anybody_out(shared_redis, steps):
    script, limit = Script(shared_redis), (Window(3, 100.0),)
    script.client.flushdb()
    told, true, starts = 1e6, 0.0, []
    for step in steps:
        true += 100.0 * abs(step) if abs(step) < 1 else 5.0
        told += 100.0 * step
        got, _, wait, *_ = script.charge("k", limit, told)
        if got:
            starts.append(true)
        assert len([start for start in starts if start > true - 100.0]) <= 3
        assert wait <= 100.0 * 1e6


async def test_processes_share_one_count_with_the_servers_figures(redis):
    async with counting(redis) as one, counting(redis) as other:
        limit = (Window(3, 60.0), Window(2, 30.0))
        verdicts = [await each.charge("k", limit) for each in (one, other, one, other)]
        assert [v.allowed for v in verdicts] == [True, True, False, False]
        assert [v.remaining for v in verdicts] == [1, 0, 0, 0]
        assert {v.window for v in verdicts} == {Window(2, 30.0)}
        assert all(29 < v.wait <= 30 for v in verdicts)
        assert len({round(v.reset_at, 5) for v in verdicts}) == 1
        assert (await one.charge("other", limit)).allowed


async def test_redis_is_not_asked_about_a_caller_that_is_over(redis):
    async with counting(redis) as counters:
        await allowed(counters, 51)
        before = calls(redis)
        assert await allowed(counters, 1000) == 0
        assert calls(redis) == before
        assert await allowed(counters, 1, key="other") == 1
        assert calls(redis) == before + 1


def calls(redis):
    line = [line for line in redis.command("INFO", "commandstats").splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(line[0].partition("calls=")[2].partition(",")[0]) if line else 0


async def test_a_caller_that_was_over_is_asked_about_when_its_time_has_come(redis):
    now = 100.0
    async with counting(redis, clock=lambda: now) as counters:
        limit = (Window(1, 0.05),)
        assert await allowed(counters, 2, limit) == 1
        now += 0.04
        known = await counters.charge("k", limit)
        assert not known.allowed
        assert 0 < known.wait < 0.012
        before = calls(redis)
        now += 0.02
        await counters.charge("k", limit)
        assert calls(redis) == before + 1


async def test_a_script_that_the_server_forgot_is_loaded_again_and_nothing_counts_twice(redis):
    async with counting(redis) as counters:
        assert await allowed(counters, 10) == 10
        redis.command("SCRIPT", "FLUSH")
        assert sum([v.allowed for v in await asyncio.gather(*(counters.charge("k", MINUTE) for _ in range(30)))]) == 30
        assert (await counters.charge("k", MINUTE)).remaining == 9
        assert not counters.down


@pytest.mark.parametrize("key", ["", "\ud800", "\0\r\n", "x" * 3_000_000, "}{:*", "😀"])
async def test_any_text_is_a_key(redis, key):
    async with counting(redis) as counters:
        assert await allowed(counters, 2, (Window(1, 60.0),), key) == 1
        assert await allowed(counters, 1, (Window(1, 60.0),), key + "}") == 1
    client = Redis.from_url(redis.url)
    keys = client.keys("*")
    assert len(keys) == 2
    assert all(len(each) < 100 and each.count(b"{") == each.count(b"}") == 1 for each in keys)
    assert all(0 < client.pttl(each) <= 60_001 for each in keys)


async def test_the_logs_of_a_limit_have_one_hash_tag_and_a_bounded_size(redis):
    limit = (Window(5000, 60.0), Window(1_000_000, 3600.0))
    async with counting(redis) as counters:
        await asyncio.gather(*(counters.charge("k", limit) for _ in range(4000)))
        assert not counters.down
        assert (await counters.charge("k", limit)).remaining == 999
    client = Redis.from_url(redis.url)
    keys = client.keys("*")
    assert len({each[each.index(b"{") : each.index(b"}")] for each in keys}) == 1
    assert max(client.strlen(each) for each in keys) <= 8 * 1026


async def test_what_one_caller_gives_up_on_harms_no_other(redis):
    async with counting(redis) as counters:
        given_up = asyncio.ensure_future(counters.charge("k", MINUTE))
        kept = asyncio.ensure_future(counters.charge("k", MINUTE))
        await asyncio.sleep(0)
        given_up.cancel()
        assert (await kept).allowed
        assert not counters.down


async def lost(counters, redis):
    """Kill the server and wait until the counters have noticed."""
    redis.kill()
    await counters.charge("noticed", (Window(1_000_000, 60.0),))
    assert counters.down


async def found(counters, redis):
    """Start the server again and wait until the counters have noticed."""
    redis.restart()
    await counters._search
    assert not counters.down


@pytest.fixture
async def two(redis):
    """Two processes' counters, for one fail mode after another."""
    open_ones = []

    def make(fail):
        open_ones.extend(RedisCounters(redis.url, fail, BUSY) for _ in range(2))
        return open_ones[-2:]

    yield make
    for counters in open_ones:
        await counters.close()


async def test_local_holds_each_process_to_the_limit_before_while_and_after_redis_is_down(redis, two):
    one, other = two("local")
    assert await allowed(one, 30) == 30
    assert await allowed(other, 30) == 20
    await lost(one, redis)
    await lost(other, redis)
    assert await allowed(one, 60) == 20, "what Redis allowed counts on"
    assert await allowed(other, 10) == 0, "Redis has refused it"
    await found(one, redis)
    await found(other, redis)
    assert await allowed(one, 60) + await allowed(other, 60) <= 30, "together 100, twice the limit"
    assert await allowed(one, 5) == 0, "though Redis has lost its counts"


async def test_calls_at_once_are_held_to_the_limit_when_redis_has_come_back_without_its_counts(redis):
    async with counting(redis, "closed") as counters:
        assert await allowed(counters, 30) == 30
        await lost(counters, redis)
        await found(counters, redis)
        verdicts = await asyncio.gather(*(counters.charge("k", MINUTE) for _ in range(200)))
        assert sum(verdict.allowed for verdict in verdicts) == 20


async def test_calls_under_way_when_redis_dies_are_held_to_the_limit(redis):
    async with counting(redis) as counters:
        assert await allowed(counters, 1) == 1
        calls = [asyncio.ensure_future(counters.charge("k", MINUTE)) for _ in range(1000)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        redis.kill()
        verdicts = await asyncio.gather(*calls, *(counters.charge("k", MINUTE) for _ in range(100)))
        assert done
        assert sum(verdict.allowed for verdict in verdicts) == 49
        redis.restart()


async def test_a_process_that_stood_still_does_not_blame_redis(redis):
    async with counting(redis, "closed") as counters:
        assert await allowed(counters, 1) == 1
        counters._timeout = 0.05
        waiting = asyncio.ensure_future(counters.charge("k", MINUTE))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()
        still = time.monotonic() + 0.15
        while time.monotonic() < still:
            pass
        assert (await waiting).allowed
        assert not counters.down


async def test_a_connection_that_the_server_closed_while_it_was_idle_is_replaced_unnoticed(redis):
    now = 100.0
    async with counting(redis, "closed", clock=lambda: now) as counters:
        for _ in range(3):
            assert await allowed(counters, 1) == 1
            redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            for _ in range(10_000):
                if await counters._link._connection.can_read():
                    break
                await asyncio.sleep(0)
            now += 5.0
        assert await allowed(counters, 1) == 1
        assert not counters.down


async def test_closed_refuses_everything_and_says_why(redis, two):
    one, other = two("closed")
    assert await allowed(one, 30) == 30
    assert await allowed(other, 20) == 20
    await lost(one, redis)
    await lost(other, redis)
    refused = await one.charge("k", MINUTE)
    assert (refused.allowed, refused.counted, refused.remaining) == (False, False, 0)
    assert 0 < refused.wait <= 1
    assert await allowed(other, 100, key="fresh") == 0
    await found(one, redis)
    await found(other, redis)
    assert await allowed(one, 60) == 20
    assert await allowed(other, 60) == 30, "together 100: twice the limit, because Redis has lost its counts"


async def test_open_allows_everything_and_the_limit_holds_again_afterwards(redis, two):
    one, _ = two("open")
    await lost(one, redis)
    assert await allowed(one, 500) == 500
    assert (await one.charge("k", MINUTE)).counted is False
    await found(one, redis)
    assert await allowed(one, 500) == 50


async def test_a_redis_that_hangs_is_left_within_100_ms_and_without_an_exception_for_each_call(redis, caplog):
    async with counting(redis) as counters:
        assert await allowed(counters, 1) == 1
        counters._timeout = 0.05
        redis.stop()
        try:
            begun = time.perf_counter()
            with caplog.at_level(logging.WARNING, "bascule"):
                verdicts = await asyncio.gather(*(counters.charge("k", MINUTE) for _ in range(300)))
                switched = time.perf_counter() - begun
                begun = time.perf_counter()
                assert await allowed(counters, 20_000, (Window(1_000_000, 60.0),)) == 20_000
                each = (time.perf_counter() - begun) / 20_000
        finally:
            redis.go_on()
        assert sum(v.allowed for v in verdicts) == 49
        assert switched < 0.1 + 0.1, "half of it for a busy machine"
        assert each < 50e-6
        assert len(caplog.records) == 1
        counters._timeout = BUSY
        await counters._search
        assert not counters.down


async def test_a_redis_that_cannot_write_is_as_good_as_none_and_comes_back(redis):
    async with counting(redis, "closed") as counters:
        assert await allowed(counters, 1) == 1
        redis.command("CONFIG", "SET", "maxmemory", "1")
        assert await allowed(counters, 2) == 0
        assert counters.down
        redis.command("CONFIG", "SET", "maxmemory", "0")
        await counters._search
        assert await allowed(counters, 1) == 1


async def test_pauses_between_looks_grow_while_redis_keeps_failing(redis):
    now = 100.0
    async with counting(redis, clock=lambda: now) as counters:
        pauses = []
        for _ in range(3):
            await lost(counters, redis)
            pauses.append(counters._pause)
            await found(counters, redis)
        assert pauses[0] < pauses[1] < pauses[2]
        now += 100.0
        await lost(counters, redis)
        assert counters._pause == pauses[0]
        redis.restart()


async def test_no_redis_at_all_is_noticed_with_the_first_call():
    counters = RedisCounters("redis://127.0.0.1:1/0", "local", BUSY)
    try:
        assert await allowed(counters, 60) == 50
        assert counters.down
    finally:
        await counters.close()


async def test_whoever_waits_when_it_is_closed_is_answered(redis):
    counters = RedisCounters(redis.url, "closed", 30.0)
    await allowed(counters, 1)
    redis.stop()
    try:
        waiting = asyncio.ensure_future(counters.charge("k", MINUTE))
        await asyncio.sleep(0)
        assert not counters._pump.done()
        await counters.close()
        assert not (await asyncio.wait_for(waiting, 10)).allowed
        assert not (await counters.charge("k", MINUTE)).allowed
        assert counters._search is None, "nobody looks for it any more"
    finally:
        redis.go_on()
        await counters.close()


@pytest.mark.parametrize("url", ["", "localhost", "http://user:hunter2@x", "redis://:hunter2@host:port/0", "redis"])
def test_a_wrong_url_is_told_without_its_secret(url):
    with pytest.raises(ConfigError) as refused:
        RedisCounters(url)
    assert "hunter2" not in str(refused.value)


async def test_a_password_does_not_reach_the_log(redis, caplog):
    counters = RedisCounters(f"redis://user:hunter2@127.0.0.1:{redis.port}/0", "closed", BUSY)
    with caplog.at_level(logging.DEBUG):
        assert await allowed(counters, 2) == 0
    await counters.close()
    assert "hunter2" not in caplog.text
    assert caplog.records
