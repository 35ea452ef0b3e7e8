"""Rehearsal: a server that answers as it would, with every guard around its features and nothing behind them.

Where a function would run, its arguments are checked and the call is allowed. No function of the author's runs but
guards and rules for arguments: no lifespan is opened, nothing is listed or completed by functions, no task begins. A
call is watched on its way, so that it can be told which guard decided it; one call at a time.
"""

from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from bascule.engine.application import Facts, Guarding, Mirrored
from bascule.engine.exchange import Exchange, Guard, Handler
from bascule.engine.exchange import Feature as Guarded
from bascule.engine.hub import Hub
from bascule.engine.policy import Kind
from bascule.engine.ports import Keeping
from bascule.engine.routes import Routes
from bascule.errors import MethodNotFound, ToolError, unforeseen
from bascule.guards import NAMES, name_of
from bascule.server.answers import Answers
from bascule.server.completion import NOTHING
from bascule.server.features import Check, Feature, Kept, PromptFeature, TemplateFeature, ToolFeature, failure
from bascule.server.guarded import Guards
from bascule.server.offer import Offer
from bascule.server.registry import Registry
from bascule.server.results import prompt_result, resource_result
from bascule.wire.content import TextContent
from bascule.wire.resources import ReadResourceParams
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

ALLOWED = "allowed"
"""What a rehearsed feature says."""

ARGUMENTS = "arguments"
"""What decides where arguments do not fit."""

_OBSERVERS = frozenset({"telemetry"})
"""Guards that decide nothing, and tell others what happened: nothing has."""


class _NoPages:
    """A rehearsal is asked nothing over HTTP."""

    def find(self, path: str) -> None:
        return None

    def reserve(self, paths: Collection[str]) -> None:
        """There is nothing to keep apart."""


class Rehearsal:
    """An Application that offers these features, guarded as `guarding` says. Raises ConfigError."""

    def __init__(self, features: Iterable[Feature], facts: Facts, guarding: Guarding) -> None:
        capabilities = replace(facts.capabilities, completions=None, extensions=None)
        self.facts = replace(facts, ttl_ms=0, capabilities=capabilities)
        self.hub = Hub()
        self.routes: Routes = _NoPages()
        self.healthy = True
        self.watch = Watch()
        self._registry = Registry()
        self._guards = _WatchedGuards(facts.info.name, self.watch)
        for feature in features:
            self._registry.put(self._rehearsed(feature))
        self.use_guards(guarding)
        offer = Offer(facts.info.name, self._registry, self.hub, self._guards)
        self._methods = Answers(self._registry, _absent, _absent, offer).methods

    def use_guards(self, guarding: Guarding) -> None:
        """Guard every feature as these settings say. Raises ConfigError."""
        self._guards.chosen = guarding
        for feature in [*self._registry]:
            self._registry.put(self._guards.guarded(feature))

    def use_secrets(self, secrets: Sequence[str]) -> None:
        """Sign cursors with these secrets."""
        self._registry.use_secrets(secrets)

    def keep_tasks(self, keeping: Keeping) -> None:
        """Nothing becomes a task here."""

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None:
        """Nobody is told of the sessions of a rehearsal."""

    def mirrored(self, tool: str) -> tuple[Mirrored, ...]:
        """The parameters of a tool that an HTTP header must repeat."""
        found = self._registry.tools.get(tool)
        return () if found is None else found.mirrored

    def answer(self, exchange: Exchange) -> Awaitable[Result]:
        """The result of one exchange. Raises MCPError."""
        self.watch.begin()
        return self._methods[exchange.method](exchange)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[Any, Any]]:
        """Hold what guards hold, and open nothing else."""
        async with self._guards.guarding.running():
            yield {}

    def has(self, kind: Kind, name: str) -> bool:
        """Whether there is a tool or prompt of this name, or a resource with this URI."""
        if kind == "resource":
            return self._registry.find_resource(name) is not None
        return name in (self._registry.tools if kind == "tool" else self._registry.prompts)

    def names(self, kind: Kind) -> list[str]:
        """All tools or prompts; or the URIs and templates of all resources."""
        kinds = ("resource", "template") if kind == "resource" else (kind,)
        return [feature.address for feature in self._registry if feature.kind in kinds]

    @property
    def deciders(self) -> set[str]:
        """The names of all guards that may decide, the authors' included, and of the check of arguments."""
        owners = [owner for feature in self._registry for owner in feature.kept.owners]
        return {*NAMES, ARGUMENTS, *(name_of(one.guard) for owner in owners for one in owner)} - _OBSERVERS

    def _rehearsed(self, feature: Feature) -> Feature:
        """The feature with nothing of its author's behind its guards."""
        given = feature.kept
        check = None if given.check is None else self.watch.checking(given.check)
        owners = tuple(
            [one._replace(guard=self.watch.around(name_of(one.guard), one.guard)) for one in owner]
            for owner in given.owners
        )
        kept = Kept(self._handler(feature, check), given.definition, given.demands, check, None, owners)
        if isinstance(feature, TemplateFeature):
            return replace(feature, kept=kept, lister=None, completions=NOTHING)
        if isinstance(feature, PromptFeature):
            return replace(feature, kept=kept, completions=NOTHING)
        return replace(feature, kept=kept)

    def _handler(self, feature: Feature, check: Check | None) -> Handler:
        result = (
            _tool if isinstance(feature, ToolFeature) else _prompt if isinstance(feature, PromptFeature) else _resource
        )

        async def handler(exchange: Exchange) -> Result:
            try:
                if check is not None:
                    check(exchange)
            except ToolError as error:
                return failure(error)
            self.watch.reached = True
            return result(exchange)

        return handler


