"""Scopes: who may call what. Also the policy that lets nobody.

Knows the principal and what the policy asks for. `*` is every scope: the local user holds it.
Source: specification 2026-07-28, basic/authorization, "Scope Challenge Handling"; RFC 6750, section 3.1.
"""

from collections.abc import Awaitable

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.policy import Policy
from bascule.errors import MissingScope, PermissionDenied
from bascule.wire.results import Result

ALL = "*"


def scopes() -> Guard:
    """Refuses who does not hold all scopes of a feature (MissingScope), and everybody where it is denied."""

    def guard(next: Handler, feature: Feature) -> Handler:
        what = f"{'resource' if feature.kind == 'template' else feature.kind} {feature.name!r}"
        needed = feature.policy.scopes

        async def denied(exchange: Exchange) -> Result:
            refused = PermissionDenied(f"The {what} is switched off by the operator's policy; do without it")
            refused.guard = "scopes"
            raise refused

        def checked(exchange: Exchange) -> Awaitable[Result]:
            held = exchange.principal.scopes
            if needed <= held or ALL in held:
                return next(exchange)
            raise MissingScope(what, sorted(needed - held), sorted(needed))

        if feature.policy.deny:
            return denied
        return checked if needed else next

    return guard


def may_use(policy: Policy, held: frozenset[str]) -> bool:
    """Whether somebody who holds these scopes may call what has this policy."""
    return not policy.deny and (policy.scopes <= held or ALL in held)
