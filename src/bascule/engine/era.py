"""The seams between the protocol's two eras: every difference between them is one of these, and nothing else asks.

For servers: `methods, open, inquire, pose, stamp, refuse`. For clients: `greet, prepare, conclude`.
Knows shapes only; the implementations live in `eras/`, the only folder that knows a protocol date.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Raw, Struct

from bascule.engine.application import Application
from bascule.engine.asking import Asking, Question
from bascule.engine.exchange import Channel, Conversation, Exchange, Principal
from bascule.errors import MCPError
from bascule.wire.jsonrpc import ErrorObject, Frame
from bascule.wire.requests import LogLevel, RequestParams
from bascule.wire.results import Result


class Inbound(Struct, frozen=True):
    """What a transport knows of a request besides its frame. `headers` (lower-case names) is None off HTTP, and the
    client's `address` empty there and where it is not known."""

    principal: Principal
    channel: Channel
    headers: Mapping[str, str] | None = None
    conversation: Conversation | None = None
    state: Mapping[Any, Any] = {}
    address: str = ""


class Method(Struct, frozen=True):
    """One legal method: how its parameters are decoded and who answers."""

    decode: Callable[[Any], RequestParams]
    answer: Callable[[Application, Exchange], Awaitable[Result]]


class ServerEra(Protocol):
    """How a server speaks one era."""

    methods: Mapping[str, Method]

    def open(self, frame: Frame, inbound: Inbound) -> Exchange:
        """The exchange that a request opens. Raises MCPError where the request is not legal."""
        ...

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The client's answers, by key. Raises MissingCapability, and Asking where the round must end first."""
        ...

    def pose(self, exchange: Exchange, asking: Asking) -> Result:
        """The result that ends a round with questions. Raises MCPError where they cannot be asked."""
        ...

    def stamp(self, exchange: Exchange, result: Result) -> Result:
        """The result with what the era requires on it, or without what it does not know."""
        ...

    def refuse(self, error: MCPError) -> tuple[ErrorObject, int]:
        """The error as the era spells it, and the HTTP status that carries it."""
        ...


class Outbound(NamedTuple):
    """A client's request, ready to leave: parameters with their `_meta`, and the HTTP headers that go along."""

    params: Any
    headers: Mapping[str, str]


class ClientEra(Protocol):
    """How a client speaks one era to one server, once `greet` has found out what the server speaks."""

    protocol_version: str

    def prepare(self, method: str, params: Mapping[str, Any], log_level: LogLevel | None = None) -> Outbound:
        """The request with what the era requires in `_meta` and headers."""
        ...

    def conclude(self, method: str, result: Any) -> Any:
        """The result, checked for what the era promises (an unknown `resultType` is an error)."""
        ...
