"""How long to wait before something is tried again: longer each time, and not at the same moment for everybody."""

import random

LONGEST = 30.0
"""Seconds that no pause goes beyond."""

_DOUBLINGS = 10


def pause_before(attempt: int, first: float) -> float:
    """Seconds before an attempt, counted from 0: up to `first` before that one, twice as long before each further."""
    return min(first * (1 << min(attempt, _DOUBLINGS)), LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311
