"""The pipeline: the guards that stand around every call of a process, made from its settings when first needed.

The one place that knows every guard and what it needs of the outside.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, cached_property
from typing import Any, NamedTuple

from msgspec.structs import replace

from bascule.engine.demands import Source
from bascule.engine.exchange import LOCAL, Exchange, Feature, Guard, Handler, Principal
from bascule.engine.policy import Kind, Window
from bascule.engine.ports import Counters
from bascule.engine.rates import network, windows
from bascule.engine.settings import Settings
from bascule.late import late
from bascule.policy import Rules
from bascule.wire.results import Result


class Pipeline:
    """Guards and policy by one process's settings.

    Without settings (a server that a client of this process holds, for its own tests) what is declared holds, and the
    defaults for one call; but nothing that counts calls which no declaration asks to be counted.
    """

    def __init__(self, settings: Settings | None = None, server: str = "") -> None:
        """`server` tells the servers apart that share a queue of approvals. Raises ConfigError for a wrong rate."""
        self._server = server
        self._runs = 0
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._counts = settings is not None
        self.settings = Settings() if settings is None else settings
        for rate in (self.settings.limits.rate, self.settings.limits.lists, self.settings.limits.per_address):
            if rate:
                windows(rate)
        self._rules = Rules(self.settings.policy)
        self._guards: dict[str, Guard | None] = {}
        self._makers: Mapping[str, Callable[[], Guard | None]] = {
            "telemetry": self._telemetry,
            "audit": self._audit,
            "sanitise": self._sanitise,
            "scopes": self._scopes,
            "load": self._load,
            "rate_limit": self._rate_limit,
            "concurrency": self._concurrency,
            "repeats": self._repeats,
            "confirm": self._confirm,
            "timeout": self._timeout,
        }

    @property
    def hides(self) -> bool:
        """Whether lists show a caller only what it may use."""
        return not self.settings.auth.list_all

    @property
    def threads(self) -> tuple[int, int]:
        """How many threads synchronous functions may hold, and how many those of one feature; 0: a half of them."""
        return self.settings.load.max_threads, self.settings.load.max_threads_per_feature

    def sources(self, kind: Kind, address: str) -> Sequence[Source]:
        """What `[policy]` demands of a feature."""
        return self._rules.sources(kind, address)

    @property
    def unused(self) -> list[str]:
        """The entries of `[policy]` that have held for nothing yet: written for nothing, or misspelt."""
        return self._rules.unused

    def guard(self, name: str) -> Guard | None:
        """The guard of a name; None where it is switched off. Raises ConfigError."""
        if name not in self._guards:
            self._guards[name] = self._makers[name]()
        return self._guards[name]

    @cached_property
    def list_limit(self) -> Callable[[Exchange], Awaitable[None]] | None:
        """What counts requests for lists; None where the settings set no rate for them. Raises ConfigError."""
        if not self._counts or not self.settings.limits.lists:
            return None
        made: Callable[[Exchange], Awaitable[None]] = late("bascule.guards.rate_limit:method_limit")(
            self.counters, windows(self.settings.limits.lists)
        )
        return made

    @property
    def address_limit(self) -> Callable[[Principal, str], Awaitable[None]] | None:
        """What counts the requests of an address; None where the settings set no rate for it. Raises ConfigError."""
        if not self.settings.limits.per_address:
            return None
        made: Callable[[Principal, str], Awaitable[None]] = late("bascule.guards.rate_limit:address_limit")(
            self.counters, windows(self.settings.limits.per_address)
        )
        return made

    @cached_property
    def counters(self) -> Counters:
        """What counts starts, for all limits of this process. Raises ConfigError."""
        made: Counters = late("bascule.stores.limiter:counters_of")(self.settings.limits)
        self._closers.append(made.close)
        return made

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let go of files and connections when the last run of a server ends; they open again when needed."""
        if not self._runs and self.audit_log is not None:
            self.audit_log.open()
        self._runs += 1
        try:
            yield
        finally:
            self._runs -= 1
            if not self._runs:
                await self._close()

    async def _close(self) -> None:
        """Let go of everything, whatever fails of it; the audit log last."""
        async with AsyncExitStack() as stack:
            if self.audit_log is not None:
                stack.push_async_callback(asyncio.to_thread, self.audit_log.close)
            for close in self._closers:
                stack.push_async_callback(close)

    @cached_property
    def audit_log(self) -> Any:
        """What writes down every decision; None where the settings name no file."""
        settings = self.settings.audit
        if not settings.file:
            return None
        redact = None if self._redactor is None else lambda text: str(self._redactor.redact(text).text)
        return late("bascule.stores.audit.log:FileAudit")(settings, redactor=redact)

    @property
    def healthy(self) -> bool:
        """Whether calls are taken and written down as they should be, or will be by the first run."""
        return self.audit_log is None or not self._runs or bool(self.audit_log.healthy)

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None:
        """Tell whoever observes the process how long a session of the handshake era has lasted."""
        self._observer.session_ended(seconds, version, http=http)

    def watch(self, handler: Handler) -> Handler:
        """The handler of a method that is about no feature, told of to whoever observes the process."""
        watched: Handler = self._observer.watch(handler)
        return watched

    @cached_property
    def _observer(self) -> Any:
        return late("bascule.guards.telemetry:Telemetry")()

    @cached_property
    def _redactor(self) -> Any:
        return late("bascule.checks.redactor:Redactor")() if self.settings.results.redact else None

    def _telemetry(self) -> Guard:
        guard: Guard = self._observer.guard
        return guard

    def _audit(self) -> Guard | None:
        if self.audit_log is None:
            return None
        return _guard("audit:audit")(self.audit_log, trace=self._observer.trace_id)

    def _scopes(self) -> Guard:
        return _guard("scopes:scopes")()

    def _sanitise(self) -> Guard:
        server, redactor = self._server, self._redactor
        doubting = cache(lambda: _guard("sanitise:sanitise")(server, _cleaning(), redactor=redactor))
        if redactor is None:
            trusting = _guard("result_size:size_limit")()
        else:
            trusting = _guard("sanitise:sanitise")(server, None, redactor=redactor)

        def guard(next: Handler, feature: Feature) -> Handler:
            return (doubting() if feature.policy.untrusted else trusting)(next, feature)

        return guard

    def _load(self) -> Guard | None:
        if not self._counts:
            return None
        load = late("bascule.guards.load:Load")(self.settings.load, _address)
        return _guard("load:load_limit")(load)

    def _rate_limit(self) -> Guard:
        limits = self.settings.limits
        made = cache(self._counting)
        if limits.redis_url:
            made()  # so that a wrong URL is told at start

        def guard(next: Handler, feature: Feature) -> Handler:
            return made()(next, feature) if feature.policy.rate else next

        return _with_default(guard, windows(limits.rate)) if self._counts and limits.rate else guard

    def _counting(self) -> Guard:
        """What counts the calls of features; loads what counts, which takes a while."""
        marks = late("bascule.stores.memory:MemoryMarks")()
        return _guard("rate_limit:rate_limit")(self.counters, marks, figures=self.settings.limits.figures)

    def _concurrency(self) -> Guard:
        return _guard("concurrency:concurrency_limit")()

    def _repeats(self) -> Guard | None:
        if not self._counts or self.settings.load.max_repeats == 0:
            return None
        repeats = late("bascule.guards.repeats:Repeats")(self.settings.load, _address)
        return _guard("repeats:repeat_brake")(repeats)

    def _confirm(self) -> Guard:
        approvals = self.settings.approvals
        store = None
        if approvals.file:
            store = late("bascule.stores.sqlite_approvals:SqliteApprovals")(approvals.file, approvals)
            self._closers.append(store.close)
        marks = store or late("bascule.stores.memory:MemoryMarks")()
        guard = _guard("confirm:confirm")(marks, store, approvals, server=self._server, check=_check)
        return guard if self._counts else _asking_somebody(guard)

    def _timeout(self) -> Guard:
        deadlines = late("bascule.guards.deadlines:Deadlines")(self.settings.load.timeout_grace)
        return _guard("deadlines:time_limit")(deadlines)


