"""One of many processes that charge the same keys in Redis, at a steady rate, whatever becomes of the charges.

Run as `python -m tests.stores.limits_load URL LIMIT PER ATTEMPTS RATE START`: at RATE attempts a second from the moment
START (of the monotonic clock) on. Prints, for each key, when starts were allowed and when they were refused, in
microseconds of the server's clock.
"""

import asyncio
import json
import sys
import time

from bascule.engine.policy import Window
from bascule.stores.limits_redis import RedisCounters

KEYS = [f"user {number}" for number in range(20)]
WORKERS = 8


async def main(url, limit, per, attempts, rate, start):
    counters = RedisCounters(url, "closed", 10.0)
    moments = {key: ([], []) for key in KEYS}
    numbers = iter(range(attempts))

    async def work():
        for number in numbers:
            pause = start + number / rate - time.monotonic()
            await asyncio.sleep(max(pause, 0))
            key = KEYS[number % len(KEYS)]
            verdict = await counters.charge(key, (Window(limit, per),))
            moments[key][not verdict.allowed].append(round((verdict.reset_at - verdict.wait) * 1e6))

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    assert not counters.down
    await counters.close()
    print(json.dumps(moments))


if __name__ == "__main__":
    url, limit, per, attempts, rate, start = sys.argv[1:]
    asyncio.run(main(url, int(limit), float(per), int(attempts), float(rate), float(start)))
