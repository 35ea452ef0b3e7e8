"""Details of a refusal, compared with what they must be: the same keys, and values that are given or that a function
takes."""

import re
from collections.abc import Callable, Mapping
from typing import Any


def wrong_with(right: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    """The details that are missing, too many, or not what they must be."""
    different = [f"{name}: only on one side" for name in right.keys() ^ got.keys()]
    for name in right.keys() & got.keys():
        fits = right[name](got[name]) if callable(right[name]) else right[name] == got[name]
        if not fits:
            different.append(f"{name} is {got[name]!r}")
    return different


def up_to(most: float) -> Callable[[Any], bool]:
    """A number above nothing and not above this."""
    return lambda got: isinstance(got, int | float) and 0 < got <= most


def a_reference(got: Any) -> bool:
    """Under which a log has the details of what failed."""
    return isinstance(got, str) and re.fullmatch("[0-9a-f]{8}", got) is not None
