"""Load: how many calls are under way in this process, whose they are, and who waits for a turn.

Knows calls of features, and callers; lists, health and what is asked about tasks are none. A call that a handler makes
is part of its own. The first that waits is served first, but nobody waits behind a caller that has its share already.
All calls are of one event loop. Memory is bounded by the calls under way and those that wait.
"""

import asyncio
from collections.abc import Hashable

from bascule.engine.exchange import LOCAL, Exchange, Feature, Guard, Handler
from bascule.engine.settings import LoadSettings
from bascule.errors import Overloaded
from bascule.guards.callers import Address, nowhere
from bascule.wire.results import Result

_LOCAL = LOCAL.key


def load_limit(load: "Load") -> Guard:
    """Refuses, with Overloaded, what the process has no room for."""

    def guard(next: Handler, feature: Feature) -> Handler:
        async def limited(exchange: Exchange) -> Result:
            if exchange.outer is not None:
                return await next(exchange)
            principal = exchange.principal
            who = load.address(exchange) if principal.anonymous else principal.key
            if not load.enter(who):
                await load.wait(who)
            try:
                return await next(exchange)
            finally:
                load.leave(who)

        return limited

    return guard


class Load:
    """The calls under way. Callers without credentials are told apart by `address`; unseen, all of them are one."""

    def __init__(self, settings: LoadSettings, address: Address = nowhere) -> None:
        self._max = settings.max_calls
        self._share = min(settings.max_calls_per_principal, self._max)
        self._max_waiting = settings.max_waiting
        self._share_of_waiting = max(1, settings.max_waiting * self._share // self._max)
        self._max_wait = settings.max_wait
        self._retry_after = max(1.0, settings.max_wait)
        self.address = address
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[asyncio.Future[bool], Hashable] = {}
        self.running = 0

    def __len__(self) -> int:
        """How many callers have calls under way."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    def enter(self, who: Hashable) -> bool:
        """Take a turn, where there is one now."""
        held = self._held.get(who, 0)
        if self.running >= self._max or held >= (self._max if who == _LOCAL else self._share):
            return False
        self.running += 1
        self._held[who] = held + 1
        return True

    def leave(self, who: Hashable) -> None:
        """Give a turn back: to the first that waits and may have it."""
        self.running -= 1
        left = self._held[who] - 1
        if left:
            self._held[who] = left
        else:
            del self._held[who]
        if self._waiting:
            self._give()

    async def wait(self, who: Hashable) -> None:
        """Wait for a turn, and take it. Raises Overloaded where it does not come soon, or too many wait already."""
        others = sum(other == who for other in self._waiting.values()) if self._waiting else 0
        most = self._max_waiting if who == _LOCAL else self._share_of_waiting
        if len(self._waiting) >= self._max_waiting or others >= most:
            raise self._refusal(who)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting[turn] = who
        timer = loop.call_later(self._max_wait, self._expire, turn)
        try:
            given = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave(who)
            raise
        finally:
            timer.cancel()
            self._waiting.pop(turn, None)
        if not given:
            raise self._refusal(who)

    def _has_share(self, who: Hashable) -> bool:
        return self._held.get(who, 0) < (self._max if who == _LOCAL else self._share)

    def _give(self) -> None:
        """Give the turn that has become free to the first that may have it; there is never more than one to give."""
        for turn, who in self._waiting.items():
            if not turn.done() and self.enter(who):
                turn.set_result(True)
                del self._waiting[turn]
                return

    def _expire(self, turn: "asyncio.Future[bool]") -> None:
        if not turn.done():
            turn.set_result(False)
            self._waiting.pop(turn, None)

    def _refusal(self, who: Hashable) -> Overloaded:
        if self._has_share(who):
            what = "The server is overloaded: as many calls are under way as it bears"
        else:
            what = "Too many of your calls are under way at once"
        refused = Overloaded(f"{what}; try again in {self._retry_after:g} s", self._retry_after)
        refused.guard = "load"
        return refused
