"""What a query's names mean in this database: functions, operators and types that are not PostgreSQL's own.

The parser cannot tell `lower(x)` from an overload of it in another schema, nor `x.total` the column from the call. So
what the search path shows besides PostgreSQL's own is read from the catalogue, kept for half a minute, and a query
that names any of it is refused. Members of extensions that only compute (`checks/data/pg_extensions.txt`) are taken
for PostgreSQL's own. Views are not looked into: who makes a view answers for what it calls.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bascule.checks.listed import listed
from bascule.checks.sql import Names, Refused
from bascule.checks.sql_postgres import refuse_selected
from bascule.checks.sql_postgres_columns import columns_needed
from bascule.servers.sql.postgres_wire import Connection

_KEPT_SECONDS = 30.0

_TRUSTED = """EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.classid = '{0}'::regclass AND d.objid = {1} AND d.deptype = 'e'
        AND d.refclassid = 'pg_extension'::regclass AND e.extname::text = ANY ($1))"""

_FUNCTIONS = f"""
    SELECT DISTINCT n.nspname::text AS schema, p.proname::text AS name,
        n.nspname <> 'pg_catalog' OR p.oid >= 16384 AS foreign,
        p.pronargs >= 1 AND (p.pronargs - p.pronargdefaults <= 1 OR p.provariadic <> 0) AS single
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY (current_schemas(true))
        AND (n.nspname <> 'pg_catalog' OR p.oid >= 16384 OR p.proname::text <> ALL ($2))
        AND NOT {_TRUSTED.format("pg_proc", "p.oid")}
"""  # noqa: S608

_OPERATORS = f"""
    SELECT DISTINCT o.oprname::text AS name, pn.nspname::text AS schema, p.proname::text AS function
    FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
        JOIN pg_proc AS p ON p.oid = o.oprcode JOIN pg_namespace AS pn ON pn.oid = p.pronamespace
    WHERE n.nspname = ANY (current_schemas(true)) AND o.oid >= 16384
        AND (pn.nspname <> 'pg_catalog' OR p.oid >= 16384) AND NOT {_TRUSTED.format("pg_proc", "p.oid")}
"""  # noqa: S608

_TYPES = f"""
    WITH RECURSIVE running(oid) AS (
        SELECT c.contypid FROM pg_constraint AS c WHERE c.contypid <> 0 AND EXISTS (
            SELECT FROM pg_depend AS r WHERE r.classid = 'pg_constraint'::regclass AND r.objid = c.oid AND (
                r.refclassid = 'pg_proc'::regclass AND NOT {_TRUSTED.format("pg_proc", "r.refobjid")}
                OR r.refclassid = 'pg_operator'::regclass AND NOT {_TRUSTED.format("pg_operator", "r.refobjid")}))
        UNION SELECT unnest(ARRAY[c.castsource, c.casttarget]) FROM pg_cast AS c WHERE c.castfunc >= 16384
            AND NOT {_TRUSTED.format("pg_proc", "c.castfunc")}
        UNION SELECT t.oid FROM running AS s, pg_type AS t WHERE t.oid >= 16384 AND (
            t.typelem = s.oid OR t.typbasetype = s.oid
            OR t.oid IN (SELECT g.rngtypid FROM pg_range AS g WHERE g.rngsubtype = s.oid)
            OR t.oid IN (SELECT g.rngmultitypid FROM pg_range AS g WHERE g.rngsubtype = s.oid)
            OR t.typrelid IN (SELECT a.attrelid FROM pg_attribute AS a WHERE a.atttypid = s.oid AND a.attnum > 0))
    ) SELECT DISTINCT t.typname::text AS name FROM running AS s JOIN pg_type AS t ON t.oid = s.oid
    WHERE t.oid >= 16384
"""  # noqa: S608

_LACKING = """
    SELECT 1 FROM unnest($1::text[]) AS r(name) WHERE to_regclass(r.name) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(r.name) AND a.attname::text = $2
            AND NOT a.attisdropped)
"""


@dataclass(frozen=True, slots=True)
class Foreign:
    """What the search path shows that is not PostgreSQL's own, and that no setting names."""

    functions: frozenset[str]
    callable: frozenset[str]
    """What `value.name` would call: functions of one argument, and types whose making runs a function."""
    operators: frozenset[str]
    types: frozenset[str]


class Catalogue:
    """Judges the names of queries. `functions` are those that may be called besides the built-in list."""

    def __init__(self, functions: Collection[str] = ()) -> None:
        self._functions = functions
        self._foreign: Foreign | None = None
        self._until = 0.0

    async def judge(self, connection: Connection, names: Names) -> None:
        """Raise `Refused` where the query would run what is not PostgreSQL's own.

        Three round trips every half minute, and one for a column that has the name of a function; otherwise none.
        """
        foreign = self._foreign
        if foreign is None or time.monotonic() > self._until:
            foreign = self._foreign = await self._read(connection)
            self._until = time.monotonic() + _KEPT_SECONDS
        _refuse_any(names.functions & foreign.functions, "The function {}() has an overload", "call it pg_catalog.{}()")
        _refuse_any(names.operators & foreign.operators, "The operator {} exists", "write OPERATOR(pg_catalog.{})")
        _refuse_any(names.types & foreign.types, "The type {} runs functions", "leave the cast to it out")
        for before, name in names.selected:
            if name in foreign.callable:
                await _require_column(connection, names, before, name)

    async def _read(self, connection: Connection) -> Foreign:
        trusted = sorted(listed("pg_extensions.txt"))
        functions = [
            row
            for row in await connection.fetch(_FUNCTIONS, trusted, sorted(listed("pg_functions.txt")))
            if not self._named(row["schema"], row["name"])
        ]
        operators = await connection.fetch(_OPERATORS, trusted)
        types = frozenset(row["name"] for row in await connection.fetch(_TYPES, trusted))
        return Foreign(
            functions=frozenset(row["name"] for row in functions if row["foreign"]),
            callable=types | {row["name"] for row in functions if row["single"]},
            operators=frozenset(row["name"] for row in operators if not self._named(row["schema"], row["function"])),
            types=types,
        )

    def _named(self, schema: str, name: str) -> bool:
        return name in self._functions or f"{schema}.{name}" in self._functions


def _refuse_any(found: Iterable[str], what: str, advice: str) -> None:
    for name in found:
        raise Refused(
            f"{what.format(name)} in a schema of this database, and only PostgreSQL's own may run here; "
            f"{advice.format(name)}."
        )


async def _require_column(connection: Connection, names: Names, before: str, name: str) -> None:
    needed = columns_needed(names.tree, before, name)
    if needed is None or (needed and await connection.fetch(_LACKING, sorted(needed), name)):
        refuse_selected(name)
