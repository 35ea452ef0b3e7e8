"""The pipeline: the guards that stand around every call of a process, made from its settings when first needed.

The one place that knows every guard and what it needs of the outside.
"""

from collections.abc import Callable, Mapping, Sequence

from bascule.engine.demands import Source
from bascule.engine.exchange import Guard
from bascule.engine.policy import Kind
from bascule.engine.settings import Settings
from bascule.late import late
from bascule.policy import Rules


class Pipeline:
    """Guards and policy by one process's settings; without settings, the defaults."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = Settings() if settings is None else settings
        self._rules = Rules(self._settings.policy)
        self._guards: dict[str, Guard | None] = {}
        self._makers: Mapping[str, Callable[[], Guard | None]] = {"scopes": self._scopes}

    @property
    def hides(self) -> bool:
        """Whether lists show a caller only what it may use."""
        return not self._settings.auth.list_all

    def sources(self, kind: Kind, address: str) -> Sequence[Source]:
        """What `[policy]` demands of a feature."""
        return self._rules.sources(kind, address)

    def guard(self, name: str) -> Guard | None:
        """The guard of a name; None where it is switched off. Raises ConfigError."""
        if name not in self._guards:
            make = self._makers.get(name)
            self._guards[name] = None if make is None else make()
        return self._guards[name]

    def _scopes(self) -> Guard | None:
        guard: Guard = late("bascule.guards.scopes:scopes")()
        return guard
