"""What a transport needs of an application: its facts, its answers and its lifespan. `server.app.Server` is one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from bascule.engine.demands import Source
from bascule.engine.exchange import Exchange, Guard, Handler
from bascule.engine.hub import Hub
from bascule.engine.policy import Kind
from bascule.engine.ports import Keeping
from bascule.engine.routes import Routes
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.requests import Implementation
from bascule.wire.results import CacheScope, Result


class Facts(Struct, frozen=True):
    """What an application says of itself; `ttl_ms` and `cache_scope` are the hints for its cacheable results."""

    info: Implementation
    capabilities: ServerCapabilities
    instructions: str | None = None
    ttl_ms: int = 0
    cache_scope: CacheScope = "private"


class Mirrored(NamedTuple):
    """A tool's parameter that an HTTP header repeats: the header in lower case, and where the value stands."""

    header: str
    path: tuple[str, ...]


class Guarding(Protocol):
    """What the operator of a process demands of every feature, and what guards are made with. One for a process."""

    @property
    def hides(self) -> bool:
        """Whether lists show a caller only what it may use."""
        ...

    @property
    def threads(self) -> tuple[int, int]:
        """How many threads synchronous functions may hold, and how many those of one feature; 0: a half of them."""
        ...

    @property
    def list_limit(self) -> Callable[[Exchange], Awaitable[None]] | None:
        """What counts requests for lists, and raises RateLimited; None where they are not limited."""
        ...

    @property
    def healthy(self) -> bool:
        """Whether calls are taken and recorded as they should be."""
        ...

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None:
        """Tell whoever observes the process how long a session of the handshake era has lasted."""
        ...

    def watch(self, handler: Handler) -> Handler:
        """The handler of a method that is about no feature, told of to whoever observes the process."""
        ...

    def sources(self, kind: Kind, address: str) -> Sequence[Source]:
        """What the settings demand of a feature, and where they say so."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Held while a server runs: what guards hold open is let go when the last one ends."""
        ...

    def guard(self, name: str) -> Guard | None:
        """The guard of this name in the order of guards; None where it is switched off. Raises ConfigError."""
        ...


@runtime_checkable
class Application(Protocol):
    """Answers exchanges.

    `running` opens what the handlers need (pools, clients), yields it as the state that every exchange carries, and
    closes it at the end. It may be entered several times at once: each run has a state of its own.
    """

    @property
    def facts(self) -> Facts: ...

    @property
    def hub(self) -> Hub: ...

    @property
    def healthy(self) -> bool: ...

    @property
    def routes(self) -> Routes: ...

    def use_secrets(self, secrets: Sequence[str]) -> None: ...

    def keep_tasks(self, keeping: Keeping) -> None: ...

    def use_guards(self, guarding: Guarding) -> None: ...

    def session_ended(self, seconds: float, version: str, *, http: bool) -> None: ...

    def mirrored(self, tool: str) -> tuple[Mirrored, ...]: ...

    def answer(self, exchange: Exchange) -> Awaitable[Result]: ...

    def running(self) -> AbstractAsyncContextManager[Mapping[Any, Any]]: ...
