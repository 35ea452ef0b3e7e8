"""Patterns: how much slower one regular expression can read than another.

The engine never goes back, so it is linear in the text. But it builds its automaton while it reads, and a pattern such
as `[ab]*a[ab]{20}` needs a new state at almost every character; it then keeps track of every place in the pattern at
once. Both were measured; what is counted here are classes, dots and alternatives, times how often they are repeated.
"""

import re
from typing import Final

_READ: Final = 4
_BUILT: Final = 400
_TRACKED: Final = 6
_MOST: Final = 5000
"""Steps in which a common pattern reads what counts for one step; in which an automaton is built as it goes; for every
place that is tracked besides; and the most that are charged."""

_FEW: Final = 12
"""How many wide parts a pattern may have before its automaton can outgrow the room for it."""

_TOKEN = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:(,)(\d*))?\}|.", re.DOTALL)
_WIDE = frozenset({".", "|", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"})


def pattern_steps(pattern: str) -> int:
    """The steps in which a pattern reads the text that counts for one."""
    width, bounded = _read(pattern)
    if width < _FEW or bounded:
        return _READ
    return min(_MOST, _BUILT + _TRACKED * width)


def _read(pattern: str) -> tuple[int, bool]:
    """How many wide parts a pattern has at once, and whether it can only match near the start of a text."""
    groups, last = [0], 0
    bounded = pattern.startswith("^")
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text == "(":
            groups.append(0)
            last = 0
        elif text == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif token[1] is not None:
            times = _times(token[3] or token[1])
            groups[-1] += last * (times - 1)
            last *= times
            bounded = bounded and not (token[2] and not token[3])
        else:
            last = 1 if text in _WIDE or len(text) > 2 else 0
            groups[-1] += last
            bounded = bounded and text not in ("*", "+", "|")
    return sum(groups), bounded


def _times(count: str) -> int:
    return max(1, int(count)) if len(count) < 6 else 10**6