def _guard(place: str) -> Callable[..., Guard]:
    """The factory of a guard: its file and name."""
    found: Callable[..., Guard] = late(f"bascule.guards.{place}")
    return found


class _Cleaning(NamedTuple):
    """What is done to texts of strangers: the functions of `checks.text`, which take long to load."""

    sanitise: Any
    untrusted: Any
    without_controls: Any


def _cleaning() -> _Cleaning:
    return _Cleaning(*(late(f"bascule.checks.text:{name}") for name in _Cleaning._fields))


def _check(exchange: Exchange) -> None:
    """Raise InvalidArguments for a call that its feature would refuse."""
    feature = exchange.feature
    if feature is not None and feature.check is not None:
        feature.check(exchange)


def _with_default(guard: Guard, rate: tuple[Window, ...]) -> Guard:
    """The same guard, and a rate for features without one: the user at this machine, who owns it, is left out there.

    Where nobody else calls, nothing that counts is even made.
    """

    def limited(next: Handler, feature: Feature) -> Handler:
        if feature.policy.rate:
            return guard(next, feature)
        by_default = cache(lambda: guard(next, _with(feature, rate=rate)))

        def local_or_not(exchange: Exchange) -> Awaitable[Result]:
            return (next if exchange.principal is LOCAL else by_default())(exchange)

        return local_or_not

    return limited


def _with(feature: Feature, **changes: Any) -> Feature:
    """The feature with another policy."""
    return replace(feature, policy=replace(feature.policy, **changes))  # type: ignore[type-var]


def _asking_somebody(guard: Guard) -> Guard:
    """The same guard where no operator could decide: who cannot ask a user is refused."""

    def strict(next: Handler, feature: Feature) -> Handler:
        if feature.policy.confirm == "queue":
            feature = _with(feature, confirm="server")
        return guard(next, feature)

    return strict


def _address(exchange: Exchange) -> str | None:
    """Whose address a request comes from, as far as that is known."""
    return network(exchange.address) or None
