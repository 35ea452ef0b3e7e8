"""SQL: what the checks of every dialect share. The dialects are `sql_postgres` (needs `pgparse`) and `sql_sqlite`.

A check reads the text, never the database, and passes exactly one statement that can only read. It is the second
lock: the first is the engine's own (a read-only transaction, a read-only file), and neither relies on the other.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from bascule.errors import ToolError

MAX_SQL_BYTES = 32_768
"""Longer texts are refused: a C parser recurses with the depth of the text, and 200 KB of `1+1+…` end the process."""


class Refused(ToolError):
    """The statement is not one that may run; the sentence says what is allowed instead."""

    code: ClassVar[str] = "sql_refused"
    advice = "Write a statement that only reads, as the sentence says."
    retry = "once mended"


@dataclass(frozen=True, slots=True)
class Names:
    """What a query mentions that only the database's catalogue can judge, as the dialect's parser spells it.

    `functions` are those called without a schema; `selected` are pairs of what stands before the last dot (empty for
    an expression) and the name after it, which may be a column or a call; `tree` is the parse tree.
    """

    functions: frozenset[str]
    selected: frozenset[tuple[str, str]]
    operators: frozenset[str]
    types: frozenset[str]
    tree: Any = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """A checked statement: its own text, without what stands before or after it.

    `kind` is `rows` for what may stand in FROM (SELECT, VALUES, TABLE), `plan` for EXPLAIN, `setting` for SHOW.
    `names` is None where nothing is left for the catalogue to judge.
    """

    kind: Literal["rows", "plan", "setting"]
    text: str
    names: Names | None = None


def admissible(sql: str) -> bytes:
    """Return the text as UTF-8, or raise `Refused` where a parser and a database could read it differently."""
    if "\0" in sql:
        raise Refused("The statement contains a NUL character; remove it.")
    try:
        raw = sql.encode()
    except UnicodeEncodeError:
        raise Refused("The statement contains half of a surrogate pair, which is not valid text; remove it.") from None
    if len(raw) > MAX_SQL_BYTES:
        raise Refused(f"The statement is longer than {MAX_SQL_BYTES} bytes; write a shorter one.")
    return raw
