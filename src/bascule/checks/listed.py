"""The lists that the checks are made of: text files in `data`, one name a line, lines that begin with # left out."""

from functools import cache
from importlib.resources import files


@cache
def listed(file: str) -> frozenset[str]:
    """The names in `data/<file>`; read once."""
    text = files("bascule.checks").joinpath("data", file).read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
