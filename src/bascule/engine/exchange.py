"""One request and all that is known about it. Everything that answers is a Handler; everything around one, a Guard.

    Principal   who is calling            Peer       what the calling program says of itself
    Exchange    one request, decoded      Handler    Exchange -> Result
    Feature     the thing that is called  Guard      (next, feature) -> Handler, folded once at start

Slots and no behaviour: eras fill an Exchange, transports lend it a `channel`, handlers read it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Raw, Struct

from bascule.engine.asking import Dialogue, Question
from bascule.engine.hub import Listener
from bascule.engine.policy import Kind, Policy
from bascule.errors import MissingCapability, NotAnswered
from bascule.wire.jsonrpc import Request, RequestId
from bascule.wire.requests import ClientCapabilities, Implementation, LogLevel, ProgressToken, RequestParams
from bascule.wire.results import Result

Handler = Callable[["Exchange"], Awaitable[Result]]


class Channel(Protocol):
    """The way back to the client while its request is served."""

    async def notify(self, notice: Request) -> None:
        """Send a notification; dropped where the client takes none."""
        ...

    async def ask(self, method: str, params: Any) -> Raw:
        """Send a request and wait for its result. Raises MCPError (the client's error) and NotAnswered."""
        ...

    async def release(self, retry: float) -> None:
        """End the connection, not the request: the client comes back for the rest after `retry` seconds.

        Without effect where it could not come back.
        """
        ...


class _Closed:
    async def notify(self, notice: Request) -> None:
        """Nobody is told."""

    async def ask(self, method: str, params: Any) -> Raw:
        raise NotAnswered("The client cannot be asked any more: its request has ended")

    async def release(self, retry: float) -> None:
        """There is nothing to let go of."""


CLOSED: Channel = _Closed()
"""The channel of a request that is over, or that nobody waits for."""


class Principal(Struct, frozen=True):
    """Who is calling. `key` stands in every key of shared state.

    `issuer` says who vouches for the `subject`; one who is `anonymous` has shown no credentials, and is told from
    others by session or address only. The scope `*` is every scope.
    """

    issuer: str = ""
    subject: str = ""
    tenant: str = ""
    client_id: str = ""
    scopes: frozenset[str] = frozenset()
    anonymous: bool = True
    claims: Mapping[str, Any] = {}

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, issuer and subject: equal for two calls by the same caller, and for no others."""
        return (self.tenant, self.issuer, self.subject)


LOCAL = Principal(issuer="local", subject="user", scopes=frozenset({"*"}), anonymous=False)
"""The user at this machine: who calls over stdio and in memory; holds every scope."""

ANONYMOUS = Principal()
"""A caller over HTTP that showed no credentials."""


class Peer(Struct, frozen=True):
    """What the calling program says of itself; never verified."""

    protocol_version: str
    info: Implementation | None
    capabilities: ClientCapabilities

    def can(self, capability: str) -> bool:
        """Whether the client declared a capability: `elicitation` (a form), `elicitation.url`, `sampling`,
        `sampling.tools`, `sampling.context`, `roots`, or the name of an extension."""
        family, _, detail = capability.partition(".")
        if family not in _FAMILIES:
            return capability in (self.capabilities.extensions or {})
        declared = getattr(self.capabilities, family)
        if declared is None:
            return False
        if capability in ("elicitation", "elicitation.form"):
            return not declared or "form" in declared
        return not detail or detail in declared


_FAMILIES = frozenset({"elicitation", "sampling", "roots"})


class Conversation:
    """What a handshake-era client said once and need not repeat. `key` is unique to it.

    `log_level` is the least severe level that the client wants, `subscriptions` are the resources whose changes it
    wants to hear of, and `listener` hears of them where the client can be told now.
    """

    __slots__ = ("key", "listener", "log_level", "peer", "subscriptions")

    def __init__(
        self, peer: Peer, key: str, log_level: LogLevel = "info", subscriptions: frozenset[str] = frozenset()
    ) -> None:
        self.peer = peer
        self.key = key
        self.log_level: LogLevel = log_level
        self.subscriptions = subscriptions
        self.listener: Listener | None = None


class Feature(Protocol):
    """A tool, resource or prompt as guards see it. `address` is what callers ask for: a name, a URI or its template."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def check(self) -> "Callable[[Exchange], None] | None":
        """Raises InvalidArguments for a call whose arguments do not fit; None where there is nothing to check."""
        ...

    @property
    def policy(self) -> Policy: ...


class Exchange(Struct, kw_only=True, eq=False):
    """One request, decoded.

    `log_level` is None where the client wants no log messages; `cancelled` means that nobody waits for the answer;
    `address` is the client's over HTTP, empty where it is not known;
    `variables` are what a URI template took from the URI that is read; `state` is what the application's lifespans
    yielded; `dialogue` is what was asked and answered so far (None: nothing), `inquire` gets answers to questions in
    the way of the era. Where there is one, `listener` hears of changes for a request to listen, `task` is what the call
    has become, and `outer` is the call whose handler makes this one (it reads a resource).
    """

    method: str
    request_id: RequestId
    params: RequestParams
    raw_params: Raw | None
    peer: Peer
    principal: Principal
    channel: Channel
    inquire: "Inquire"
    dialogue: Dialogue | None = None
    headers: Mapping[str, str] | None = None
    address: str = ""
    progress_token: ProgressToken | None = None
    log_level: LogLevel | None = None
    conversation: Conversation | None = None
    feature: Feature | None = None
    cancelled: bool = False
    last_progress: float | None = None
    variables: Mapping[str, str] = {}
    state: Mapping[Any, Any] = {}
    listener: Listener | None = None
    task: "TaskHandle | None" = None
    outer: "Exchange | None" = None


class TaskHandle(Protocol):
    """The task that a call has become, as its handler sees it."""

    id: str

    async def status(self, message: str) -> None:
        """Say, in a sentence for the user, how the work stands."""
        ...


Inquire = Callable[[Exchange, Mapping[str, Question]], Awaitable[Mapping[str, Raw]]]
"""The answers to questions, by key. Raises MissingCapability, Asking (the round ends here), MCPError, NotAnswered."""


class Guard(Protocol):
    """Wraps a handler for one feature, at start; returns `next` itself where it does not apply."""

    def __call__(self, next: Handler, feature: Feature) -> Handler: ...


def check_capabilities(exchange: Exchange, questions: Mapping[str, Question]) -> None:
    """Raise MissingCapability unless the client can answer all of these."""
    lacked = [question.capability for question in questions.values() if not exchange.peer.can(question.capability)]
    if lacked:
        details: dict[str, set[str]] = {}
        for capability in lacked:
            family, _, detail = capability.partition(".")
            details.setdefault(family, set()).add(detail or _PLAIN.get(family, ""))
        raise MissingCapability({family: _spelled(wanted) for family, wanted in details.items()})


_PLAIN = {"elicitation": "form"}
"""What a family means where nothing more is said."""


def _spelled(details: set[str]) -> dict[str, Any]:
    """The details as a capability declares them; a form alone needs no word."""
    return {} if details == {"form"} else {detail: {} for detail in sorted(details) if detail}
