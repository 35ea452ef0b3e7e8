"""The SQL that surrounds a query: what starts its transaction, and what bounds and spells the rows it returns.

A query is wrapped so that PostgreSQL itself cuts it: at limit + 1 rows, and at a running sum of bytes beyond which rows
are sent as NULLs; so a cell of 200 MB never crosses the wire. Columns are renamed by place inside, because two may have
one name; order survives, for no step sorts. Types that JSON or the driver would change are sent as PostgreSQL's text.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import asyncpg

from bascule.servers.sql.rows import exact_float, exact_int, json_value

Columns: TypeAlias = "Sequence[asyncpg.Attribute]"
Reading = Callable[[Any], Any]

_NATIVE = frozenset({"bool", "int2", "int4", "int8", "oid", "float8"})
_NATIVE_BYTES = 24


def begin(seconds: float, schemas: Sequence[str]) -> str:
    """What starts a transaction: read-only, with time-outs, a pinned search path and one way to print values.

    Compilation (`jit`) is off because a cancellation that arrives while PostgreSQL 15 compiles is lost.
    """
    milliseconds = max(1, int(seconds * 1000))
    settings = {
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(milliseconds),
        "idle_in_transaction_session_timeout": str(2 * milliseconds + 5000),
        "search_path": ", ".join(quoted(name) for name in ("pg_catalog", *schemas, "pg_temp")),
        "standard_conforming_strings": "on",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "jit": "off",
    }
    return "BEGIN READ ONLY;" + "".join(f"SET LOCAL {name} = {value};" for name, value in settings.items())


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class Wrapped:
    """A query inside its bounds: `text` is what to send, `rows` reads what comes back."""

    def __init__(self, sql: str, columns: Columns, limit: int, max_bytes: int) -> None:
        self._columns = columns
        places = range(len(columns))
        names = ", ".join(f"c{place}" for place in places)
        inner = ", ".join(f"{_spelled(column, f'c{place}')} AS v{place}" for place, column in enumerate(columns))
        sizes = "+".join(["8::int8", *(_size(column, f"v{place}") for place, column in enumerate(columns))])
        outer = "".join(f"CASE WHEN n <= {max_bytes} THEN v{place} END AS v{place}, " for place in places)
        self.text = (
            f"SELECT {outer}n <= {max_bytes} AS fits FROM ("  # noqa: S608
            f"SELECT *, sum({sizes}) OVER (ROWS UNBOUNDED PRECEDING) AS n FROM ("
            f"SELECT {inner} FROM (\n{sql}\n) AS t{f'({names})' if names else ''} LIMIT {limit + 1}) AS a) AS b"
        )

    def rows(self, records: Iterable[asyncpg.Record]) -> Iterator[list[Any] | None]:
        """The rows, as JSON can carry them; None from the first that was beyond the bytes allowed."""
        readings = [_reading(column) for column in self._columns]
        for record in records:
            yield _row(record, readings) if record[-1] else None


def values(records: Iterable[asyncpg.Record], columns: Columns) -> Iterator[list[Any]]:
    """The rows of a statement that was not wrapped."""
    readings = [_reading(column) for column in columns]
    for record in records:
        yield _row(record, readings)


def _row(record: asyncpg.Record, readings: list[Reading]) -> list[Any]:
    return [None if value is None else reading(value) for value, reading in zip(record, readings, strict=False)]


def _spelled(column: asyncpg.Attribute, name: str) -> str:
    if _built_in(column) in _NATIVE:
        return name
    return f"to_json({name}::text[])::text" if column.type.kind == "array" else f"{name}::text"


def _built_in(column: asyncpg.Attribute) -> str:
    """The type's name, or nothing for a type of another schema that may only be called like a built-in one."""
    return column.type.name if column.type.schema == "pg_catalog" else ""


def _size(column: asyncpg.Attribute, name: str) -> str:
    return str(_NATIVE_BYTES) if _built_in(column) in _NATIVE else f"coalesce(octet_length({name}), 0) + 4"


def _reading(column: asyncpg.Attribute) -> Reading:
    if column.type.kind != "array":
        return _READINGS.get(_built_in(column), _same)
    element = _ELEMENTS.get(_built_in(column).removesuffix("[]"), _same)
    return lambda text: _each(json.loads(text), element)


def _each(value: Any, reading: Reading) -> Any:
    if isinstance(value, list):
        return [_each(item, reading) for item in value]
    return None if value is None else reading(value)


def _same(value: Any) -> Any:
    return value


def _float_text(text: str) -> float | str:
    return exact_float(float(text))


def _int_text(text: str) -> int | str:
    return exact_int(int(text))


def _vector_text(text: str) -> int | str:
    """An element of an int2vector, which reads as an array; or a whole one, in an array of them."""
    return int(text) if text.lstrip("-").isdigit() else text


_READINGS: dict[str, Reading] = {
    "int8": exact_int,
    "float4": _float_text,
    "float8": exact_float,
    "json": json_value,
    "jsonb": json_value,
}

_ELEMENTS: dict[str, Reading] = {
    "bool": lambda text: text == "true",
    "int2": _int_text,
    "int2vector": _vector_text,
    "oidvector": _vector_text,
    "int4": _int_text,
    "int8": _int_text,
    "oid": _int_text,
    "float4": _float_text,
    "float8": _float_text,
    "json": json_value,
    "jsonb": json_value,
}
