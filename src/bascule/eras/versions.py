"""The protocol revisions that Bascule speaks, newest first."""

from typing import Final

MODERN: Final = ("2026-07-28",)
"""Revisions of the stateless era: every request carries its own version and capabilities."""

LEGACY: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions of the handshake era: `initialize` opens a session."""

BATCHES: Final = "2025-03-26"
"""The one revision in which a client may send JSON-RPC batches."""

NEWEST: Final = MODERN[0]
NEWEST_LEGACY: Final = LEGACY[0]


def primes(version: str) -> bool:
    """Whether a client of this revision knows event streams that begin with an event without data (SEP-1699)."""
    return version >= "2025-11-25"
