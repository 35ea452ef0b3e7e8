"""Guards: what happens around a call. Each is folded into a feature's handler once, at start.

ORDER is the one list that says what runs outside what, the outermost first. Each name is made into a guard when the
first feature needs it; a guard that does not apply is not there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bascule.engine.exchange import Feature, Guard, Handler
from bascule.engine.policy import Policy

MakeGuard = Callable[[str], Guard | None]
"""The guard of a name in ORDER; None where it is switched off."""


class Step(NamedTuple):
    """A place in the order, and which policies need what stands there."""

    name: str
    applies: Callable[[Policy], bool]


def _always(policy: Policy) -> bool:
    return True


ORDER = (
    Step("telemetry", _always),
    Step("audit", _always),
    Step("sanitise", _always),
    Step("scopes", lambda policy: policy.deny or bool(policy.scopes)),
    Step("load", _always),
    Step("rate_limit", _always),
    Step("concurrency", lambda policy: policy.concurrency is not None),
    Step("repeats", lambda policy: not policy.polls),
    Step("confirm", lambda policy: policy.confirm in ("queue", "server")),
    Step("timeout", lambda policy: policy.timeout is not None),
)

NAMES = tuple(step.name for step in ORDER)


class Own(NamedTuple):
    """A guard of an author's, and the name in ORDER that it runs right outside of; None: inside of all."""

    guard: Guard
    before: str | None


def fold(handler: Handler, feature: Feature, make: MakeGuard, own: Sequence[Own] = ()) -> Handler:
    """The handler with every guard around it that applies to this feature; of two own ones in one place, the first
    runs outside."""
    handler = _wrapped(handler, feature, own, None)
    for name, applies in reversed(ORDER):
        guard = make(name) if applies(feature.policy) else None
        if guard is not None:
            handler = guard(handler, feature)
        handler = _wrapped(handler, feature, own, name)
    return handler


def applied(policy: Policy, make: MakeGuard) -> tuple[str, ...]:
    """The names of the guards that a feature with this policy has around it, the outermost first."""
    return tuple(step.name for step in ORDER if step.applies(policy) and make(step.name) is not None)


def _wrapped(handler: Handler, feature: Feature, own: Sequence[Own], before: str | None) -> Handler:
    for one in reversed(own):
        if one.before == before:
            handler = one.guard(handler, feature)
    return handler
