"""What carries a client's messages: a Stream of lines, a Connection of calls; and what a Greeting has found out.

Knows shapes only. A transport offers a Stream or a Connection; an era's `greet` speaks over a Connection.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Raw, Struct

from bascule.engine.era import ClientEra, Outbound
from bascule.errors import ConnectionLost
from bascule.wire.jsonrpc import RequestId
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.requests import ClientCapabilities, Implementation

EraName = Literal["modern", "legacy"]

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""How large one message from a server may be, where nothing else was said."""


class Head(Struct, frozen=True):
    """What HTTP says before a message: its first line, and the headers that are about the message."""

    line: str
    headers: Mapping[str, str]


OnWire = Callable[[bool, bytes, Head | None], None]
"""Is shown each message as it passes: whether the client sent it, its bytes, and its head over HTTP. Must not raise."""


class Stream(Protocol):
    """A two-way stream of messages, one message a line. All callbacks run on the event loop that started it."""

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Open the stream. `on_close` is called at most once, when nothing more will come.

        Raises ConnectionLost where the other end cannot be reached.
        """
        ...

    def write(self, line: bytes) -> None:
        """Send one message, given without its newline; does nothing on a stream that has ended."""
        ...

    async def drain(self) -> None:
        """Return when the other end keeps up, or the stream has ended."""
        ...

    async def close(self) -> None:
        """Close the stream and release all that it holds; never raises but for cancellation."""
        ...


class Connection(Protocol):
    """Carries calls to one server."""

    probe_timeout: float | None
    """Seconds of silence that show a server of the handshake era; None where silence shows nothing."""

    carries_headers: bool
    """Whether the headers of an Outbound reach the server."""

    @property
    def lost(self) -> bool:
        """Whether it has ended, so that no call can be made over it any more."""
        ...

    async def start(self) -> None:
        """Open the connection. Raises ConnectionLost where the server cannot be reached."""
        ...

    async def call(
        self, method: str, outbound: Outbound, within: float | None, begun: Callable[[RequestId], None] | None = None
    ) -> Raw:
        """Send a request and return its result; `begun` is told its id before it leaves.

        Raises the server's error as MCPError, CallTimedOut after `within` seconds, ConnectionLost when the connection
        ends first. A call that times out or is cancelled is cancelled at the server too.
        """
        ...

    async def notify(self, method: str, outbound: Outbound) -> None:
        """Send a notification."""
        ...

    async def listen(self) -> None:
        """Hear what the server says unasked from now on, where that needs anything; once it was greeted.

        Returns when it is heard, or nearly as soon where the server leaves that open.
        """
        ...

    async def close(self) -> None:
        """End the connection; calls under way fail with ConnectionLost."""
        ...


class SessionExpired(ConnectionLost):
    """The server no longer knows the session: greet it again, and repeat the call, which was not carried out."""


class Introduction(Struct, frozen=True):
    """What a client says of itself to every server."""

    info: Implementation
    capabilities: ClientCapabilities


class Greeting(Struct, frozen=True):
    """What a greeting has found out: how the server is spoken to, and what it says of itself."""

    name: EraName
    era: ClientEra
    server: Implementation | None
    capabilities: ServerCapabilities
    instructions: str | None
