"""How much is measured: the full run takes about ten minutes, the quick one less than two."""

from typing import NamedTuple

CONNECTIONS = (1, 16, 64)
PAIRED = (1, 16)
"""How many connections make the calls that are measured in turn with the floor's."""

BUSY = 0.7
"""The part of what a server can bear that it is given where its latency under load is measured."""


class Plan(NamedTuple):
    """Times in seconds, memory runs bounded in count and in time."""

    rounds: int = 3
    warm: float = 0.2
    seconds: float = 0.8
    cold_starts: int = 7
    sessions: int = 1000
    own_sessions: int = 10_000
    calls: int = 100_000
    call_seconds: float = 12.0
    client_calls: int = 2000
    open_clients: int = 100
    many_tools: int = 500
    kilobytes: int = 1024
    steps: int = 100
    turns: int = 36
    turn_seconds: float = 0.1
    guard_calls: int = 4000
    guard_turns: int = 7
    only: tuple[str, ...] = ()
    """Names of the targets that are measured; all where there are none."""


FULL = Plan()
QUICK = Plan(
    warm=0.15,
    seconds=0.4,
    cold_starts=5,
    sessions=500,
    own_sessions=1000,
    calls=10_000,
    client_calls=500,
    open_clients=20,
    turns=8,
    guard_calls=2000,
    guard_turns=3,
    only=("floor", "bascule", "bascule-guarded", "bascule-serve"),
)
