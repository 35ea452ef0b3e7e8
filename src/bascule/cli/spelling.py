"""Spelling: the sentence for a name that does not exist, with the nearest one that does."""

from collections.abc import Collection
from difflib import get_close_matches

_SHOWN = 8


def unknown(beginning: str, name: str, known: Collection[str]) -> str:
    """`There is no tool 'ad'; did you mean 'add'?`, or what there is instead. The beginning is all before the name."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"{beginning} {name!r}; did you mean {near[0]!r}?"
    names = sorted(known)
    more = ", …" if len(names) > _SHOWN else ""
    return f"{beginning} {name!r}; there is {', '.join(names[:_SHOWN]) or 'none'}{more}"
