"""The pipeline: the guards that stand around every call of a process, made from its settings when first needed.

The one place that knows every guard and what it needs of the outside.
"""

from collections.abc import Callable, Mapping, Sequence

from bascule.engine.demands import Source
from bascule.engine.exchange import Exchange, Guard
from bascule.engine.policy import Kind
from bascule.engine.settings import Settings
from bascule.late import late
from bascule.policy import Rules


class Pipeline:
    """Guards and policy by one process's settings.

    Without settings (a server that a client of this process holds, for its own tests) what is declared holds, and the
    defaults for one call; but nothing that counts calls which no declaration asks to be counted.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._counts = settings is not None
        self.settings = Settings() if settings is None else settings
        self._rules = Rules(self.settings.policy)
        self._guards: dict[str, Guard | None] = {}
        self._makers: Mapping[str, Callable[[], Guard | None]] = {
            "scopes": self._scopes,
            "load": self._load,
            "concurrency": self._concurrency,
            "repeats": self._repeats,
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

    def guard(self, name: str) -> Guard | None:
        """The guard of a name; None where it is switched off. Raises ConfigError."""
        if name not in self._guards:
            make = self._makers.get(name)
            self._guards[name] = None if make is None else make()
        return self._guards[name]

    def _scopes(self) -> Guard:
        return _guard("scopes:scopes")()

    def _load(self) -> Guard | None:
        if not self._counts:
            return None
        load = late("bascule.guards.load:Load")(self.settings.load, _address)
        return _guard("load:load_limit")(load)

    def _concurrency(self) -> Guard:
        return _guard("concurrency:concurrency_limit")()

    def _repeats(self) -> Guard | None:
        if not self._counts or self.settings.load.max_repeats == 0:
            return None
        repeats = late("bascule.guards.repeats:Repeats")(self.settings.load, _address)
        return _guard("repeats:repeat_brake")(repeats)

    def _timeout(self) -> Guard:
        deadlines = late("bascule.guards.deadlines:Deadlines")(self.settings.load.timeout_grace)
        return _guard("deadlines:time_limit")(deadlines)


def _guard(place: str) -> Callable[..., Guard]:
    """The factory of a guard: its file and name."""
    found: Callable[..., Guard] = late(f"bascule.guards.{place}")
    return found


def _address(exchange: Exchange) -> str | None:
    """Where a request comes from, as far as that is known."""
    return None
