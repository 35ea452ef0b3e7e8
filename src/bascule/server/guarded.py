"""Guarded features: a feature's policy settled, its guards folded around it, and what lists say of that.

Knows the declarations' demands, the operator's settings behind Guarding, and the author's own guards. Guards may be
folded anew at any time: each feature keeps its handler as it was before.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from bascule.engine.application import Guarding
from bascule.engine.demands import Settled, Source, settle
from bascule.engine.exchange import Exchange, Guard, Handler
from bascule.engine.policy import Policy
from bascule.errors import DeclarationError, Refused, ToolError
from bascule.guards import NAMES, Own, applied, fold
from bascule.late import late
from bascule.server.features import Feature, failure
from bascule.wire.results import Result
from bascule.wire.tools import Tool, ToolAnnotations

AnyFeature = TypeVar("AnyFeature", bound=Feature)

DECLARED = "the declaration"
"""How the place where a feature was declared is called."""


class Guards:
    """How the features of one server are guarded."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.chosen: Guarding | None = None
        """What guards by the process's settings, where somebody has said so."""
        self.own: list[Own] = []

    @property
    def guarding(self) -> Guarding:
        """What the process demands; the defaults where nobody has said."""
        if self.chosen is None:
            self.chosen = late("bascule.pipeline:Pipeline")(server=self._server)
        return self.chosen

    def add(self, guard: Any, before: str | None, results: bool = False) -> None:
        """Take in a guard of the author's. Raises DeclarationError for a place that there is not."""
        if before is not None and before not in NAMES:
            raise DeclarationError(f"There is no guard {before!r} to run before; there are {', '.join(NAMES)}")
        if not callable(guard):
            raise DeclarationError("A guard is a function (next, feature) that returns a handler")
        self.own.append(Own(guard, before, results))

    def settled(self, feature: Feature) -> Settled:
        """A feature's policy and where each part of it comes from. Raises ConfigError for a rate that is none."""
        declared = Source(DECLARED, feature.kept.demands)
        return settle([declared, *self.guarding.sources(feature.kind, feature.address)])

    def guarded(self, feature: AnyFeature) -> AnyFeature:
        """The feature with every guard that applies, those of the servers that it came through included.

        Raises ConfigError.
        """
        known, outer, own = self._known(feature)
        bare = outer.handler
        folded = fold(bare, outer, self.guard, own)
        return replace(known, handler=bare if folded is bare else _answering(folded, known.kind == "tool"))

    def applied(self, feature: Feature) -> tuple[str, ...]:
        """The names of the guards around a feature, the outermost first. Raises ConfigError."""
        _, outer, own = self._known(feature)
        return applied(outer, self.guard, own)

    def guard(self, name: str) -> Guard | None:
        """The guard of a name in the order of guards; None where it is switched off. Raises ConfigError."""
        return self.guarding.guard(name)

    def _known(self, feature: AnyFeature) -> tuple[AnyFeature, AnyFeature, list[Own]]:
        """The feature with its policy; the same as guards are folded around it, with the handler and the policy that
        hold there; and the authors' guards."""
        bare = feature.kept.bare or feature.handler
        owners = feature.kept.owners
        owners = owners if any(owner is self.own for owner in owners) else (*owners, self.own)
        definition = feature.kept.definition or feature.definition
        kept = replace(feature.kept, bare=bare, definition=definition, owners=owners)
        own = [one for owner in reversed(kept.owners) for one in owner]
        policy, origins = self.settled(feature)
        known = replace(feature, definition=_told(definition, policy), policy=policy, kept=kept, handler=bare)
        if kept.into_task is None:
            return known, known, own
        plain = self._bounded(known, stated="timeout" in origins)
        task = kept.into_task(self._clean(plain, known, own), plain)
        outer = replace(known, policy=replace(policy, timeout=None, concurrency=None), handler=task)
        return known, outer, own

    def _bounded(self, feature: AnyFeature, stated: bool) -> Handler:
        """The handler of what may become a task, held to its time and number where it works, and not where it begins;
        a task to a time that was stated, and to no default."""
        handler = feature.handler
        timeout, concurrency = self.guard("timeout"), self.guard("concurrency")
        timed = handler if timeout is None else timeout(handler, feature)

        def by_kind(exchange: Exchange) -> Awaitable[Result]:
            return (timed if exchange.task is None else handler)(exchange)

        held = timed if stated else by_kind
        return held if concurrency is None else concurrency(held, feature)

    def _clean(self, handler: Handler, feature: AnyFeature, own: Sequence[Own]) -> Handler:
        """What a task does: what it answers passes what results pass, refusals included."""
        outgoing = [one for one in own if one.results]
        answering = _answering(handler, tool=True)
        folded = fold(answering, feature, lambda name: self.guard(name) if name == "sanitise" else None, outgoing)
        return answering if folded is answering else _answering(folded, tool=True)


def _told(definition: Any, policy: Policy) -> Any:
    """A tool's definition, which says that somebody is asked first; any other as it is."""
    if policy.confirm == "off" or not isinstance(definition, Tool):
        return definition
    meta, hints = late("bascule.guards.confirm:published")(policy)
    given = definition.annotations or ToolAnnotations()
    if given.read_only_hint or given.destructive_hint is not None:
        hints = {}
    annotations = replace(given, destructive_hint=True) if hints else definition.annotations
    return replace(definition, meta={**(definition.meta or {}), **meta}, annotations=annotations)


def _answering(handler: Handler, tool: bool) -> Handler:
    """The handler, whose guards' refusals become answers: a failed result of a tool, an error of anything else."""

    async def answer_tool(exchange: Exchange) -> Result:
        try:
            return await handler(exchange)
        except ToolError as refused:
            return failure(refused)

    async def answer(exchange: Exchange) -> Result:
        try:
            return await handler(exchange)
        except ToolError as refused:
            raise Refused(refused) from None

    return answer_tool if tool else answer
