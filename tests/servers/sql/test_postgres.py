"""PostgreSQL, a real one: what comes back, what stops, and what nothing can change."""

import asyncio

import pytest

from bascule import ToolError
from bascule.checks.sql import Refused, Statement
from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres import Postgres
from tests.postgres import Cluster


async def row(postgres, sql):
    (only,) = (await postgres.query(sql, 10)).rows
    return only


async def opened(cluster: Cluster, **limits):
    database = Postgres(cluster.url("shop"), Limits(**limits))
    await database.open()
    return database


TYPES = {
    "null": ("NULL", None),
    "bool": ("true", True),
    "int2": ("7::int2", 7),
    "int8 small": ("9007199254740992::int8", 9007199254740992),
    "int8 large": ("9007199254740993::int8", "9007199254740993"),
    "numeric": ("12.50::numeric", "12.50"),
    "numeric nan": ("'NaN'::numeric", "NaN"),
    "numeric huge": ("1e30::numeric", "1" + "0" * 30),
    "float4": ("0.1::float4", 0.1),
    "float4 nan": ("'NaN'::float4", "NaN"),
    "float8": ("1e300::float8", 1e300),
    "float8 infinity": ("'-Infinity'::float8", "-Infinity"),
    "text": ("'it''s ü'", "it's ü"),
    "date": ("date '2024-02-29'", "2024-02-29"),
    "date bc": ("date '0044-03-15 BC'", "0044-03-15 BC"),
    "date infinity": ("'infinity'::date", "infinity"),
    "time": ("time '12:34:56.789'", "12:34:56.789"),
    "timestamp": ("timestamp '2024-01-01 12:00'", "2024-01-01 12:00:00"),
    "timestamp infinity": ("'-infinity'::timestamp", "-infinity"),
    "timestamptz": ("timestamptz '2024-01-01 12:00+00' AT TIME ZONE 'utc'", "2024-01-01 12:00:00"),
    "interval months": ("interval '1 month 2 days'", "1 mon 2 days"),
    "interval year": ("interval '-14 months'", "-1 years -2 mons"),
    "bytea": ("'\\xdeadbeef'::bytea", "\\xdeadbeef"),
    "json": ("'{\"a\": [1, null]}'::json", {"a": [1, None]}),
    "jsonb": ("'[12345678901234567890, 1.5]'::jsonb", ["12345678901234567890", 1.5]),
    "json scalar": ("'\"x\"'::jsonb", "x"),
    "uuid": ("'00000000-0000-0000-0000-000000000001'::uuid", "00000000-0000-0000-0000-000000000001"),
    "inet": ("'10.0.0.1/8'::inet", "10.0.0.1/8"),
    "int array": ("ARRAY[1, NULL, 3]", [1, None, 3]),
    "nested array": ("'{{1,2},{3,9007199254740993}}'::int8[]", [[1, 2], [3, "9007199254740993"]]),
    "text array": ("ARRAY['a,b', '\"', '{}']", ["a,b", '"', "{}"]),
    "numeric array": ("ARRAY[1.50, 'NaN']::numeric[]", ["1.50", "NaN"]),
    "float array": ("ARRAY['Infinity', 0.5]::float8[]", ["Infinity", 0.5]),
    "bool array": ("ARRAY[true, false]", [True, False]),
    "date array": ("ARRAY[date '0001-01-01 BC']", ["0001-01-01 BC"]),
    "json array": ("ARRAY['{\"a\": 1}'::jsonb]", [{"a": 1}]),
    "empty array": ("'{}'::int[]", []),
    "range": ("int4range(1, 5)", "[1,5)"),
    "range infinite": ("tsrange('-infinity', NULL)", "[-infinity,)"),
    "multirange": ("'{[1,2),[4,5)}'::int4multirange", "{[1,2),[4,5)}"),
    "enum": ("'sad'::mood", "sad"),
    "enum array": ("ARRAY['sad', 'ok']::mood[]", ["sad", "ok"]),
    "composite": ("('x', 1)::address", "(x,1)"),
    "record": ("ROW(1, 'a')", "(1,a)"),
    "type named like a built-in one": ("ROW('x')::hidden.int4", "(x)"),
    "array of such": ("ARRAY[ROW('x')::hidden.int4]", ["(x)"]),
    "regclass": ("'customers'::regclass", "customers"),
    "money": ("12::money", "$12.00"),
    "xml": ("'<a/>'::xml", "<a/>"),
    "point": ("point(1, 2)", "(1,2)"),
    "tsvector": ("'a b'::tsvector", "'a' 'b'"),
    "bit": ("B'101'", "101"),
    "int2vector": ("'1 2'::int2vector", [1, 2]),
    "oidvector": ("'3 4'::oidvector", [3, 4]),
    "json almost zero": ("'[1e-400, 0.0, -0]'::json", ["1e-400", 0.0, 0]),
}


