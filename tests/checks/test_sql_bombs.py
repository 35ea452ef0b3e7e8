"""Short texts that cost much: what the checks refuse before a database sees it, and what the checks themselves cost."""

import sqlite3
import time

import pytest

from bascule.checks import sql_postgres, sql_sqlite
from bascule.checks.sql import Refused


def nested(levels: int, expression: str = "x + x", inner: str = "SELECT id AS x FROM t") -> str:
    text = inner
    for level in range(levels):
        text = f"SELECT {expression} AS x FROM ({text}) AS s{level}"
    return text


def chained(levels: int, how: str, source: str) -> str:
    links = "".join(f", a{level + 1} AS {how} ({source.format(f'a{level}')})" for level in range(levels))
    return f"WITH a0 AS (SELECT 1 AS x){links} SELECT * FROM a{levels}"


def wrapped(levels: int, text: str, start: str = "x") -> str:
    for _ in range(levels):
        start = text.format(start)
    return f"SELECT {start} FROM t"


GROWING = {
    "subqueries": nested(20),
    "subqueries behind a cast": nested(20, "(x + x)::int"),
    "arrays": nested(20, "(ARRAY[x, x])[1]"),
    "distinct": nested(20, "DISTINCT x + x"),
    "a list": nested(3, "ARRAY[" + ",".join("x" * 60) + "]"),
    "scalar subqueries": nested(18, "(SELECT x + x)"),
    "CTEs": chained(20, "", "SELECT x + x AS x FROM {}"),
    "CTEs with aliases": "WITH a(y) AS (SELECT 1)"
    + "".join(f", a{n}(y) AS (SELECT y + y FROM {f'a{n - 1}' if n else 'a'})" for n in range(20))
    + " SELECT * FROM a19",
    "lateral": "SELECT * FROM (SELECT id AS x0 FROM t) q"
    + "".join(f", LATERAL (SELECT x{n} + x{n} AS x{n + 1}) q{n}" for n in range(20)),
    "lateral values": "SELECT * FROM (SELECT id AS x0 FROM t) q"
    + "".join(f", LATERAL (VALUES (x{n} + x{n})) q{n}(x{n + 1})" for n in range(20)),
    "between": wrapped(20, "({} BETWEEN 0 AND 1)::int"),
    "between symmetric": wrapped(10, "({} BETWEEN SYMMETRIC 0 AND 1)::int"),
    "in": wrapped(12, "({} IN (x, x, x))::int"),
    "not materialized": chained(3, "NOT MATERIALIZED", "SELECT a.x FROM {0} a, {0} b"),
}


@pytest.mark.parametrize("sql", GROWING.values(), ids=GROWING)
def test_what_grows_with_every_level_is_refused(sql):
    with pytest.raises(Refused, match="grows too large|mentioned more than once"):
        sql_postgres.check(sql)


HONEST = {
    "a pipeline": chained(12, "", "SELECT x, x * 2 AS y FROM {}"),
    "some levels": nested(6),
    "a wide select": "SELECT " + ", ".join(f"a{n}" for n in range(3000)) + " FROM t",
    "a long list": "SELECT * FROM t WHERE id IN (" + ", ".join(map(str, range(5000))) + ")",
    "a long union": " UNION ALL ".join(["SELECT a, b FROM t WHERE c BETWEEN 1 AND 2"] * 300),
    "many conditions": "SELECT * FROM t WHERE "
    + " OR ".join(f"a BETWEEN {n} AND b AND c IN (1, d)" for n in range(90)),
}


@pytest.mark.parametrize("sql", HONEST.values(), ids=HONEST)
def test_what_is_only_long_passes(sql):
    sql_postgres.check(sql)


NASTY = {
    "open comments": "/*" * 16000,
    "nested comments": "/*" * 8000 + "*/" * 8000 + "SELECT 1",
    "comments behind an escaped quote": r"SELECT E'\''" + "/*" * 15000,
    "plus": "SELECT 1 " + "+" * 30000 + " 1",
    "plus and minus": "SELECT 1 " + "+-" * 15000 + " 1",
    "plus behind an escaped quote": r"SELECT E'\'' " + "+" * 30000,
    "plus after a dollar quote": "SELECT $a$'$a$ " + "+" * 30000,
    "brackets": "SELECT " + "[" * 32000,
    "quotes": "SELECT " + "'\"" * 16000,
    "all quotes": "SELECT " + "`['\"" * 8000,
    "doubled": "SELECT '" + "''" * 16000,
    "dollars": "SELECT " + "$a" * 16000,
    "dollar quotes": "SELECT " + "$a$ $b$ " * 4000,
    "line comments": "--\n" * 10900,
    "columns": "SELECT " + ",".join(f"a{n}" for n in range(5000)),
    "stars": "SELECT " + ",".join("*" * 16000),
    "selections": "SELECT " + ",".join("a.b" for _ in range(8000)),
    "calls": "SELECT " + ",".join("f()" for _ in range(8000)),
    "unions": " UNION ".join(["SELECT 1"] * 2200),
}


@pytest.mark.parametrize("check", [sql_postgres.check, sql_sqlite.check])
@pytest.mark.parametrize("sql", NASTY.values(), ids=NASTY)
def test_no_text_keeps_a_check_busy(sql, check):
    before = time.process_time()
    try:
        check(sql)
    except Refused as refusal:
        assert refusal.message
    assert time.process_time() - before < 0.6


RENAMED = {
    "SELECT instr(a, 'trim(') FROM t": "SELECT x_instr(a, 'trim(') FROM t",
    'SELECT "Instr" (a), [trim](b), `trim`/* c */(c)': "SELECT x_instr (a), x_trim(b), x_trim/* c */(c)",
    "SELECT trim, instr FROM trim WHERE (instr) > 1": "SELECT trim, instr FROM trim WHERE (instr) > 1",
    "SELECT trim--\n(a)": "SELECT x_trim--\n(a)",
    "SELECT my_trim(a), 'trim'('b')": "SELECT my_trim(a), 'trim'('b')",
}


@pytest.mark.parametrize(("sql", "text"), RENAMED.items())
def test_only_calls_are_renamed(sql, text):
    assert sql_sqlite.renamed(sql, {"instr", "trim"}, "x_") == text


def test_what_sqlite_takes_for_a_call_is_renamed():
    connection = sqlite3.connect(":memory:")
    connection.create_function("x_trim", 1, lambda _value: "stand-in")
    for call in ("trim('a')", "TRIM ('a')", "\"trim\"('a')", "[trim] /**/ ('a')", "`trim`\n('a')"):
        sql = sql_sqlite.renamed(f"SELECT {call}", {"trim"}, "x_")
        assert connection.execute(sql).fetchone() == ("stand-in",)
    connection.close()
