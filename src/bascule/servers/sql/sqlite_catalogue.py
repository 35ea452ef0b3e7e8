"""What a SQLite file holds, read from its own catalogue. Plain functions on a connection, run in its thread.

The row estimate is the planner's where ANALYZE has run, else the highest row id, which is quick and never too small by
more than what was given an id by hand; tables without row ids have none.
"""

import sqlite3
from contextlib import suppress

from bascule.servers.sql.schema import Column, ForeignKey, Table, TableSummary

_TABLES = """
    SELECT name, type FROM sqlite_master
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite@_%' ESCAPE '@' AND (?1 IS NULL OR name = ?1)
    ORDER BY name
"""
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid'
_FOREIGN = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq'
_UNIQUE = """SELECT i.name, c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c
    WHERE i."unique" = 1 AND i.origin <> 'pk' AND i.partial = 0 ORDER BY i.seq DESC, c.seqno"""


_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_WIDTH = "SELECT count(*) FROM pragma_table_xinfo(?)"


def widest(connection: sqlite3.Connection) -> int:
    """How many columns the widest table has; those that this SQLite cannot open (a module is missing) do not count."""
    width = 0
    for (name,) in connection.execute(_NAMES).fetchall():
        with suppress(sqlite3.Error):
            width = max(width, connection.execute(_WIDTH, (name,)).fetchone()[0])
    return width


def tables(connection: sqlite3.Connection) -> list[TableSummary]:
    """The tables and views, by name."""
    found = connection.execute(_TABLES, (None,)).fetchall()
    return [TableSummary(name, kind, _estimate(connection, name, kind)) for name, kind in found]


def schema(connection: sqlite3.Connection, table: str | None) -> list[Table]:
    """One table in full, or all."""
    found = connection.execute(_TABLES, (table,)).fetchall()
    return [_readable(connection, name, kind) for name, kind in found]


def _readable(connection: sqlite3.Connection, name: str, kind: str) -> Table:
    """The table, or only its name and why there is no more: a view of a table that is gone, a missing module."""
    try:
        return _table(connection, name, kind)
    except sqlite3.Error as error:
        if str(error) == "interrupted":
            raise
        return Table(name, kind, [], [], [], [], description=f"This {kind} cannot be read: {error}.")


def _table(connection: sqlite3.Connection, name: str, kind: str) -> Table:
    columns = connection.execute(_COLUMNS, (name,)).fetchall()
    return Table(
        name=name,
        kind=kind,
        columns=[
            Column(column, type_ or "any", not (notnull or pk), default)
            for column, type_, notnull, default, pk in columns
        ],
        primary_key=[row[0] for row in sorted(columns, key=lambda row: int(row[4])) if row[4]],
        foreign_keys=_foreign_keys(connection, name),
        unique_keys=_unique_keys(connection, name),
        row_estimate=_estimate(connection, name, kind),
    )


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[ForeignKey]:
    keys: dict[int, ForeignKey] = {}
    for number, target, column, referenced in connection.execute(_FOREIGN, (table,)):
        key = keys.setdefault(number, ForeignKey([], target, []))
        key.columns.append(column)
        if referenced is not None:
            key.referenced_columns.append(referenced)
    return list(keys.values())


def _unique_keys(connection: sqlite3.Connection, table: str) -> list[list[str]]:
    keys: dict[str, list[str]] = {}
    for index, column in connection.execute(_UNIQUE, (table,)):
        keys.setdefault(index, []).append(column)
    return [columns for columns in keys.values() if None not in columns]


def _estimate(connection: sqlite3.Connection, table: str, kind: str) -> int | None:
    if kind != "table":
        return None
    with suppress(sqlite3.Error, ValueError):
        row = connection.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = ? LIMIT 1", (table,)).fetchone()
        if row is not None:
            return int(str(row[0]).split()[0])
    quoted = table.replace('"', '""')
    with suppress(sqlite3.Error):
        row = connection.execute(f'SELECT max(_rowid_) FROM "{quoted}"').fetchone()  # noqa: S608
        return int(row[0] or 0)
    return None