@pytest.mark.parametrize(("expression", "value"), TYPES.values(), ids=TYPES)
async def test_every_type_arrives_exactly(postgres, expression, value):
    assert await row(postgres, f"SELECT {expression} AS value") == [value]


async def test_fields_name_each_column_its_type_and_its_number(postgres):
    result = await postgres.query("SELECT 1::int8 AS a, 1.5 AS b, ARRAY['sad'::mood] AS c", 1)
    assert [(field.name, field.type) for field in result.fields] == [("a", "int8"), ("b", "numeric"), ("c", "mood[]")]
    assert [field.data_type_id for field in result.fields][:2] == [20, 1700]


async def test_columns_keep_their_order_and_may_share_a_name(postgres):
    result = await postgres.query("SELECT 1 AS a, 'x' AS b, 2 AS a, 3 AS \"?\", 4", 10)
    assert [field.name for field in result.fields] == ["a", "b", "a", "?", "?column?"]
    assert result.rows == [[1, "x", 2, 3, 4]]


async def test_rows_keep_their_order(postgres):
    result = await postgres.query("SELECT g FROM generate_series(1, 5000) g ORDER BY g % 7 DESC, g", 1000)
    assert [one[0] for one in result.rows] == sorted(range(1, 5001), key=lambda g: (-(g % 7), g))[:1000]


async def test_a_query_without_columns_has_rows(postgres):
    assert (await postgres.query("SELECT FROM customers", 2)).rows == [[], []]


HONEST = {
    "trailing semicolon and comment": ("SELECT 1 ; -- done", [[1]]),
    "comment at the end": ("SELECT 1 -- no newline", [[1]]),
    "parentheses": ("((SELECT 1) UNION (SELECT 2)) ORDER BY 1", [[1], [2]]),
    "values": ("VALUES (1, 'a'), (2, 'b')", [[1, "a"], [2, "b"]]),
    "own limit": ("SELECT id FROM customers ORDER BY id LIMIT 2 OFFSET 1", [[2], [3]]),
    "cte": ("WITH a AS (SELECT 1 AS x) SELECT x + 1 FROM a", [[2]]),
    "recursive cte": (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
        [[15]],
    ),
    "window": (
        "SELECT id, rank() OVER (ORDER BY id DESC) FROM customers ORDER BY id LIMIT 2",
        [[1, 50], [2, 49]],
    ),
    "percentile": ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM customers", [[25.5]]),
    "lateral": (
        "SELECT c.id, o.total FROM customers c, LATERAL "
        "(SELECT total FROM orders WHERE customer_id = c.id ORDER BY total DESC LIMIT 1) o ORDER BY 1 LIMIT 1",
        [[1, "950.25"]],
    ),
    "json": (
        "SELECT profile->>'tier', profile->'tags' FROM customers WHERE profile @> '{\"tier\": 1}' LIMIT 1",
        [["1", ["a"]]],
    ),
    "grouping sets": (
        "SELECT id % 2, count(*) FROM customers GROUP BY GROUPING SETS ((id % 2), ()) ORDER BY 1",
        [[0, 25], [1, 25], [None, 50]],
    ),
    "distinct on": ("SELECT DISTINCT ON (id % 2) id % 2, id FROM customers ORDER BY 1, 2 DESC", [[0, 50], [1, 49]]),
    "filter": (
        "SELECT count(*) FILTER (WHERE id > 40), string_agg(name, ',') FILTER (WHERE id < 3) FROM customers",
        [[10, "c1,c2"]],
    ),
    "date_trunc": ("SELECT date_trunc('month', date '2024-05-17')::date", [["2024-05-01"]]),
    "ilike and regex": (
        "SELECT 'Abc' ILIKE 'a%', 'Abc' ~* '^a', regexp_replace('abc', 'b', 'x')",
        [[True, True, "axc"]],
    ),
    "casts": ("SELECT '5'::int + CAST('1' AS int)", [[6]]),
    "union": ("SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a DESC", [[2], [1]]),
    "show": ("SHOW search_path", [["pg_catalog, public, pg_temp"]]),
    "quoted by dollars": ("SELECT $$it's; -- $$", [["it's; -- "]]),
    "backslash is plain": ("SELECT 'a\\'", [["a\\"]]),
    "view": ("SELECT count(*) > 0 FROM big_orders", [[True]]),
    "whole row": ("SELECT c IS NOT NULL FROM customers c LIMIT 1", [[True]]),
    "catalogue": ("SELECT count(*) FROM information_schema.tables WHERE table_name = 'orders'", [[1]]),
}


