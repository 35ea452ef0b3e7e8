"""Names that mean something of the database's own: functions, operators and types which no query may run."""

import pytest

from bascule.checks.sql import Refused
from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres import Postgres

TRAPS = """
CREATE FUNCTION trap(int) RETURNS int LANGUAGE plpgsql STRICT AS $$ BEGIN RAISE EXCEPTION 'it ran'; END $$;
CREATE FUNCTION trap(text) RETURNS int LANGUAGE plpgsql STRICT AS $$ BEGIN RAISE EXCEPTION 'it ran'; END $$;
CREATE FUNCTION more(int, int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT trap($1)';
CREATE FUNCTION many(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT trap($1[1])';
CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT trap($1)';
CREATE FUNCTION total(text) RETURNS int LANGUAGE sql AS 'SELECT trap($1)';
CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT trap($1) = 1';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);
CREATE DOMAIN checked AS text CHECK (trap(value) = 1);
CREATE DOMAIN plain AS int CHECK (value > 0);
CREATE TYPE holding AS (a checked);
CREATE TABLE orders (id int, total numeric, trap int, pg_sleep text, part checked);
INSERT INTO orders VALUES (1, 2.5, 3, 'x');
CREATE VIEW safe AS SELECT total, trap FROM orders;
"""


@pytest.fixture(scope="module")
def traps(cluster):
    cluster.execute("CREATE DATABASE traps")
    cluster.execute(TRAPS, "traps")
    known = set(cluster.execute("SELECT name FROM pg_available_extensions").split())
    for extension in sorted({"dblink", "tablefunc", "adminpack", "citext", "intarray"} & known):
        cluster.execute(f"CREATE EXTENSION {extension}", "traps")
    return cluster


@pytest.fixture
async def database(traps):
    database = Postgres(traps.url("traps"), Limits(seconds=5.0))
    await database.open()
    yield database
    await database.close()


REFUSED = {
    "field": "SELECT x.trap FROM generate_series(1, 1) x",
    "field of a value": "SELECT (x).trap FROM generate_series(1, 1) x",
    "field with a default": "SELECT x.more FROM generate_series(1, 1) x",
    "field of many": "SELECT x.many FROM generate_series(1, 1) x",
    "field in a schema": "SELECT orders.trap FROM generate_series(1, 1) orders, public.orders AS o",
    "field that is a column elsewhere": "SELECT x.total FROM unnest(ARRAY['a']) x, orders",
    "field that is an alias elsewhere": "SELECT x.total FROM unnest(ARRAY['a']) x, (SELECT 1 AS total) y",
    "field behind one name for two": "SELECT x.total FROM orders x, (SELECT x.total FROM unnest(ARRAY['a']) x) y",
    "field of a scalar CTE": "WITH x AS (SELECT 'a'::text) SELECT x.total FROM unnest(ARRAY['a']) AS x",
    "field renamed away": "SELECT x.trap FROM (SELECT 1 AS trap) AS x(a)",
    "field through a domain": "SELECT x.checked FROM unnest(ARRAY['a']) x",
    "connection": "SELECT x.dblink_connect FROM unnest(ARRAY['host=x']) x",
    "write": "SELECT x.dblink_exec FROM unnest(ARRAY['create table pwned(a int)']) x",
    "file": "SELECT x.crosstab2 FROM unnest(ARRAY['select 1']) x",
    "file removed": "SELECT x.pg_file_unlink FROM unnest(ARRAY['/tmp/nothing']) x",
    "overload": "SELECT lower(1)",
    "overload in a subquery": "SELECT * FROM (SELECT 1) x ORDER BY (SELECT lower(1))",
    "operator": "SELECT 1 === 2",
    "operator in any": "SELECT 1 === ANY (SELECT 2)",
    "operator of a schema in any": "SELECT 1 OPERATOR(public.===) ANY (SELECT 2)",
    "operator in order by": "SELECT 1 ORDER BY 1 USING OPERATOR(public.===)",
    "domain": "SELECT 'a'::checked",
    "array of the domain": "SELECT '{a}'::checked[]",
    "array by its own name": "SELECT '{a}'::_checked",
    "composite": "SELECT '(a)'::public.holding",
    "row of a table": 'SELECT json_populate_record(NULL::orders, \'{"part": "a"}\')',
    "column of a record": 'SELECT * FROM json_to_record(\'{"a": "x"}\') AS r(a checked)',
}


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("before", ["", "EXPLAIN ANALYZE "])
async def test_what_is_not_the_databases_own_is_refused(database, traps, sql, before):
    with pytest.raises(Refused) as refusal:
        await database.query(before + sql, 1)
    assert "it ran" not in refusal.value.message
    assert traps.execute("SELECT to_regclass('pwned')", "traps") == ""


