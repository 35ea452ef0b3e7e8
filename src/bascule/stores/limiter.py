"""The rate limiter for anybody's own code, and the choice of where starts are counted: in memory or in Redis.

Redis is loaded only where it is asked for.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bascule.engine.policy import Window
from bascule.engine.ports import Counters
from bascule.engine.rates import windows
from bascule.engine.settings import Fail, LimitSettings
from bascule.errors import ConfigError
from bascule.late import late
from bascule.stores.limits_memory import MAX_KEYS, MemoryCounters


class Checked(NamedTuple):
    """Whether a call may start, how many more may start at once, and when room comes back (seconds since the epoch).

    After a refusal, that is when the next call may start.
    """

    allowed: bool
    remaining: int
    reset_at: float


class RateLimiter:
    """Limits how often something starts, per key: `allowed, remaining, reset_at = await limiter.check("ann", "10/s")`.

    The window slides: at no instant have more than the limit started within the last so many seconds. Without a `url`
    this process counts, in memory. With one, as in `redis://localhost:6379/0`, all processes count together, and when
    Redis does not answer within `timeout` seconds, `fail` says what holds: `"local"` (each process counts by itself),
    `"closed"` (nothing may start) or `"open"` (everything may). At most `max_keys` keys are counted apart in this
    process; more share one count. Use it in one event loop, and close it, or use it with `async with`.
    Raises ConfigError for a wrong `url`, and where the redis package is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        fail: Fail = "local",
        timeout: float = 0.05,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._counters = counters_of(LimitSettings(redis_url=url or "", fail=fail, timeout=timeout, max_keys=max_keys))

    async def check(self, key: str, limit: str | Sequence[Window]) -> Checked:
        """Start once under a key, if the limit leaves room: `60/min`, `5/10s`, or both at once in `10/s, 600/h`.

        A refused start counts nothing. One key counts apart for each limit. Raises ConfigError for a wrong limit.
        """
        verdict = await self._counters.charge(key, windows(limit))
        return Checked(verdict.allowed, verdict.remaining, verdict.reset_at)

    async def close(self) -> None:
        """Close the connection to Redis, where there is one."""
        await self._counters.close()

    async def __aenter__(self) -> "RateLimiter":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


def counters_of(settings: LimitSettings) -> Counters:
    """The counters that the settings ask for. Raises ConfigError for a wrong URL, or without the redis package."""
    if settings.fail not in ("closed", "open", "local"):
        raise ConfigError(f"fail must be closed, open or local, not {settings.fail!r}")
    if not 0 < settings.timeout < math.inf or settings.max_keys < 1:
        raise ConfigError("timeout must be some seconds above 0, and max_keys a number above 0")
    if not settings.redis_url:
        return MemoryCounters(settings.max_keys)
    try:
        in_redis = late("bascule.stores.limits_redis:RedisCounters")
    except ImportError:
        raise ConfigError("Counting in Redis needs the redis package: pip install 'bascule[redis]'") from None
    made: Counters = in_redis(settings.redis_url, settings.fail, settings.timeout, settings.max_keys)
    return made
