"""Concurrency: how many calls of one feature run at once in this process.

Knows a number. Nobody waits: whoever is over it is told so at once, and may come again.
"""

from collections import Counter

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.policy import Kind
from bascule.errors import Busy
from bascule.wire.results import Result

RETRY_AFTER = 1.0
"""Seconds after which a caller that was refused may try again."""


def concurrency_limit(retry_after: float = RETRY_AFTER) -> Guard:
    """Refuses, with Busy, the calls of a feature beyond its `concurrency`, also where it is put around it anew."""
    running: Counter[tuple[Kind, str]] = Counter()

    def guard(next: Handler, feature: Feature) -> Handler:
        limit = feature.policy.concurrency
        if limit is None:
            return next
        key = (feature.kind, feature.address)
        what = f"{'resource' if feature.kind == 'template' else feature.kind} {feature.name}"

        async def limited(exchange: Exchange) -> Result:
            if running[key] >= limit:
                refused = Busy(
                    f"The {what} already serves as many calls as it may ({limit}); wait a moment, then try again",
                    details={"limit": limit, "retryAfter": retry_after},
                )
                refused.guard = "concurrency"
                raise refused
            running[key] += 1
            try:
                return await next(exchange)
            finally:
                running[key] -= 1

        return limited

    return guard