HONEST = {
    "column": ("SELECT o.trap, o.pg_sleep FROM orders o", [3, "x"]),
    "column of a table by its schema": ("SELECT public.orders.total FROM public.orders", ["2.5"]),
    "column of a view": ("SELECT s.total, s.trap FROM safe AS s", ["2.5", 3]),
    "column of a subquery": ("SELECT s.total FROM (SELECT sum(id) AS total FROM orders) AS s", [1]),
    "column passed on": ("SELECT s.trap FROM (SELECT o.trap FROM orders o) AS s", [3]),
    "column of everything": ("SELECT s.trap FROM (SELECT * FROM orders) AS s", [3]),
    "column of a CTE": ("WITH s AS (SELECT 1 AS total) SELECT s.total FROM s", [1]),
    "column of a CTE by alias": ("WITH s(total) AS (SELECT 1) SELECT z.total FROM s AS z", [1]),
    "column of values": ("SELECT v.total FROM (VALUES (1)) AS v(total)", [1]),
    "column of a record": ("SELECT r.total FROM json_to_record('{\"total\": 1}') AS r(total int)", [1]),
    "without a dot": ("SELECT total FROM orders", ["2.5"]),
    "built-in by its schema": ("SELECT pg_catalog.lower('A'), 1 OPERATOR(pg_catalog.=) 1", ["a", True]),
    "harmless domain": ("SELECT 1::plain", [1]),
    "names of a known extension": (
        "SELECT replace('ab', 'b', 'x'), max(id), ARRAY[1] && ARRAY[1] FROM orders",
        None,
    ),
}


@pytest.mark.parametrize(("sql", "row"), HONEST.values(), ids=HONEST)
async def test_columns_and_built_in_names_still_run(database, sql, row):
    (found,) = (await database.query(sql, 10)).rows
    assert row is None or found == row


async def test_functions_that_are_named_may_be_called(traps):
    database = Postgres(traps.url("traps"), functions={"trap", "public.same"})
    await database.open()
    for sql in ("SELECT trap(1)", "SELECT x.trap FROM generate_series(1, 1) x", "SELECT 1 === 2"):
        with pytest.raises(Exception, match="it ran"):
            await database.query(sql, 1)
    await database.close()


SECRETS = [
    "TABLE pg_statistic",
    "SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'pg_authid'",
    "TABLE information_schema._pg_user_mappings",
    "TABLE pg_user_mappings",
    "TABLE pg_db_role_setting",
    "SELECT rolconfig FROM pg_roles",
    "SELECT useconfig FROM pg_user",
    "TABLE pg_settings",
    "TABLE pg_config",
    "TABLE pg_file_settings",
    "TABLE pg_hba_file_rules",
    "TABLE pg_stat_activity",
    "TABLE pg_stat_wal_receiver",
    "TABLE pg_foreign_server",
    "TABLE pg_subscription",
    "SHOW ALL",
    "SHOW hba_file",
    "SHOW primary_conninfo",
    "SHOW app.secret",
    "SELECT xpath('/a', '<a/>')",
    "SELECT * FROM xmltable('/a' PASSING '<a/>'::xml COLUMNS b text)",
    "SELECT xmlexists('/a' PASSING '<a/>'::xml)",
]


@pytest.mark.parametrize("sql", SECRETS)
async def test_what_tells_secrets_or_cannot_be_stopped_is_refused(database, sql):
    with pytest.raises(Refused):
        await database.query(sql, 1)


@pytest.mark.parametrize(
    "name", ["server_version", "TimeZone", "search_path", "transaction_read_only", "max_connections"]
)
async def test_harmless_settings_are_shown(database, name):
    assert (await database.query(f"SHOW {name}", 1)).row_count == 1
