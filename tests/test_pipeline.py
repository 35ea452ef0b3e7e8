"""The pipeline: what is loaded and made only once something needs it, and what is told at start all the same."""

import subprocess
import sys

import pytest

from bascule.engine.exchange import ANONYMOUS
from bascule.engine.settings import LimitSettings, Settings
from bascule.errors import ConfigError, RateLimited
from bascule.pipeline import Pipeline
from bascule.server.features import ToolFeature
from bascule.wire.tools import CallToolResult
from tests.guards.calls import exchange

LIGHT = """
import sys
from bascule.engine.settings import Settings
from bascule.pipeline import Pipeline
from tests.guards.calls import feature
pipeline = Pipeline(Settings())
for name in ("sanitise", "rate_limit"):
    pipeline.guard(name)(None, feature())
print(sorted(name for name in sys.modules if name in {
    "bascule.guards.sanitise", "bascule.checks.text", "bascule.stores.limits_memory", "bascule.guards.rate_limit"
}))
"""


def test_a_server_that_its_user_calls_loads_nothing_that_counts_or_cleans():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


async def test_a_stranger_is_counted_from_the_first_call_on():
    async def answer(_exchange):
        return CallToolResult(content=[])

    pipeline = Pipeline(Settings(limits=LimitSettings(rate="2/min")))
    handler = pipeline.guard("rate_limit")(answer, ToolFeature("work", None, answer))
    for _ in range(3):
        await handler(exchange())
    stranger = exchange(ANONYMOUS)
    for _ in range(2):
        await handler(stranger)
    with pytest.raises(RateLimited):
        await handler(stranger)


def test_a_wrong_url_of_redis_is_told_at_start():
    with pytest.raises(ConfigError):
        Pipeline(Settings(limits=LimitSettings(redis_url="nonsense"))).guard("rate_limit")
