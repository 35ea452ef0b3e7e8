"""The loop brake: a caller that makes the same call again and again is told so, in a sentence for a model.

Knows callers, tools and the bytes of their arguments. What is counted is what was let through, within a sliding time.
Anonymous callers that cannot be told apart are not counted, nor are the further rounds of a call that asks its client.
The memory is bounded, and forgets the oldest first: it brakes a model that has lost its way, not an attacker.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable

from msgspec import UNSET

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.ports import Clock
from bascule.engine.settings import LoadSettings
from bascule.errors import RepeatedCall
from bascule.guards.callers import Address, caller, nowhere
from bascule.wire.results import Result
from bascule.wire.tools import CallToolParams

MAX_CALLS = 10_000
"""How many different calls are remembered."""


def repeat_brake(repeats: "Repeats") -> Guard:
    """Refuses, with RepeatedCall, what a caller repeats too often; applies to tools only, and to none that polls."""

    def guard(next: Handler, feature: Feature) -> Handler:
        if feature.kind != "tool" or feature.policy.polls or not repeats.limit:
            return next
        name = feature.name

        async def braked(exchange: Exchange) -> Result:
            dialogue = exchange.dialogue
            if dialogue is None or not dialogue.rounds:
                who = caller(exchange, repeats.address)
                params = exchange.params
                if who is not None and isinstance(params, CallToolParams):
                    given = b"" if params.arguments is UNSET else bytes(params.arguments)
                    wait = repeats.count(hash((who, name, given)))
                    if wait is not None:
                        raise repeats.refusal(name, wait)
            return await next(exchange)

        return braked

    return guard


class Repeats:
    """When which calls were made, the last ones of each; a call is known by the digest of all that it consists of."""

    def __init__(
        self,
        settings: LoadSettings,
        address: Address = nowhere,
        clock: Clock = time.monotonic,
        max_calls: int = MAX_CALLS,
    ) -> None:
        self.limit = settings.max_repeats
        self.per = settings.repeats_within
        self.address = address
        self._clock = clock
        self._max_calls = max_calls
        self._made: OrderedDict[Hashable, list[float]] = OrderedDict()
        """In the order in which they were last made."""

    def __len__(self) -> int:
        """How many different calls are remembered."""
        return len(self._made)

    def count(self, call: Hashable) -> float | None:
        """Count a call; None where it may be made, else the seconds until it may."""
        now = self._clock()
        made, limit = self._made, self.limit
        times = made.pop(call, None)
        if times is None:
            self._make_room(now)
            made[call] = [now]
            return None
        made[call] = times
        if len(times) < limit:
            times.append(now)
            return None
        wait = times[0] + self.per - now
        if wait > 0:
            return wait
        del times[0]
        times.append(now)
        return None

    def refusal(self, name: str, wait: float) -> RepeatedCall:
        """The error of a call that was made too often."""
        refused = RepeatedCall(
            f"This same call of {name}, with the same arguments, was made {self.limit} times within {self.per:g} s, "
            "and will not answer differently: use the answers that are there, change the arguments, or ask the user",
            details={"limit": self.limit, "per": self.per, "retryAfter": round(wait, 3)},
        )
        refused.guard = "repeats"
        return refused

    def _make_room(self, now: float) -> None:
        """Forget the oldest calls: those whose time is over, two at the most, and one more where there are too many."""
        made = self._made
        for _ in range(2):
            oldest = next(iter(made), None)
            if oldest is None or (made[oldest][-1] + self.per > now and len(made) < self._max_calls):
                return
            del made[oldest]
