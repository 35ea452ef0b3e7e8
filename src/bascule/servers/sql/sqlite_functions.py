"""Stand-ins for SQLite's functions that can run for minutes in one step, where no time limit and no cancellation reach.

`printf('%.*c', 2000000000, 'x')` and `instr` of two long texts are such. In the text of a query their calls are
renamed (`checks.sql_sqlite.renamed`) to the stand-ins here, which refuse what would take long and otherwise give what
SQLite gives: in Python where all are texts, else by asking SQLite itself. Views keep SQLite's own.
"""

import re
import sqlite3
from collections.abc import Callable
from typing import TypeAlias

PREFIX = "bascule_"

_MAX_WORK = 100_000_000
_MAX_SIGNS = 256
_MAX_BYTES = 1 << 20

_SPECIFICATION = re.compile(r"%([-+ #!,l0-9*.]*+)(.?)", re.DOTALL)

_DIGITS = re.compile(r"\s*[-+]?([0-9]+)")

Value: TypeAlias = "str | bytes | int | float | None"


class _Late(Exception):
    """The query is past its deadline."""


class Functions:
    """The stand-ins on one connection. After a query that failed in one, `reason` says why; `late` ends the query."""

    def __init__(self, late: Callable[[], int]) -> None:
        self.reason: str | None = None
        self._late = late
        self._engine: sqlite3.Connection | None = None

    def install(self, connection: sqlite3.Connection) -> None:
        """Register them all; for the thread that uses the connection."""
        self._engine = sqlite3.connect(":memory:", isolation_level=None)
        for name in NAMES:
            connection.create_function(PREFIX + name, -1, self._stand_in(name), deterministic=True)

    def close(self) -> None:
        """Let go of the SQLite that is asked."""
        if self._engine is not None:
            self._engine.close()

    def _stand_in(self, name: str) -> Callable[..., Value]:
        quick, work = _QUICK.get(name), _WORK[name]

        def call(*values: Value) -> Value:
            if self._late():
                raise _Late
            if quick is not None and all(isinstance(value, str) for value in values):
                found = quick(*values)
                if found is not None:
                    return found
            if work(values) > _MAX_WORK:
                self.reason = f"{name}() of values this long takes too long here; use shorter ones, as substr() makes."
                raise ValueError
            return self._ask(name, values)

        return call

    def _ask(self, name: str, values: tuple[Value, ...]) -> Value:
        assert self._engine is not None
        places = ", ".join("?" * len(values))
        try:
            answer: Value = self._engine.execute(f"SELECT {name}({places})", values).fetchone()[0]
        except sqlite3.Error as error:
            self.reason = f"SQLite says: {error}."
            raise
        return answer


def _instr(*texts: str) -> int | None:
    return texts[0].find(texts[1]) + 1 if len(texts) == 2 else None


def _replace(*texts: str) -> str | None:
    """Long results are left to SQLite, which stops at its own limit; so is a NUL, where SQLite sees an end."""
    if len(texts) != 3 or not texts[1] or "\0" in texts[1]:
        return None
    text, old, new = texts
    return None if len(text) + text.count(old) * len(new) > _MAX_BYTES // 4 else text.replace(old, new)


def _trim(strip: Callable[[str, str], str]) -> Callable[..., str | None]:
    def trim(*texts: str) -> str | None:
        if not 1 <= len(texts) <= 2:
            return None
        signs = texts[1] if len(texts) > 1 else " "
        return None if "\0" in signs or len(signs) > _MAX_SIGNS else strip(texts[0], signs)

    return trim


def _search(values: tuple[Value, ...]) -> int:
    return _product(values) // 100


def _product(values: tuple[Value, ...]) -> int:
    sizes = [len(value) for value in values[:2] if isinstance(value, str | bytes)]
    return sizes[0] * sizes[1] if len(sizes) == 2 else 0


def _widths(values: tuple[Value, ...]) -> int:
    """Too much where the widths and precisions alone ask printf for more than a value may have."""
    pattern = values[0] if values else ""
    if not isinstance(pattern, str):
        return 0
    place, asked = 1, 0
    for specification, conversion in _SPECIFICATION.findall(pattern):
        asked += sum(int(digits[:9]) for digits in re.findall(r"\d+", specification))
        for _ in range(specification.count("*")):
            asked += abs(_number(values[place])) if place < len(values) else 0
            place += 1
        place += conversion not in {"%", "n"}
    return _MAX_WORK + 1 if asked > _MAX_BYTES else 0


def _number(value: Value) -> int:
    """What SQLite takes a value for as a width: the digits that a text begins with."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        found = _DIGITS.match(value)
        return int(found[1][:9]) if found else 0
    return int(min(max(value or 0, -_MAX_WORK), _MAX_WORK))


_QUICK: dict[str, Callable[..., Value]] = {
    "instr": _instr,
    "ltrim": _trim(str.lstrip),
    "replace": _replace,
    "rtrim": _trim(str.rstrip),
    "trim": _trim(str.strip),
}
_WORK: dict[str, Callable[[tuple[Value, ...]], int]] = {
    "format": _widths,
    "instr": _search,
    "json_patch": _search,
    "ltrim": _product,
    "printf": _widths,
    "replace": _search,
    "rtrim": _product,
    "trim": _product,
}

NAMES = frozenset(_WORK)
_RENAMED = re.compile(rf"\b{PREFIX}(?=(?:{'|'.join(sorted(NAMES))})\b)")


def restored(words: str) -> str:
    """A column's name or a message, with the functions called as the query calls them."""
    return _RENAMED.sub("", words)