@pytest.mark.parametrize(("sql", "rows"), HONEST.values(), ids=HONEST)
async def test_honest_queries_run(postgres, sql, rows):
    assert (await postgres.query(sql, 100)).rows == rows


async def test_table_and_explain_run(postgres):
    assert (await postgres.query("TABLE customers", 5)).row_count == 5
    assert "Aggregate" in (await postgres.query("EXPLAIN ANALYZE SELECT count(*) FROM orders", 5)).rows[0][0]
    plan = await postgres.query("EXPLAIN (FORMAT JSON) SELECT 1", 5)
    assert plan.rows[0][0][0]["Plan"]["Node Type"] == "Result"


async def test_the_limit_reads_one_row_more_and_says_so(postgres):
    cut = await postgres.query("SELECT id FROM customers", 49)
    whole = await postgres.query("SELECT id FROM customers", 50)
    assert (cut.row_count, cut.truncated) == (49, True)
    assert (whole.row_count, whole.truncated) == (50, False)
    assert cut.note == "Only the first 49 rows are shown; there are more."


async def test_the_byte_cap_cuts_whole_rows_and_says_so(shop):
    database = await opened(shop, max_bytes=10_000)
    result = await database.query("SELECT g, repeat('x', 3000) FROM generate_series(1, 9) g", 100)
    await database.close()
    assert [one[0] for one in result.rows] == [1, 2, 3]
    assert result.truncated
    assert "10000 bytes" in str(result.note)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 50000000)",
        "SELECT array_fill(1, ARRAY[5000000])",
        "SELECT 1, string_agg(repeat('x', 1000), '') FROM generate_series(1, 20000)",
    ],
)
async def test_a_huge_cell_is_left_out_and_never_fetched(postgres, sql):
    result = await postgres.query(sql, 10)
    assert (result.rows, result.truncated) == ([], True)
    assert "first alone" in str(result.note)


@pytest.mark.parametrize("sql", ["SELECT repeat('x', 50000000)::int", "EXPLAIN VERBOSE SELECT repeat('x', 50000000)"])
async def test_what_cannot_be_wrapped_is_cut_off_on_the_wire(postgres, sql):
    with pytest.raises(ToolError, match="too large"):
        await postgres.query(sql, 10)
    assert await row(postgres, "SELECT 1") == [1]


async def test_the_time_out_stops_a_query_and_the_connection_works_afterwards(shop):
    database = await opened(shop, seconds=0.2, concurrency=1)
    with pytest.raises(ToolError, match=r"stopped after 0.2 s"):
        await database.query("SELECT count(*) FROM generate_series(1, 1000000000000)", 1)
    with pytest.raises(ToolError, match="stopped"):
        await database.run(Statement("rows", "SELECT pg_sleep(60)"), 1)
    assert (await database.query("SELECT 1", 1)).rows == [[1]]
    await database.close()


async def test_cancelling_the_task_cancels_the_query(shop, postgres):
    async def running() -> int:
        activity = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE state = 'active' AND query LIKE '%marker_7%' AND pid <> pg_backend_pid()"
        )
        return (await postgres.run(Statement("rows", activity), 1)).rows[0][0]

    database = await opened(shop, concurrency=1)
    task = asyncio.create_task(database.query("SELECT count(*) AS marker_7 FROM generate_series(1, 1000000000000)", 1))
    async with asyncio.timeout(5):
        while not await running():
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await running():
            pass
    assert (await database.query("SELECT 1", 1)).rows == [[1]]
    await database.close()


async def test_more_queries_than_connections_wait_their_turn(shop):
    database = await opened(shop, concurrency=2)
    results = await asyncio.gather(*(database.query(f"SELECT {number}", 1) for number in range(20)))
    await database.close()
    assert [result.rows[0][0] for result in results] == list(range(20))


async def test_the_database_explains_mistakes_in_its_own_words(postgres):
    with pytest.raises(ToolError) as missing:
        await postgres.query("SELECT id,\n  nam FROM customers", 1)
    assert 'column "nam" does not exist (line 2, column 3)' in missing.value.message
    assert 'Hint: Perhaps you meant to reference the column "customers.name"' in missing.value.message
    with pytest.raises(ToolError, match="division by zero"):
        await postgres.query("SELECT 1 / 0", 1)
    assert await row(postgres, "SELECT 1") == [1]


async def test_a_type_that_the_driver_cannot_read_is_told(postgres):
    unreadable = "SELECT most_common_vals FROM pg_stats LIMIT 1"
    with pytest.raises(ToolError, match="cast it"):
        await postgres.run(Statement("rows", unreadable), 1)
    cast = unreadable.replace("vals", "vals::text")
    assert (await postgres.run(Statement("rows", cast), 1)).row_count == 1


