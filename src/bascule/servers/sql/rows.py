"""Rows on their way out: the shape of a result, which values JSON can carry exactly, and where a result is cut.

Knows no database. A number that JSON readers would change (beyond 2^53, NaN, infinite) goes out as text.
A result is cut by whole rows, by number and by bytes of JSON, and says so.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

MAX_BYTES = 1 << 20
MAX_ROWS = 1000
_EXACT = 1 << 53
_DIGITS = 15
_DEPTH = 32


class Field(Struct, omit_defaults=True):
    """A column of a result: its name, the database's name for its type, and the type's number where there is one."""

    name: str
    type: str
    data_type_id: int | UnsetType = field(default=UNSET, name="dataTypeID")


class QueryResult(Struct, omit_defaults=True):
    """Rows in column order. `note` says why rows are missing when `truncated` is true."""

    rows: list[list[Any]]
    fields: list[Field]
    row_count: int = field(name="rowCount")
    truncated: bool
    note: str | UnsetType = UNSET


def collect(rows: Iterable[Sequence[Any] | None], fields: list[Field], limit: int, max_bytes: int) -> QueryResult:
    """Take up to `limit` rows and `max_bytes` of JSON; None stands for a row that alone was too large to fetch.

    Reads one row more than it keeps, to know whether there was one.
    """
    kept: list[list[Any]] = []
    size = 0
    for row in rows:
        if len(kept) == limit:
            return _cut(kept, fields, f"Only the first {limit} rows are shown; there are more.")
        values = None if row is None else list(row)
        if values is not None:
            size += len(msgspec.json.encode(values)) + 1
        if values is None or size > max_bytes:
            return _cut(kept, fields, _too_large(len(kept), max_bytes))
        kept.append(values)
    return QueryResult(kept, fields, len(kept), False)


def _cut(rows: list[list[Any]], fields: list[Field], note: str) -> QueryResult:
    return QueryResult(rows, fields, len(rows), True, note)


def _too_large(kept: int, max_bytes: int) -> str:
    advice = "select fewer or shorter columns, for example with substr(column, 1, 1000)"
    if kept:
        return f"Only the first {kept} rows are shown: the next would pass {max_bytes} bytes; {advice}."
    return f"No row is shown: the first alone is larger than {max_bytes} bytes; {advice}."


def exact_int(value: int) -> int | str:
    """The integer, or its digits where a reader that keeps numbers as doubles would change it."""
    return value if -_EXACT <= value <= _EXACT else str(value)


def exact_float(value: float) -> float | str:
    """The number, or PostgreSQL's word for what JSON has no number for."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def json_value(text: str) -> Any:
    """The JSON value in `text`; the text itself where it is nested too deeply or holds half of a surrogate pair.

    Numbers with more digits than a double keeps stay text.
    """
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_decimal, parse_constant=str)
        msgspec.json.encode(value)
    except (ValueError, RecursionError):
        return text
    return text if _deeper(value, _DEPTH) else value


def _integer(digits: str) -> int | str:
    return exact_int(int(digits)) if len(digits) <= _DIGITS + 3 else digits


def _decimal(digits: str) -> float | str:
    significant = digits.lower().partition("e")[0].lstrip("-0.").replace(".", "")
    value = float(digits)
    lost = not math.isfinite(value) or (value == 0.0 and bool(significant.strip("0")))
    return digits if lost or len(significant) > _DIGITS else value


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [child for item in layer for child in _children(item)]
        if not layer:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