class Watch:
    """What became of the last call: `decided` names the guard that ended it, None where none did; `reached` tells
    whether its function would have run. What would end the process is one failed call."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the call before."""
        self.decided: str | None = None
        self.reached = False
        self._error: BaseException | None = None

    def around(self, name: str, guard: Guard) -> Guard:
        """The same guard, whose refusals are noted."""

        def watched(next: Handler, feature: Guarded) -> Handler:
            handler = guard(next, feature)
            return next if handler is next else self._following(name, handler)

        watched.__name__ = name
        return watched

    def checking(self, check: Check) -> Check:
        """The same check, whose refusals are noted."""

        def checked(exchange: Exchange) -> None:
            try:
                check(exchange)
            except SystemExit as error:
                self._note(ARGUMENTS, wrong := unforeseen("a rule", error))
                raise wrong from None
            except BaseException as error:
                self._note(ARGUMENTS, error)
                raise

        return checked

    def _following(self, name: str, handler: Handler) -> Handler:
        async def followed(exchange: Exchange) -> Result:
            try:
                result = await handler(exchange)
            except SystemExit as error:
                self._note(name, wrong := unforeseen(f"the guard {name}", error))
                raise wrong from None
            except BaseException as error:
                self._note(name, error)
                raise
            if not self.reached and self.decided is None:
                self.decided = name
            return result

        return followed

    def _note(self, name: str, error: BaseException) -> None:
        """The innermost that lets an error out has raised it."""
        if error is not self._error:
            self.decided, self._error = name, error


class _WatchedGuards(Guards):
    """Guards that are watched, without those that only observe."""

    def __init__(self, server: str, watch: Watch) -> None:
        super().__init__(server)
        self._watch = watch

    def guard(self, name: str) -> Guard | None:
        made = None if name in _OBSERVERS else super().guard(name)
        return None if made is None else self._watch.around(name, made)


def _tool(exchange: Exchange) -> Result:
    return CallToolResult(content=[TextContent(ALLOWED)])


def _prompt(exchange: Exchange) -> Result:
    return prompt_result(ALLOWED)


def _resource(exchange: Exchange) -> Result:
    params = exchange.params
    return resource_result(ALLOWED, params.uri if isinstance(params, ReadResourceParams) else "", None)


async def _absent(exchange: Exchange) -> Result:
    raise MethodNotFound(f"Method not found: {exchange.method}")
