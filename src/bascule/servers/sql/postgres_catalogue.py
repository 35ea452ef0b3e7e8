"""What a PostgreSQL database holds, read from its catalogue: only what the role may select, in the exposed schemas.

Runs inside the read-only transaction, whose search path names the schemas. A table in the first of them that has its
name is called by its name alone, any other `schema.table`.
"""

from collections.abc import Mapping
from typing import Any

from bascule.servers.sql.postgres_wire import Connection
from bascule.servers.sql.schema import Column, ForeignKey, Table, TableSummary

_NAME = """CASE WHEN pg_table_is_visible({0}.oid) THEN {0}.relname::text
    ELSE (SELECT nspname FROM pg_namespace WHERE oid = {0}.relnamespace) || '.' || {0}.relname END"""

_TABLES = f"""
    SELECT c.oid, {_NAME.format("c")} AS name, c.relkind::text AS kind,
        obj_description(c.oid, 'pg_class') AS description,
        CASE WHEN c.reltuples >= 0 AND c.relkind <> 'v' THEN c.reltuples::int8 END AS estimate
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname = ANY (current_schemas(false))
        AND n.nspname <> 'pg_catalog' AND has_schema_privilege(n.oid, 'USAGE')
        AND has_any_column_privilege(c.oid, 'SELECT')
        AND ($1::text IS NULL OR c.relname = $1 OR n.nspname || '.' || c.relname = $1)
    ORDER BY 2
"""  # noqa: S608

_COLUMNS = """
    SELECT a.attrelid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
        NOT a.attnotnull AS nullable,
        CASE WHEN a.attidentity <> '' THEN 'generated as identity'
            ELSE pg_get_expr(d.adbin, d.adrelid) END AS default, col_description(a.attrelid, a.attnum) AS description
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""

_KEYS = f"""
    SELECT k.conrelid, k.contype::text AS kind, {_NAME.format("f")} AS target,
        ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS p(n, i)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.n ORDER BY p.i) AS columns,
        ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS p(n, i)
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = p.n ORDER BY p.i) AS referenced
    FROM pg_constraint AS k LEFT JOIN pg_class AS f ON f.oid = k.confrelid
    WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('p', 'f', 'u')
    ORDER BY k.conrelid, k.conname
"""  # noqa: S608

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}

Row = Mapping[str, Any]


async def tables(connection: Connection) -> list[TableSummary]:
    """The tables and views, by name."""
    return [
        TableSummary(row["name"], _KINDS[row["kind"]], row["estimate"], row["description"])
        for row in await connection.fetch(_TABLES, None)
    ]


async def schema(connection: Connection, table: str | None) -> list[Table]:
    """One table in full, or all."""
    rows: list[Any] = await connection.fetch(_TABLES, table)
    found: list[Row] = [row for row in rows if table in {None, row["name"]}]
    numbers = [row["oid"] for row in found]
    columns = _by_table(await connection.fetch(_COLUMNS, numbers), "attrelid")
    keys = _by_table(await connection.fetch(_KEYS, numbers), "conrelid")
    return [_table(row, columns.get(row["oid"], []), keys.get(row["oid"], [])) for row in found]


def _by_table(rows: list[Any], number: str) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row[number], []).append(row)
    return grouped


def _table(row: Row, columns: list[Row], keys: list[Row]) -> Table:
    return Table(
        name=row["name"],
        kind=_KINDS[row["kind"]],
        columns=[
            Column(one["name"], one["type"], one["nullable"], one["default"], one["description"]) for one in columns
        ],
        primary_key=[name for key in keys if key["kind"] == "p" for name in key["columns"]],
        foreign_keys=[
            ForeignKey(key["columns"], key["target"], key["referenced"]) for key in keys if key["kind"] == "f"
        ],
        unique_keys=[key["columns"] for key in keys if key["kind"] == "u"],
        row_estimate=row["estimate"],
        description=row["description"],
    )
