"""SQL for SQLite: one statement that only reads. The text is split here; what it does, SQLite's own compiler reports.

`check` finds the statement and its first word. `Authorizer` is the callback that SQLite asks about every table read and
every function called while it compiles; what is not on its lists is denied, and it keeps the reason for the reader.
It must be installed on the connection (`set_authorizer`) before the statement is prepared.
"""

import re
import sqlite3
from collections.abc import Collection

from bascule.checks.listed import listed
from bascule.checks.sql import Refused, Statement, admissible

_ALLOWED = "Only a single SELECT, VALUES, WITH … SELECT or EXPLAIN statement is allowed"

_TOKEN = re.compile(
    r"""
    (?P<space> \s++ | --[^\n]*+ | /\*.*?(?:\*/|\Z) )
    | (?P<end> ; )
    | (?P<word> [^\W\d]\w* )
    | (?P<other> '[^']*+'? | "[^"]*+"? | `[^`]*+`? | \[[^\]]*+\]? | . )
    """,
    re.VERBOSE | re.DOTALL,
)

_FIRST_WORDS = frozenset({"select", "values", "with", "explain"})

_PRAGMAS = frozenset(
    {
        "collation_list",
        "data_version",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
_TABLES_DENIED = frozenset({"dbstat", "fts3tokenize", "sqlite_dbpage", "sqlite_stmt"})


def check(sql: str) -> Statement:
    """Return the one statement in `sql`, without comments around it and semicolons after it, or raise `Refused`."""
    admissible(sql)
    start, end, word = _only(sql)
    if word not in _FIRST_WORDS:
        raise Refused(f"{_ALLOWED}; this begins with {word.upper() or sql[start]}. The database is read-only here.")
    return Statement("plan" if word == "explain" else "rows", sql[start:end])


def renamed(sql: str, names: Collection[str], prefix: str) -> str:
    """The text with `prefix` before every name in `names` (in lower case) that is called as a function."""
    lower = sql.lower()
    if not any(name in lower for name in names):
        return sql
    parts: list[str] = []
    name, gap, done = "", 0, 0
    for token in _TOKEN.finditer(sql):
        if token.lastgroup == "space":
            continue
        if name and token[0] == "(":
            parts += [sql[done : gap - len(name)], prefix, name.strip('"`[]').lower()]
            done = gap
        name, gap = token[0], token.end()
        if name.strip('"`[]').lower() not in names:
            name = ""
    return "".join([*parts, sql[done:]])


def _only(sql: str) -> tuple[int, int, str]:
    """Where the only statement begins and ends, and its first word in lower case (empty where it is no word)."""
    start = end = -1
    word = ""
    ended = False
    for token in _TOKEN.finditer(sql):
        kind = token.lastgroup
        if kind == "space":
            continue
        if kind == "end":
            ended = start >= 0
            continue
        if ended:
            raise Refused(f"{_ALLOWED}; another one follows the first semicolon. Send one at a time.")
        if start < 0:
            start, word = token.start(), token.group("word") or ""
        end = token.end()
    if start < 0:
        raise Refused(f"There is no statement here. {_ALLOWED}.")
    return start, end, word.lower()


class Authorizer:
    """Decides what SQLite may compile: reading tables and calling listed functions, nothing else.

    `functions` names what may be called besides the built-in list. After a denial `reason` is a sentence for the
    reader; set it to None before the next statement.
    """

    def __init__(self, functions: Collection[str] = ()) -> None:
        self._functions = frozenset(name.lower() for name in functions)
        self.reason: str | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}:
            return sqlite3.SQLITE_OK
        self.reason = self._objection(action, (first or "").lower(), (second or "").lower()) or self.reason
        return sqlite3.SQLITE_OK if self.reason is None else sqlite3.SQLITE_DENY

    def _objection(self, action: int, first: str, second: str) -> str | None:
        if action == sqlite3.SQLITE_READ:
            return f"{first} cannot be read here." if first in _TABLES_DENIED else None
        if action == sqlite3.SQLITE_FUNCTION:
            if second in listed("sqlite_functions.txt") or second in self._functions:
                return None
            return f"The function {second}() is not allowed here; built-in functions that only compute are."
        if action == sqlite3.SQLITE_PRAGMA:
            return None if first in _PRAGMAS else f"The pragma {first} is not allowed here."
        if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
            return None  # SQLite declares virtual tables (json_each, fts5) to itself so; a real UPDATE of it fails
        return f"{_ALLOWED}; this would change something. The database is read-only here."
