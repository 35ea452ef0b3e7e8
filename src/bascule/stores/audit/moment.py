"""Moments as lines have them: ISO 8601, in UTC, to the microsecond."""

import time
from functools import lru_cache


def moment(seconds: float) -> str:
    """A moment, given in seconds since the epoch."""
    micros = round(seconds * 1_000_000)
    whole = micros // 1_000_000
    return f"{_second(whole)}.{micros - whole * 1_000_000:06}Z"


@lru_cache(maxsize=4)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
