"""Policy: what holds for one feature (a tool, a resource, a prompt), whoever calls it.

Shapes only. Guards read it once, at start; where each value came from is the business of `policy`.
"""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

Kind = Literal["tool", "resource", "template", "prompt"]
"""What a feature is."""

Confirm = Literal["off", "host", "queue", "server"]
"""Who is asked before a call begins: nobody; whoever the host asks of its own accord; the user through the client, or
an operator's queue where the client cannot ask; the user through the client, and else the call is refused."""

TIMEOUT = 30.0
MAX_RESULT_BYTES = 1024 * 1024


class Window(NamedTuple):
    """At no instant have more than `limit` calls started within the last `per` seconds."""

    limit: int
    per: float


class Policy(Struct, frozen=True, kw_only=True):
    """What holds for one feature. Times in seconds, sizes in bytes."""

    deny: bool = False
    scopes: frozenset[str] = frozenset()
    """What a caller must hold, all of it."""
    rate: tuple[Window, ...] = ()
    """How often one caller may call it; no window, no limit."""
    concurrency: Annotated[int, Meta(ge=1)] | None = None
    """How many calls of it may run at once in this process."""
    timeout: Annotated[float, Meta(gt=0)] | None = TIMEOUT
    """How long the handler may work, without the time that a person takes to answer; None for as long as it likes."""
    confirm: Confirm = "off"
    untrusted: bool = False
    """Whether what it answers was written by strangers."""
    max_result_bytes: Annotated[int, Meta(ge=1)] = MAX_RESULT_BYTES
    polls: bool = False
    """Whether the same call again and again is its use: a tool that looks how something stands."""


PLAIN = Policy()
"""What holds where nobody said anything."""