WRITES = [
    "INSERT INTO customers VALUES (999, 'x')",
    "UPDATE customers SET name = 'x'",
    "DELETE FROM orders",
    "TRUNCATE orders",
    "CREATE TABLE made (a int)",
    "CREATE TEMP TABLE made (a int)",
    "SELECT nextval('numbers')",
    "SELECT * INTO made FROM customers",
    "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x",
    "SELECT * FROM customers FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "SELECT query_to_xml('DELETE FROM orders', true, true, '')",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SET TRANSACTION READ WRITE; INSERT INTO customers VALUES (999, 'x')",
    "COMMIT; INSERT INTO customers VALUES (999, 'x')",
    "ROLLBACK; DELETE FROM orders",
    "SELECT 1) AS t; DELETE FROM orders; --",
]
STATE = (
    "SELECT (SELECT count(*) FROM customers) || ' ' || (SELECT count(*) FROM orders) || ' ' "
    "|| (SELECT count(*) FROM customers WHERE name = 'x') || ' ' || (SELECT last_value FROM numbers) || ' ' "
    "|| (SELECT count(*) FROM pg_class WHERE relname = 'made')"
)
UNCHANGED = "50 2000 0 1 0"


@pytest.mark.parametrize("sql", WRITES)
async def test_writes_are_refused_before_they_run(shop, postgres, sql):
    with pytest.raises(Refused):
        await postgres.query(sql, 1)
    assert shop.execute(STATE, "shop") == UNCHANGED


@pytest.mark.parametrize("kind", ["rows", "plan"])
@pytest.mark.parametrize("sql", WRITES)
async def test_the_engine_refuses_writes_even_where_the_check_is_passed_by(shop, postgres, sql, kind):
    with pytest.raises(ToolError):
        await postgres.run(Statement(kind, sql), 1)
    assert shop.execute(STATE, "shop") == UNCHANGED
    assert await row(postgres, "SELECT 1") == [1]


async def test_read_write_set_by_one_query_does_not_reach_the_next(shop):
    database = await opened(shop, concurrency=1)
    for sql in (
        "SET TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "COMMIT",
        "SET search_path = hidden",
    ):
        await database.run(Statement("plan", sql), 1)
        with pytest.raises(ToolError, match="read-only transaction"):
            await database.run(Statement("plan", "INSERT INTO customers VALUES (999, 'x')"), 1)
    assert (await database.query("SHOW search_path", 1)).rows == [["pg_catalog, public, pg_temp"]]
    await database.close()
    assert shop.execute(STATE, "shop") == UNCHANGED


async def test_tables_are_those_of_the_search_path(postgres):
    found = {table.name: table for table in await postgres.tables()}
    assert sorted(found) == ["big_orders", "customers", "orders"]
    assert (found["orders"].kind, found["orders"].row_estimate) == ("table", 2000)
    assert (found["big_orders"].kind, found["big_orders"].row_estimate) == ("view", None)
    assert found["orders"].description == "One row per order."


async def test_a_schema_has_columns_defaults_and_keys(postgres):
    (orders,) = await postgres.schema("orders")
    (customers,) = await postgres.schema("customers")
    columns = {column.name: column for column in orders.columns}
    assert list(columns) == ["id", "customer_id", "ordered_on", "total"]
    assert (columns["total"].type, columns["total"].nullable) == ("numeric(10,2)", False)
    assert columns["total"].description == "In euros."
    assert columns["ordered_on"].default == "CURRENT_DATE"
    assert (orders.primary_key, customers.unique_keys) == (["id"], [["email"]])
    (key,) = orders.foreign_keys
    assert (key.columns, key.references, key.referenced_columns) == (["customer_id"], "customers", ["id"])
    assert [column.nullable for column in customers.columns] == [False, False, True, True]


async def test_an_unknown_table_has_no_schema(postgres):
    assert await postgres.schema("no'such\"table") == []
    assert len(await postgres.schema()) == 3


async def test_schemas_can_be_named(shop):
    database = Postgres(shop.url("shop"), schemas=["public", "hidden"])
    await database.open()
    assert [table.name for table in await database.schema("ledger")] == ["ledger"]
    assert (await database.query("SELECT * FROM ledger", 1)).rows == []
    await database.close()


async def test_a_role_sees_only_what_it_may_read(shop):
    database = Postgres(shop.url("shop", "reader", "reader-secret"))
    await database.open()
    assert [table.name for table in await database.tables()] == ["customers"]
    with pytest.raises(ToolError, match="permission denied"):
        await database.query("SELECT * FROM orders", 1)
    await database.close()
