"""SQLite: what comes back, what stops, and what nothing can change."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from bascule import ConfigError, ToolError
from bascule.checks.sql import Refused, Statement
from bascule.servers.sql.database import Limits
from bascule.servers.sql.sample import Sample, make
from bascule.servers.sql.sqlite import MAX_CELL, SQLite

FOREVER = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A shop, with some odd things besides, at a path that must be quoted."""
    path = tmp_path_factory.mktemp("a b?#%") / "it's 100%.db"
    make(path)
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE odd ("a b" ANY, ü TEXT DEFAULT 'x''y', UNIQUE ("a b", ü));
        CREATE VIEW recent AS SELECT * FROM orders WHERE ordered_on > '2025-06-01';
        CREATE TABLE plain (k TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE VIRTUAL TABLE notes USING fts5(body);
        INSERT INTO notes VALUES ('hello world');
        """
    )
    connection.execute("INSERT INTO odd VALUES (?, ?)", (b"\xff", sqlite3.Binary(b"x")))
    connection.execute("CREATE TABLE bad AS SELECT CAST(x'ff41' AS TEXT) AS t")
    connection.commit()
    connection.close()
    return path


@pytest.fixture
async def sqlite(file):
    database = SQLite(file, Limits(seconds=5.0))
    await database.open()
    yield database
    await database.close()


@pytest.mark.parametrize(
    ("expression", "value", "kind"),
    [
        ("NULL", None, "null"),
        ("1", 1, "integer"),
        ("9007199254740993", "9007199254740993", "integer"),
        ("1.5", 1.5, "real"),
        ("9e999", "Infinity", "real"),
        ("-9e999", "-Infinity", "real"),
        ("'ü'", "ü", "text"),
        ("x'dead'", "X'DEAD'", "blob"),
        ("zeroblob(2)", "X'0000'", "blob"),
        ("json('[1, 2]')", "[1,2]", "text"),
    ],
)
async def test_every_type_arrives_exactly(sqlite, expression, value, kind):
    result = await sqlite.query(f"SELECT {expression} AS v", 1)
    assert (result.rows, result.fields[0].type) == ([[value]], kind)


async def test_text_that_is_not_valid_is_mended(sqlite):
    assert (await sqlite.query("SELECT t FROM bad", 1)).rows == [["\ufffdA"]]


async def test_columns_keep_their_order_and_may_share_a_name(sqlite):
    result = await sqlite.query("SELECT 1 AS a, 'x' AS b, 2 AS a UNION ALL SELECT 'y', 'z', NULL", 10)
    assert [(field.name, field.type) for field in result.fields] == [("a", "any"), ("b", "text"), ("a", "integer")]
    assert result.rows == [[1, "x", 2], ["y", "z", None]]


HONEST = {
    "trailing semicolon and comment": ("SELECT 1 ; -- done", [[1]]),
    "values": ("VALUES (1, 'a'), (2, 'b')", [[1, "a"], [2, "b"]]),
    "own limit": ("SELECT id FROM customers ORDER BY id LIMIT 2 OFFSET 1", [[2], [3]]),
    "cte": ("WITH a AS (SELECT 1 AS x) SELECT x + 1 FROM a", [[2]]),
    "recursive cte": (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
        [[15]],
    ),
    "window": ("SELECT id, rank() OVER (ORDER BY id DESC) FROM customers ORDER BY id LIMIT 1", [[1, 300]]),
    "json": ("SELECT '{\"a\": [1, 2]}' ->> '$.a[1]', value FROM json_each('[7]')", [[2, 7]]),
    "filter": ("SELECT count(*) FILTER (WHERE id > 290), group_concat(1) FROM customers WHERE id > 298", [[2, "1,1"]]),
    "dates": ("SELECT strftime('%Y-%m', '2024-05-17'), date('2024-01-31', '+1 month')", [["2024-05", "2024-03-02"]]),
    "like and glob": ("SELECT 'Abc' LIKE 'a%', 'Abc' GLOB 'A*', upper('x') COLLATE NOCASE", [[1, 1, "X"]]),
    "union": ("SELECT 1 AS a UNION SELECT 2 EXCEPT SELECT 1", [[2]]),
    "full text": ("SELECT highlight(notes, 0, '<', '>') FROM notes WHERE notes MATCH 'world'", [["hello <world>"]]),
    "catalogue": ("SELECT count(*) FROM sqlite_master WHERE name = 'orders'", [[1]]),
    "pragma function": ("SELECT name FROM pragma_table_info('products') WHERE pk", [["id"]]),
    "semicolon in text": ("SELECT ';', \"name\" FROM customers WHERE id = 1", [[";", "Ada Adler"]]),
}


@pytest.mark.parametrize(("sql", "rows"), HONEST.values(), ids=HONEST)
async def test_honest_queries_run(sqlite, sql, rows):
    assert (await sqlite.query(sql, 10)).rows == rows


async def test_explain_runs(sqlite):
    assert (await sqlite.query("EXPLAIN QUERY PLAN SELECT * FROM orders", 5)).rows[0][-1].startswith("SCAN")


async def test_limit_and_byte_cap_cut_whole_rows_and_say_so(file):
    database = SQLite(file, Limits(max_bytes=10_000))
    await database.open()
    cut = await database.query("SELECT id FROM customers", 299)
    whole = await database.query("SELECT id FROM customers", 300)
    wide = await database.query("SELECT id, printf('%.*c', 3000, 'x') FROM customers", 100)
    await database.close()
    assert (cut.row_count, cut.truncated, whole.row_count, whole.truncated) == (299, True, 300, False)
    assert (wide.row_count, wide.truncated) == (3, True)
    assert "10000 bytes" in str(wide.note)


async def test_a_huge_cell_is_refused_by_the_engine(sqlite):
    with pytest.raises(ToolError, match=str(MAX_CELL)):
        await sqlite.query("SELECT zeroblob(500000000)", 1)
    with pytest.raises(ToolError, match="larger than"):
        await sqlite.query("SELECT group_concat(printf('%.*c', 100000, 'x')) FROM orders", 1)


async def test_a_row_of_too_many_columns_is_refused_but_never_a_table_of_them(tmp_path):
    connection = sqlite3.connect(tmp_path / "wide.db")
    connection.execute(f"CREATE TABLE wide ({', '.join(f'c{number}' for number in range(300))})")
    connection.close()
    database = SQLite(tmp_path / "wide.db")
    await database.open()
    assert len((await database.query("SELECT * FROM wide", 1)).fields) == 300
    with pytest.raises(ToolError, match="too many columns"):
        await database.query("SELECT *, 1 FROM wide", 1)
    await database.close()


async def test_a_table_with_a_huge_cell_can_be_read_but_for_that_cell(tmp_path):
    connection = sqlite3.connect(tmp_path / "big.db")
    connection.execute("CREATE TABLE big AS SELECT 1 AS id, zeroblob(5000000) AS data, 'x' AS name")
    connection.commit()
    connection.close()
    database = SQLite(tmp_path / "big.db")
    await database.open()
    assert (await database.query("SELECT id, length(data), name FROM big", 1)).rows == [[1, 5000000, "x"]]
    with pytest.raises(ToolError, match=str(MAX_CELL)):
        await database.query("SELECT data FROM big", 1)
    await database.close()


async def test_the_time_out_stops_a_query_and_the_connection_works_afterwards(file):
    database = SQLite(file, Limits(seconds=0.1, concurrency=1))
    await database.open()
    with pytest.raises(ToolError, match=r"stopped after 0.1 s"):
        await database.query(FOREVER, 1)
    assert (await database.query("SELECT 1", 1)).rows == [[1]]
    await database.close()


async def test_cancelling_the_task_stops_the_query(file):
    database = SQLite(file, Limits(seconds=60, concurrency=1))
    await database.open()
    task = asyncio.create_task(database.query(FOREVER, 1))
    await asyncio.wait([task], timeout=0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        assert (await database.query("SELECT 1", 1)).rows == [[1]]
    await database.close()


async def test_closing_stops_what_runs_and_ends_its_threads(file):
    database = SQLite(file, Limits(seconds=60))
    await database.open()
    task = asyncio.create_task(database.query(FOREVER, 1))
    await asyncio.wait([task], timeout=0.05)
    await database.close()
    with pytest.raises(ToolError, match="stopped"):
        await task
    assert not [thread for thread in threading.enumerate() if thread.name == "bascule-sqlite"]


async def test_queries_run_side_by_side_and_never_more_than_allowed(file):
    database = SQLite(file, Limits(concurrency=2))
    await database.open()
    results = await asyncio.gather(*(database.query(f"SELECT {number}", 1) for number in range(20)))
    threads = [thread for thread in threading.enumerate() if thread.name == "bascule-sqlite"]
    await database.close()
    assert [result.rows[0][0] for result in results] == list(range(20))
    assert len(threads) == 2


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nam FROM customers", "no such column: nam"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT FROM", "syntax error"),
        ("SELECT ?", "have no value"),
        ("SELECT :name", "have no value"),
    ],
)
async def test_mistakes_are_explained(sqlite, sql, words):
    with pytest.raises(ToolError, match=words):
        await sqlite.query(sql, 1)


WRITES = [
    "INSERT INTO customers VALUES (999, 'x', 'x', 'x', 'x', 'x')",
    "UPDATE customers SET name = 'x'",
    "DELETE FROM orders",
    "DROP TABLE orders",
    "CREATE TABLE made (a)",
    "CREATE TEMP TABLE made (a)",
    "REPLACE INTO products VALUES (1, 'x', 'x', 1, 1)",
    "WITH a AS (SELECT 1) DELETE FROM orders",
    "EXPLAIN DELETE FROM orders",
    "ATTACH DATABASE 'made.db' AS made",
    "VACUUM INTO 'made.db'",
    "PRAGMA writable_schema = ON",
    "PRAGMA query_only = OFF",
    "UPDATE sqlite_master SET sql = ''",
    "BEGIN IMMEDIATE",
    "REINDEX",
    "SELECT 1; DELETE FROM orders",
    "SELECT load_extension('made')",
    "SELECT writefile('made.db', 'x')",
    "SELECT fts3_tokenizer('simple')",
]


@pytest.mark.parametrize("sql", WRITES)
async def test_writes_are_refused(file, sqlite, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = file.read_bytes()
    with pytest.raises(ToolError):
        await sqlite.query(sql, 1)
    assert file.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sql", WRITES)
async def test_the_engine_refuses_writes_even_where_the_check_is_passed_by(file, sqlite, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = file.read_bytes()
    with pytest.raises(ToolError):
        await sqlite.run(Statement("rows", sql), 1)
    assert file.read_bytes() == before
    assert not list(tmp_path.iterdir())
    assert (await sqlite.query("SELECT count(*) FROM orders", 1)).rows == [[1500]]


async def test_a_refusal_does_not_stick_to_the_next_mistake(sqlite):
    with pytest.raises(Refused):
        await sqlite.query("SELECT load_extension('x')", 1)
    with pytest.raises(ToolError, match="no such column"):
        await sqlite.query("SELECT nam FROM customers", 1)


async def test_the_file_itself_is_opened_for_reading_only(file):
    database = SQLite(file)
    await database.open()

    def write(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")
        connection.execute("DELETE FROM orders")

    with pytest.raises(ToolError, match="readonly database"):
        await database._call(write)
    await database.close()


async def test_schemas_have_columns_defaults_and_keys(sqlite):
    found = {table.name: table for table in await sqlite.schema()}
    lines = found["order_lines"]
    assert lines.primary_key == ["order_id", "line"]
    assert [(key.columns, key.references, key.referenced_columns) for key in lines.foreign_keys] == [
        (["order_id"], "orders", ["id"]),
        (["product_id"], "products", ["id"]),
    ]
    assert (lines.row_estimate or 0) > 3000
    assert found["odd"].unique_keys == [["a b", "ü"]]
    assert found["odd"].columns[1].default == "'x''y'"
    assert (found["recent"].kind, found["recent"].row_estimate) == ("view", None)
    assert found["customers"].unique_keys == [["email"]]
    assert [table.name for table in await sqlite.schema("odd")] == ["odd"]
    assert await sqlite.schema("no'such\"table") == []
    assert {"orders", "recent", "plain"} <= {table.name for table in await sqlite.tables()}


@pytest.mark.parametrize("content", [None, b"not a database, but long enough to have a header of its own" * 20])
async def test_what_is_no_database_is_refused_at_start(tmp_path, content):
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be opened|does not name a file"):
        await SQLite(path).open()
    assert path.exists() == (content is not None)


async def test_the_sample_is_private_the_same_every_time_and_gone_at_the_end():
    answers = []
    for _ in range(2):
        sample = Sample()
        await sample.open()
        directory = sample._path.parent
        assert directory.stat().st_mode & 0o777 == 0o700
        answers.append(await sample.query("SELECT count(*), sum(quantity * unit_price) FROM order_lines", 1))
        await sample.close()
        assert not directory.exists()
    assert answers[0] == answers[1]
    assert answers[0].rows[0][0] > 3000
