"""How requests leave a client and answers come back: the seam between an endpoint and whatever speaks HTTP for it.

Knows shapes, and how to say what went wrong. A sender follows no redirect and reads no message.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import httpx2

from bascule.errors import CallTimedOut, ConnectionLost

KEEPALIVE_EXPIRY = 4.0
"""Seconds before an idle connection is dropped: less than the 5 after which common servers drop theirs."""

MAX_CONNECTIONS = 100


class Peer(NamedTuple):
    """The server at the other end, as errors name it, and the seconds that it has; None for no limit."""

    origin: str
    connect_timeout: float | None
    read_timeout: float | None

    def lost(self, reason: str) -> ConnectionLost:
        """The error for a connection that broke off."""
        return ConnectionLost(f"The connection to the server at {self.origin} was lost: {reason}")

    def unreachable(self, reason: str) -> ConnectionLost:
        """The error for a connection that cannot be made."""
        return ConnectionLost(f"The server at {self.origin} cannot be reached: {reason}")

    def slow(self) -> CallTimedOut:
        """The error for a connection that takes too long to make."""
        return CallTimedOut(f"The server at {self.origin} could not be reached within {self.connect_timeout} s")

    def silent(self) -> CallTimedOut:
        """The error for a server that says nothing for longer than it may."""
        return CallTimedOut(f"The server at {self.origin} was silent for too long")


class Asked(NamedTuple):
    """One request. With `patient` the server may be silent for as long as it likes: the caller keeps the time."""

    method: str
    url: httpx2.URL
    headers: Mapping[str, str]
    body: bytes | None
    patient: bool


class Reply(Protocol):
    """An answer whose head is there. Who got it closes it."""

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""
        ...

    async def next(self) -> bytes:
        """The next piece of the body, unpacked; nothing at its end. Raises ConnectionLost or CallTimedOut."""
        ...

    async def close(self) -> None:
        """Let go of it, whether it was read or not."""
        ...


class Sender(Protocol):
    """Sends requests to one origin."""

    async def send(self, asked: Asked) -> Reply:
        """Returns when the reply's head is there.

        Raises ConnectionLost, CallTimedOut, or ConfigError for a header that cannot be sent.
        """
        ...

    async def close(self) -> None:
        """Close all connections; replies that are still read fail with ConnectionLost."""
        ...
