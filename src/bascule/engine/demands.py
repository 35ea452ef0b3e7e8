"""Demands: what a declaration, or an entry of `[policy]`, asks for; and the policy that all of them make.

The strictest of all demands holds, and the default where nobody asked. Settled once, at start.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import fields

from bascule.engine.policy import MAX_RESULT_BYTES, TIMEOUT, Confirm, Policy
from bascule.engine.rates import windows

_STRICTNESS: tuple[Confirm, ...] = ("off", "host", "queue", "server")


Scope = Annotated[str, Meta(pattern=r"^[!#-\[\]-~]+\Z")]
"""A scope that a caller can hold and a challenge can name: printable ASCII without blanks, quotation marks and
backslashes. Source: RFC 6749, section 3.3."""

SCOPE_FORM = "a scope is printable ASCII without blanks, quotation marks and backslashes, as in tools:read"
"""What is said of one that is none."""


class Demands(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one place asks for; what it does not name, it leaves open. Times in seconds, sizes in bytes."""

    deny: bool = False
    """Nobody may call it, and no list shows it."""
    scopes: tuple[Scope, ...] = ()
    """What a caller must hold, all of it."""
    rate: str = ""
    """How often one caller may call it, as `10/s, 600/h`."""
    concurrency: Annotated[int, Meta(ge=1)] | None = None
    """How many calls of it may run at once in this process."""
    timeout: Annotated[float, Meta(gt=0)] | None = None
    """How long it may work; `inf` for as long as it likes."""
    confirm: bool | Confirm | None = None
    """Whether somebody is asked before each call; True leaves open who."""
    untrusted: bool = False
    """Its results were written by strangers."""
    max_result_bytes: Annotated[int, Meta(ge=1)] | None = None
    polls: bool = False
    """The same call again and again is its use, so that no loop brake holds it."""


class Source(NamedTuple):
    """Where demands come from, in the user's words, and what they are."""

    place: str
    demands: Demands


class Settled(NamedTuple):
    """A policy, and for each of its fields that is no default the places that asked for it."""

    policy: Policy
    origins: dict[str, list[str]]


def settle(sources: Sequence[Source]) -> Settled:
    """The strictest of all demands. Raises ConfigError for a rate that cannot be read."""
    origins: dict[str, list[str]] = {}
    for place, demands in sources:
        for name in _ASKED:
            if getattr(demands, name) not in _OPEN:
                origins.setdefault(name, []).append(place)
    asked = [demands for _, demands in sources]
    timeout = min((one.timeout for one in asked if one.timeout is not None), default=TIMEOUT)
    policy = Policy(
        deny=any(one.deny for one in asked),
        scopes=frozenset(scope for one in asked for scope in one.scopes),
        rate=tuple(dict.fromkeys(window for one in asked for window in (windows(one.rate) if one.rate else ()))),
        concurrency=min((one.concurrency for one in asked if one.concurrency is not None), default=None),
        timeout=None if math.isinf(timeout) else timeout,
        confirm=_confirm([one.confirm for one in asked]),
        untrusted=any(one.untrusted for one in asked),
        max_result_bytes=min(
            (one.max_result_bytes for one in asked if one.max_result_bytes is not None), default=MAX_RESULT_BYTES
        ),
        polls=any(one.polls for one in asked),
    )
    return Settled(policy, origins)


_ASKED = tuple(field.name for field in fields(Demands))
_OPEN: tuple[Any, ...] = (False, (), "", None)


def _confirm(asked: Sequence[bool | Confirm | None]) -> Confirm:
    """The strictest way that is named; and where confirmation is asked for without a way, one that asks somebody."""
    strictest = _STRICTNESS[max((_STRICTNESS.index(one) for one in asked if isinstance(one, str)), default=0)]
    return "server" if True in asked and strictest in ("off", "host") else strictest
