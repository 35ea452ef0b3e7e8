"""SQLite under queries that are only expensive: each ends soon, with bounded memory, and the next one works."""

import asyncio
import os
import random
import resource
import sqlite3
import threading
import time

import pytest

from bascule import ConfigError, ToolError
from bascule.checks.sql_sqlite import renamed
from bascule.servers.sql import sqlite_thread
from bascule.servers.sql.database import Limits
from bascule.servers.sql.sample import make
from bascule.servers.sql.sqlite import MAX_HEAP, SQLite
from bascule.servers.sql.sqlite_functions import NAMES, PREFIX, Functions, restored


@pytest.fixture
def file(tmp_path):
    make(tmp_path / "shop.db")
    return tmp_path / "shop.db"


@pytest.fixture
async def database(file):
    database = SQLite(file, Limits(seconds=1.0))
    await database.open()
    yield database
    await database.close()


def exploding(how: str) -> str:
    links = "".join(f", a{n + 1} AS {how} (SELECT a.x FROM a{n} a, a{n} b)" for n in range(26))
    return f"WITH a0 AS (SELECT 1 x){links} SELECT count(*) FROM a26"


COSTLY = {
    "CTEs that multiply": exploding(""),
    "CTEs that multiply by wish": exploding("NOT MATERIALIZED"),
    "printf by a precision": "SELECT printf('%.*c', 2000000000, 'x')",
    "printf by a text": "SELECT printf('%.*c', '2000000000x', 'x')",
    "printf by a width": "SELECT printf('%2000000000d', 1)",
    "format, quoted": "SELECT \"format\" ('%0*d%*d', 2, 1, 2000000000, 1)",
    "instr": "SELECT instr(hex(zeroblob(500000)), hex(zeroblob(250000)) || '1')",
    "instr of blobs": "SELECT instr(zeroblob(1000000), zeroblob(500000) || x'01')",
    "replace": "SELECT length(replace(zeroblob(1000000), zeroblob(500000) || x'01', 'a'))",
    "trim": "SELECT length(trim(hex(zeroblob(500000)), printf('%.*c', 1, 'b') || hex(randomblob(400000))))",
    "json_patch": "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
    "SELECT json_patch(json_group_object('a' || i, i), json_group_object('b' || i, i)) FROM n",
    "wide rows": "SELECT " + ", ".join(["zeroblob(1000000)"] * 256),
    "one value many times": "SELECT " + ", ".join(["x"] * 256) + " FROM (SELECT zeroblob(1000000) AS x)",
    "a sort of blobs": "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) "
    "SELECT i, zeroblob(1000000) || i AS x FROM n ORDER BY x",
    "a union of all numbers": "WITH RECURSIVE n(i) AS (VALUES (1) UNION SELECT i + 1 FROM n) SELECT max(i) FROM n",
}


@pytest.mark.parametrize("sql", COSTLY.values(), ids=COSTLY)
async def test_what_is_only_expensive_ends_and_the_next_query_works(database, sql):
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        result = await database.query(sql, 1)
    except ToolError as error:
        assert error.message
    else:
        assert result.truncated or sql.startswith(("SELECT instr", "SELECT length"))
    assert time.monotonic() - began < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3 * MAX_HEAP // 1024
    assert (await database.query("SELECT 1", 1)).rows == [[1]]


async def test_ordinary_calls_keep_their_names_and_their_answers(database):
    result = await database.query(
        "SELECT instr('abc', 'c'), trim(' x '), "
        "\"replace\"('abc', 'b', 'xx'), printf('%05.1f|%-2s|%,d', 2.5, 'e', 1000), "
        "name FROM customers WHERE instr(name, 'Ada') = 1 ORDER BY id LIMIT 1",
        1,
    )
    assert result.rows == [[3, "x", "axxc", "002.5|e |1,000", "Ada Adler"]]
    assert [field.name for field in result.fields][:2] == ["instr('abc', 'c')", "trim(' x ')"]
    with pytest.raises(ToolError, match=r"wrong number of arguments to function instr\(\)"):
        await database.query("SELECT instr('a')", 1)


