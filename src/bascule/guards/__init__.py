"""Guards: what happens around a call. Each is folded into a feature's handler once, at start.

ORDER is the one list that says what runs outside what, the outermost first. Each name is made into a guard when the
first feature needs it; a guard that does not apply is not there.
"""

from collections.abc import Callable, Sequence
from inspect import iscoroutine
from typing import NamedTuple, cast

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.policy import Policy
from bascule.errors import DeclarationError
from bascule.wire.results import Result

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
    Step("repeats", lambda policy: not policy.polls),
    Step("confirm", lambda policy: policy.confirm in ("queue", "server")),
    Step("concurrency", lambda policy: policy.concurrency is not None),  # nobody holds a place while a person thinks
    Step("timeout", lambda policy: policy.timeout is not None),
)

NAMES = tuple(step.name for step in ORDER)


class Own(NamedTuple):
    """A guard of an author's, and the name in ORDER that it runs right outside of; None: inside of all.

    One for `results` is about what a feature answers, so that it stands around what a task does as well.
    """

    guard: Guard
    before: str | None
    results: bool = False


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


def applied(feature: Feature, make: MakeGuard, own: Sequence[Own] = ()) -> tuple[str, ...]:
    """The names of the guards that `fold` puts around this feature, the outermost first; an author's guard is called
    as its function is."""
    found: list[str] = []
    for name, applies in ORDER:
        found += [name_of(one.guard) for one in own if one.before == name and _runs(one.guard, feature)]
        guard = make(name) if applies(feature.policy) else None
        if guard is not None and _runs(guard, feature):
            found.append(name)
    found += [name_of(one.guard) for one in own if one.before is None and _runs(one.guard, feature)]
    return tuple(found)


def name_of(guard: Guard) -> str:
    """What an author's guard is called: as its function or class."""
    return str(getattr(guard, "__name__", None) or type(guard).__name__)


def _runs(guard: Guard, feature: Feature) -> bool:
    """Whether a guard has any business with a feature."""
    return guard(_nobody, feature) is not _nobody


async def _nobody(exchange: Exchange) -> Result:
    """Stands for what is behind a guard that is only looked at."""
    raise NotImplementedError


def _wrapped(handler: Handler, feature: Feature, own: Sequence[Own], before: str | None) -> Handler:
    """The handler with the authors' guards of one place around it. Raises DeclarationError for one that is no guard."""
    for one in reversed(own):
        if one.before == before:
            handler = _checked(one.guard(handler, feature), one.guard, feature)
    return handler


def _checked(made: object, guard: Guard, feature: Feature) -> Handler:
    if callable(made):
        return cast(Handler, made)
    reason = ""
    if iscoroutine(made):
        made.close()
        reason = ": it is async, and only what it returns may be"
    name = getattr(guard, "__qualname__", type(guard).__qualname__)
    raise DeclarationError(f"The guard {name} returned no handler for the {feature.kind} {feature.name!r}{reason}")
