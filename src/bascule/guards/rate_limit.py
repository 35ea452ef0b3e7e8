"""Rate limits: how often one caller may call one feature, ask for one list, or come from one address.

Knows counters and the Exchange. Does not know where starts are counted, nor which windows hold by default.
The window slides: at no instant have more than `limit` calls started within the last `per` seconds.

A caller is a principal. One without credentials is its session where it has one, else its address; sessions cost
nothing, so such callers are limited by their address as well, whatever they call.
"""

import math
from collections.abc import Awaitable, Callable
from functools import lru_cache

import msgspec
from msgspec import UNSET

from bascule.engine.exchange import Exchange, Feature, Guard, Handler, Principal
from bascule.engine.policy import Window
from bascule.engine.ports import Counters, Marks, Verdict
from bascule.engine.rates import joined, network
from bascule.errors import RateLimited, TooManyRequests
from bascule.wire.results import Result

LIMITS_KEY = "dev.bascule/limits"
"""The key in a result's `_meta` under which the figures stand, where they are asked for."""


def rate_limit(counters: Counters, marks: Marks | None = None, *, figures: bool = False) -> Guard:
    """Holds every feature to the windows of its policy's `rate`, for each caller by itself.

    A call that comes back with the answers to what it was asked was charged already, so it is free: once for each
    sealed state, as long as `marks` can remember it, and charged like any other after that. With `figures`, results say
    in their `_meta` what is left. The guarded handler raises RateLimited.
    """

    def guard(next: Handler, feature: Feature) -> Handler:
        windows = feature.policy.rate
        if not windows:
            return next
        what = joined(feature.kind, feature.address)
        sentence = f"The {'resource' if feature.kind == 'template' else feature.kind} {feature.name}"

        async def limited(exchange: Exchange) -> Result:
            dialogue = exchange.dialogue
            if dialogue is not None and dialogue.mark is not None and marks is not None:
                state, until = dialogue.mark
                if await marks.take(f"rate:{state}", until):
                    return await next(exchange)
            verdict = await counters.charge(_caller(exchange) + what, windows)
            if not verdict.allowed:
                raise RateLimited(_sentence(sentence, verdict), details=_figures(verdict))
            return await (_told(next, exchange, verdict) if figures else next(exchange))

        return limited

    return guard


def method_limit(counters: Counters, windows: tuple[Window, ...]) -> Callable[[Exchange], Awaitable[None]]:
    """Holds methods that are no feature, such as `tools/list`, to windows: each caller and method by itself.

    What is returned is called with each such request before it is answered, and raises RateLimited.
    """

    async def check(exchange: Exchange) -> None:
        verdict = await counters.charge(_caller(exchange) + joined("method", exchange.method), windows)
        if not verdict.allowed:
            raise RateLimited(_sentence(f"The method {exchange.method}", verdict), details=_figures(verdict))

    return check


def address_limit(counters: Counters, windows: tuple[Window, ...]) -> Callable[[Principal, str], Awaitable[None]]:
    """Holds callers without credentials to windows, all that come from one address together (of IPv6, from one /64).

    What is returned is called with principal and address of each HTTP request, before its body is read, and raises
    TooManyRequests. Callers with credentials, and those whose address is not known, pass.
    """

    async def check(principal: Principal, address: str) -> None:
        if not address or not principal.anonymous:
            return
        verdict = await counters.charge(joined("address", network(address)), windows)
        if not verdict.allowed:
            figures = _figures(verdict)
            raise TooManyRequests(
                _sentence("This address", verdict), data=figures, retry_after=float(math.ceil(verdict.wait))
            )

    return check


def _caller(exchange: Exchange) -> str:
    """The beginning of a key: who calls."""
    principal = exchange.principal
    if not principal.anonymous:
        return _known(principal.tenant, principal.issuer, principal.subject)
    if exchange.conversation is not None:
        return joined("session", exchange.conversation.key)
    return joined("at", network(exchange.address))


@lru_cache(1024)
def _known(tenant: str, issuer: str, subject: str) -> str:
    return joined("principal", tenant, issuer, subject)


def _sentence(what: str, verdict: Verdict) -> str:
    seconds = max(math.ceil(verdict.wait), 1)
    if not verdict.counted:
        return f"{what} cannot be used now: calls cannot be counted at the moment; try again in {seconds} s"
    limit, per = verdict.window
    calls = "1 call" if limit == 1 else f"{limit} calls"
    return f"{what} allows {calls} in {per:g} s, and no more are left; try again in {seconds} s"


def _figures(verdict: Verdict) -> dict[str, float]:
    """The figures as they travel, rounded so that whoever waits for as long as they say does not come too early."""
    figures: dict[str, float] = {
        "limit": verdict.window.limit,
        "remaining": verdict.remaining,
        "resetAt": math.ceil(verdict.reset_at * 1000) / 1000,
    }
    if not verdict.allowed:
        figures["retryAfter"] = math.ceil(verdict.wait * 1000) / 1000
    return figures


async def _told(next: Handler, exchange: Exchange, verdict: Verdict) -> Result:
    """The answer with the figures in its `_meta`, unless that is encoded already."""
    result = await next(exchange)
    if not isinstance(result.meta, dict) and result.meta is not UNSET:
        return result
    meta = result.meta if isinstance(result.meta, dict) else {}
    return msgspec.structs.replace(result, meta={**meta, LIMITS_KEY: _figures(verdict)})