async def test_views_that_call_them_can_be_read(file):
    connection = sqlite3.connect(file)
    connection.execute("CREATE VIEW initials AS SELECT replace(trim(name), 'Ada', 'A.') AS name FROM customers")
    connection.close()
    database = SQLite(file)
    await database.open()
    assert (await database.query("SELECT upper(trim(name)) FROM initials LIMIT 1", 1)).rows == [["A. ADLER"]]
    await database.close()


VALUES = (
    "NULL|1|-12|1.5|''|' '|'  ab '|'aXbXc'|'X'|'ab'|x''|x'6162'|x'00ff'|'é€😀é'|'é'|char(0)|'a' || char(0) || 'b'|"
    "'%d;%5.2f;%s'|'%*d'|'%-10s;%c'|'%,d'|'%%%q'|'{\"a\":1}'|'{\"a\":null}'|'İ'|'%.*c'|'%n%d'|'%!5.3s'|'4x'|'  \t x'"
).split("|")


def test_stand_ins_answer_as_sqlite_does():
    chance = random.Random(7)
    connection = sqlite3.connect(":memory:")
    functions = Functions(lambda: 0)
    functions.install(connection)

    def answer(sql: str) -> object:
        try:
            return connection.execute(sql).fetchone()
        except sqlite3.Error:
            return "an error"

    for _ in range(5000):
        name, count = chance.choice(sorted(NAMES)), chance.choice((0, 1, 2, 2, 3, 3, 4))
        call = f"{name}({', '.join(chance.choices(VALUES, k=count))})"
        sql = f"SELECT {call}, typeof({call}), hex({call})"
        assert answer(renamed(sql, NAMES, PREFIX)) == answer(sql), sql
        assert restored(renamed(sql, NAMES, PREFIX)).lower() == sql.lower()
    functions.close()
    connection.close()


async def test_a_thread_that_is_stuck_is_replaced_and_ends_by_itself(file):
    database = SQLite(file, Limits(seconds=0.05, concurrency=1))
    await database.open()
    release = threading.Event()
    with pytest.raises(ToolError, match="stopped"):
        await database._call(lambda _connection: release.wait(10))
    assert (await database.query("SELECT 1", 1)).rows == [[1]]
    threads = [thread for thread in threading.enumerate() if thread.name == "bascule-sqlite"]
    assert len(threads) == 2
    release.set()
    async with asyncio.timeout(5):
        while sum(thread.is_alive() for thread in threads) > 1:
            await database.query("SELECT 1", 1)
    assert (await database.query("SELECT 1", 1)).rows == [[1]]
    await database.close()


async def test_stuck_threads_are_bounded(file, monkeypatch):
    monkeypatch.setattr(sqlite_thread, "_GRACE", 0.01)
    database = SQLite(file, Limits(seconds=0.01, concurrency=1))
    await database.open()
    release = threading.Event()
    for _ in range(9):
        with pytest.raises(ToolError, match="stopped"):
            await database._call(lambda _connection: release.wait(30))
    with pytest.raises(ToolError, match="Too many"):
        await database.query("SELECT 1", 1)
    release.set()
    await database.close()


async def test_a_view_or_table_that_cannot_be_read_says_so_and_spoils_nothing(tmp_path):
    path = tmp_path / "broken.db"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t (a); CREATE VIEW v AS SELECT * FROM gone; PRAGMA writable_schema = 1;")
    connection.execute(
        "INSERT INTO sqlite_master VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(a)')"
    )
    connection.commit()
    connection.close()
    database = SQLite(path)
    await database.open()
    found = {table.name: table for table in await database.schema()}
    assert [column.name for column in found["t"].columns] == ["a"]
    assert found["v"].columns == found["vec"].columns == []
    assert "no such table: main.gone" in (found["v"].description or "")
    assert "no such module: vec0" in (found["vec"].description or "")
    assert {table.name for table in await database.tables()} == {"t", "v", "vec"}
    await database.close()


async def test_a_file_in_wal_mode_can_be_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    path = tmp_path / "log.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t AS SELECT 1 AS a;")
    connection.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    database = SQLite(path)
    await database.open()
    assert (await database.query("SELECT a FROM t", 1)).rows == [[1]]
    await database.close()
    assert [one.name for one in tmp_path.iterdir()] == ["log.db"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "missing"])
async def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "x.db"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="does not name a file"):
        await SQLite(path).open()
