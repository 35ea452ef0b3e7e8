"""The limiter for anybody's own code."""

import subprocess
import sys
import time

import pytest

from bascule import ConfigError, RateLimiter
from bascule.engine.policy import Window
from bascule.engine.settings import LimitSettings
from bascule.stores import limiter as module
from bascule.stores.limiter import counters_of
from bascule.stores.limits_memory import MemoryCounters
from bascule.stores.limits_redis import RedisCounters


async def test_a_check_says_whether_how_many_more_and_when():
    async with RateLimiter() as limiter:
        for left in (2, 1, 0):
            allowed, remaining, reset_at = await limiter.check("ann", "3/min, 100/h")
            assert (allowed, remaining) == (True, left)
            assert 59 < reset_at - time.time() <= 60
        refused = await limiter.check("ann", "3/min, 100/h")
        assert (refused.allowed, refused.remaining, refused.reset_at) == (False, 0, pytest.approx(reset_at, abs=0.01))
        assert (await limiter.check("ben", [Window(1, 1.0)])).allowed


@pytest.mark.parametrize("limit", ["", "3", "0/s", [], [Window(1, float("nan"))]])
async def test_a_wrong_limit_is_refused(limit):
    with pytest.raises(ConfigError):
        await RateLimiter().check("ann", limit)


async def test_with_a_url_all_limiters_count_together(redis):
    async with RateLimiter(redis.url, timeout=5.0) as one, RateLimiter(redis.url, timeout=5.0) as other:
        assert [(await each.check("ann", "2/min")).allowed for each in (one, other, one, other)] == [
            True,
            True,
            False,
            False,
        ]


async def test_the_settings_say_where_starts_are_counted(monkeypatch):
    assert isinstance(counters_of(LimitSettings(max_keys=5)), MemoryCounters)
    assert isinstance(counters_of(LimitSettings(redis_url="redis://localhost/0")), RedisCounters)
    with pytest.raises(ConfigError, match="closed, open or local"):
        RateLimiter("redis://localhost/0", fail="ajar")
    for wrong in ({"timeout": float("nan")}, {"timeout": 0.0}, {"timeout": float("inf")}, {"max_keys": 0}):
        with pytest.raises(ConfigError, match="above 0"):
            RateLimiter(**wrong)

    def missing(target):
        raise ImportError(target)

    monkeypatch.setattr(module, "late", missing)
    with pytest.raises(ConfigError, match=r"pip install 'bascule\[redis\]'"):
        RateLimiter("redis://localhost/0")
    assert isinstance(counters_of(LimitSettings()), MemoryCounters)


def test_a_url_with_a_password_is_not_shown():
    assert "hunter2" not in repr(LimitSettings(redis_url="redis://:hunter2@localhost/0"))


def test_counting_in_memory_does_not_load_redis():
    code = "import sys, bascule; bascule.RateLimiter(); sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
