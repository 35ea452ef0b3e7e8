"""What the SQL checks let through, and what they refuse with which words, without any database."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.checks import sql_postgres, sql_sqlite
from bascule.checks.sql import MAX_SQL_BYTES, Refused

POSTGRES_REFUSED = {
    "insert": ("INSERT INTO t VALUES (1)", "INSERT"),
    "update": ("UPDATE t SET a = 1", "UPDATE"),
    "delete": ("DELETE FROM t", "DELETE"),
    "merge": ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "MERGE"),
    "drop": ("DROP TABLE t", "DROP"),
    "create": ("CREATE TABLE t (a int)", "CREATE TABLE"),
    "create as": ("CREATE TABLE t AS SELECT 1", "CREATE TABLE AS"),
    "truncate": ("TRUNCATE t", "Truncate"),
    "copy out": ("COPY t TO '/tmp/x'", "Copy"),
    "copy program": ("COPY t FROM PROGRAM 'id'", "Copy"),
    "do": ("DO $$ BEGIN END $$", "Do"),
    "call": ("CALL p()", "CALL"),
    "set": ("SET TRANSACTION READ WRITE", "SET"),
    "reset": ("RESET ALL", "SET"),
    "begin": ("BEGIN", "transaction"),
    "commit": ("COMMIT", "transaction"),
    "prepare": ("PREPARE p AS SELECT 1", "Prepare"),
    "execute": ("EXECUTE p", "EXECUTE"),
    "declare": ("DECLARE c CURSOR FOR SELECT 1", "DeclareCursor"),
    "listen": ("LISTEN c", "Listen"),
    "notify": ("NOTIFY c", "Notify"),
    "lock": ("LOCK TABLE t", "Lock"),
    "vacuum": ("VACUUM t", "Vacuum"),
    "grant": ("GRANT SELECT ON t TO u", "Grant"),
    "load": ("LOAD 'x'", "Load"),
    "two": ("SELECT 1; SELECT 2", "these are 2"),
    "stacked write": ("SELECT 1; DELETE FROM t", "one at a time"),
    "hidden by a comment": ("SELECT 1 /* ; */; DELETE FROM t -- ", "one at a time"),
    "writing CTE": ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "DELETE"),
    "deep writing CTE": ("SELECT * FROM (WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) TABLE x) y", "INSERT"),
    "into": ("SELECT * INTO u FROM t", "INTO"),
    "into in union": ("SELECT 1 INTO u UNION SELECT 2", "INTO"),
    "for update": ("SELECT * FROM t FOR UPDATE", "Row locks"),
    "for share below": ("SELECT * FROM (SELECT * FROM t FOR SHARE) x", "Row locks"),
    "explain analyze write": ("EXPLAIN ANALYZE DELETE FROM t", "DELETE"),
    "explain write": ("EXPLAIN INSERT INTO t VALUES (1)", "INSERT"),
    "explain execute": ("EXPLAIN ANALYZE EXECUTE p", "EXECUTE"),
    "explain create": ("EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", "CREATE TABLE AS"),
    "sleep": ("SELECT pg_sleep(10)", "pg_sleep()"),
    "sleep quoted": ('SELECT "pg_sleep"(10)', "pg_sleep()"),
    "sleep qualified": ("SELECT pg_catalog.pg_sleep(10)", "pg_catalog.pg_sleep()"),
    "sleep escaped": ('SELECT U&"pg\\005fsleep"(10)', "pg_sleep()"),
    "sleep in from": ("SELECT * FROM pg_sleep(10)", "pg_sleep()"),
    "sleep in order by": ("SELECT 1 ORDER BY pg_sleep(10)", "pg_sleep()"),
    "sleep in limit": ("SELECT 1 LIMIT (SELECT 1 FROM pg_sleep(10))", "pg_sleep()"),
    "sleep in filter": ("SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL)", "pg_sleep()"),
    "sleep in window": ("SELECT sum(1) OVER (ORDER BY pg_sleep(1))", "pg_sleep()"),
    "sleep as field": ("SELECT x.pg_sleep FROM generate_series(1, 9) x", "pg_sleep()"),
    "sleep as field of value": ("SELECT (9::float8).pg_sleep", "pg_sleep()"),
    "read file": ("SELECT pg_read_file('/etc/passwd')", "pg_read_file()"),
    "read file as field": ("SELECT ('/etc/passwd'::text).pg_read_file", "pg_read_file()"),
    "ls": ("SELECT * FROM pg_ls_dir('/')", "pg_ls_dir()"),
    "stat": ("SELECT pg_stat_file('/etc/passwd')", "pg_stat_file()"),
    "large object": ("SELECT lo_import('/etc/passwd')", "lo_import()"),
    "lo export": ("SELECT lo_export(1, '/tmp/x')", "lo_export()"),
    "set_config": ("SELECT set_config('a.b', 'c', false)", "set_config()"),
    "current_setting": ("SELECT current_setting('data_directory')", "current_setting()"),
    "terminate": ("SELECT pg_terminate_backend(1)", "pg_terminate_backend()"),
    "notify function": ("SELECT pg_notify('a', 'b')", "pg_notify()"),
    "nextval": ("SELECT nextval('s')", "nextval()"),
    "setval": ("SELECT setval('s', 1)", "setval()"),
    "query_to_xml": ("SELECT query_to_xml('DELETE FROM t', true, true, '')", "query_to_xml()"),
    "table_to_xml": ("SELECT table_to_xml('t', true, true, '')", "table_to_xml()"),
    "database_to_xml": ("SELECT database_to_xml(true, true, '')", "database_to_xml()"),
    "cursor_to_xml": ("SELECT cursor_to_xml('c', 1, true, true, '')", "cursor_to_xml()"),
    "ts_stat": ("SELECT * FROM ts_stat('SELECT 1')", "ts_stat()"),
    "ts_rewrite": ("SELECT ts_rewrite('a', 'SELECT 1')", "ts_rewrite()"),
    "advisory lock": ("SELECT pg_advisory_lock(1)", "pg_advisory_lock()"),
    "logical message": ("SELECT pg_logical_emit_message(true, 'a', 'b')", "pg_logical_emit_message()"),
    "dblink": ("SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)", "dblink()"),
    "txid": ("SELECT txid_current()", "txid_current()"),
    "user function": ("SELECT my_function(1)", "my_function()"),
    "qualified user function": ("SELECT public.lower('A')", "public.lower()"),
    "user operator": ("SELECT 1 OPERATOR(public.+) 2", "public.+"),
    "user sample method": ("SELECT * FROM t TABLESAMPLE mine (1)", "TABLESAMPLE"),
    "passwords": ("SELECT * FROM pg_authid", "pg_authid"),
    "password view": ("SELECT * FROM pg_catalog.pg_shadow", "pg_shadow"),
    "parameter": ("SELECT $1", "$1"),
    "nothing": ("", "no statement"),
    "comments only": ("-- SELECT 1\n;;", "no statement"),
    "syntax": ("SELEC 1", "syntax error"),
    "nul": ("SELECT 1\0; DELETE FROM t", "NUL"),
    "surrogate": ("SELECT '\ud800'", "surrogate"),
    "long": ("SELECT 1 " + "+ 1" * MAX_SQL_BYTES, "longer than"),
    "deep": ("SELECT " + "1+" * 5000 + "1", "nested too deeply"),
}

POSTGRES_ALLOWED = [
    "SELECT 1",
    "select 1;",
    "SELECT 1;;  -- done",
    "/* a comment; with a semicolon */ SELECT ';' AS \";\" -- another",
    "((SELECT 1))",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE orders",
    "SHOW server_version",
    "EXPLAIN SELECT * FROM orders",
    "EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM orders",
    "SELECT * FROM orders LIMIT 10 OFFSET 5",
    "SELECT * FROM orders FETCH FIRST 5 ROWS ONLY",
    "WITH a AS (SELECT 1 AS x), b AS MATERIALIZED (SELECT x + 1 AS y FROM a) SELECT * FROM a, b",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r",
    "SELECT a, rank() OVER w, lag(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY c ROWS 2 PRECEDING)",
    "SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY price), mode() WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id ORDER BY u.at DESC LIMIT 1) AS last",
    "SELECT d->>'a', d#>'{b,c}', d @> '{\"x\": 1}', d ? 'k', jsonb_path_query(d, '$.a[*]') FROM t",
    "SELECT key, value FROM t CROSS JOIN LATERAL jsonb_each_text(d)",
    "SELECT a FROM t UNION ALL SELECT b FROM u INTERSECT SELECT 1 EXCEPT SELECT 2 ORDER BY 1",
    "SELECT country, city, sum(x) FROM t GROUP BY GROUPING SETS ((country), (city), ()), ROLLUP (a), CUBE (b, c)",
    "SELECT DISTINCT ON (customer_id) * FROM orders ORDER BY customer_id, ordered_on DESC",
    "SELECT count(*) FILTER (WHERE status = 'new'), array_agg(DISTINCT x ORDER BY x), string_agg(n, ', ') FROM t",
    "SELECT date_trunc('month', at), extract(year FROM at), at AT TIME ZONE 'utc', now() - interval '1 day' FROM t",
    "SELECT current_date, current_timestamp, current_user, localtime",
    "SELECT x::numeric(10, 2), cast(y AS date), 'orders'::regclass, '{1,2}'::int[] FROM t",
    "SELECT * FROM t WHERE name ILIKE '%a%' AND n ~* '^x' AND m SIMILAR TO 'a|b' AND regexp_replace(o, 'a', 'b') = ''",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END, coalesce(a, 1), nullif(a, 1), greatest(a, 2) FROM t",
    "SELECT (ARRAY[1, 2, 3])[2:3], unnest(ARRAY[1, 2]), 1 = ANY (ARRAY[1]), array_length(a, 1) FROM t",
    "SELECT generate_series(1, 10), * FROM generate_series('2024-01-01'::date, '2024-02-01', '1 day') WITH ORDINALITY",
    "SELECT trim(both ' ' from a), substring(a from 2 for 3), position('a' in b), overlay(a placing 'b' from 1) FROM t",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[3, 4])) AS t(a, b)",
    "SELECT (c).street, o.total FROM orders o",
    "SELECT m.pg_rating, m.name, m.text FROM movies m",
    "SELECT to_tsvector('english', body) @@ plainto_tsquery('x'), ts_rank(v, q) FROM t",
    "SELECT * FROM json_to_recordset('[{\"a\": 1}]') AS x(a int, b text)",
    "SELECT width_bucket(a, 0, 10, 5), corr(a, b), regr_slope(a, b), stddev(a), ntile(4) OVER () FROM t",
    "SELECT int4range(1, 5) && '[2,3]'::int4range, lower(tstzrange(a, b)) FROM t",
    "SELECT EXISTS (SELECT 1 FROM t), (SELECT max(a) FROM t), a IN (SELECT b FROM u) FROM t",
    "SELECT format('%s-%s', a, b), md5(a), encode(sha256(b), 'hex'), gen_random_uuid(), random() FROM t",
    "SELECT pg_typeof(1), version(), pg_size_pretty(pg_total_relation_size('t')), pg_get_viewdef('v'::regclass)",
    "SELECT * FROM t TABLESAMPLE BERNOULLI (10) REPEATABLE (1)",
    "SELECT xmlelement(name a, 'b'), xmlforest(1 AS a)",
    "SELECT name FROM t WHERE name LIKE 'a!_%' ESCAPE '!' AND n NOT ILIKE 'b' ESCAPE '\\'",
    "SELECT t.pg_sleep FROM (SELECT 5 AS pg_sleep) AS t",
    "WITH t AS (SELECT 1 AS pg_sleep) SELECT t.pg_sleep FROM t AS t(pg_sleep)",
    "SHOW TimeZone",
    "WITH a AS NOT MATERIALIZED (SELECT 1 AS x) SELECT * FROM a",
    "-- " + "=" * 100 + "\nSELECT 1 /* " + "-" * 100 + " */",
    "SELECT '" + "/*" * 40 + "+" * 100 + "'",
    "SELECT * FROM information_schema.columns WHERE table_schema = 'public'",
    'SELECT a COLLATE "C" FROM t NATURAL JOIN u FULL JOIN v USING (x)',
    "SELECT $$it's$$, E'\\n', U&'\\0041', B'101', 1e3, .5, 0x1F",
    'SELECT é, "Ünïcode" FROM "schéma".täble',
]

SQLITE_REFUSED = {
    "insert": ("INSERT INTO t VALUES (1)", "INSERT"),
    "delete": ("DELETE FROM t", "DELETE"),
    "attach": ("ATTACH 'x' AS y", "ATTACH"),
    "vacuum into": ("VACUUM INTO '/tmp/x'", "VACUUM"),
    "pragma": ("PRAGMA writable_schema = 1", "PRAGMA"),
    "begin": ("BEGIN", "BEGIN"),
    "two": ("SELECT 1; DELETE FROM t", "first semicolon"),
    "half a comment": ("SELECT 1; /* */ DELETE FROM t", "first semicolon"),
    "parenthesis": ("(SELECT 1)", "begins with ("),
    "nothing": (" ;; -- x", "no statement"),
    "nul": ("SELECT 1\0", "NUL"),
    "long": ("SELECT 1" + " " * MAX_SQL_BYTES, "longer"),
}

SQLITE_ALLOWED = {
    "SELECT 1": "SELECT 1",
    "select 1 ; -- done": "select 1",
    "/* ; */ SELECT ';', \";\", `;`, [;] ;;": "SELECT ';', \";\", `;`, [;]",
    "VALUES (1)": "VALUES (1)",
    "WITH a AS (SELECT 1) SELECT * FROM a": "WITH a AS (SELECT 1) SELECT * FROM a",
    "EXPLAIN QUERY PLAN SELECT 1": "EXPLAIN QUERY PLAN SELECT 1",
    "SELECT 'it''s; fine'": "SELECT 'it''s; fine'",
    "SELECT 1 /* open": "SELECT 1",
}


@pytest.mark.parametrize(("sql", "words"), POSTGRES_REFUSED.values(), ids=POSTGRES_REFUSED)
def test_postgres_refuses_and_says_why(sql, words):
    with pytest.raises(Refused) as refusal:
        sql_postgres.check(sql)
    assert words in refusal.value.message
    assert refusal.value.message.count("\n") == 0


@pytest.mark.parametrize("sql", POSTGRES_ALLOWED)
def test_postgres_lets_honest_queries_through(sql):
    assert sql_postgres.check(sql).text in sql


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("TABLE t", "rows"),
        ("VALUES (1)", "rows"),
        ("SHOW search_path", "setting"),
        ("EXPLAIN SELECT 1", "plan"),
        ("WITH a AS (SELECT 1) TABLE a", "rows"),
    ],
)
def test_postgres_tells_what_kind_of_statement_it_is(sql, kind):
    assert sql_postgres.check(sql).kind == kind


def test_the_statement_is_cut_out_of_what_surrounds_it_by_bytes():
    assert sql_postgres.check("; SELECT 'é€' ; -- end").text.strip() == "SELECT 'é€'"


def test_named_functions_may_be_called_as_they_are_named():
    allowed = {"geo.distance", "slugify"}
    sql_postgres.check("SELECT geo.distance(1), slugify(a) FROM t", allowed)
    with pytest.raises(Refused, match="distance"):
        sql_postgres.check("SELECT distance(1)", allowed)


@pytest.mark.parametrize(("sql", "words"), SQLITE_REFUSED.values(), ids=SQLITE_REFUSED)
def test_sqlite_refuses_and_says_why(sql, words):
    with pytest.raises(Refused) as refusal:
        sql_sqlite.check(sql)
    assert words in refusal.value.message


@pytest.mark.parametrize(("sql", "text"), SQLITE_ALLOWED.items())
def test_sqlite_finds_the_one_statement(sql, text):
    assert sql_sqlite.check(sql).text == text


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("WITH a AS (SELECT 1) DELETE FROM t", "change something"),
        ("EXPLAIN DELETE FROM t", "change something"),
        ("SELECT load_extension('x')", "load_extension()"),
        ("SELECT fts3_tokenizer('simple')", "fts3_tokenizer()"),
        ("SELECT sqlite_log(1, 'x')", "sqlite_log()"),
        ("SELECT mine(1)", "mine()"),
        ("SELECT * FROM pragma_database_list", "database_list"),
        ("SELECT * FROM dbstat", "dbstat"),
        ("ATTACH ':memory:' AS x", "change something"),
        ("CREATE TEMP TABLE x (a)", "change something"),
        ("PRAGMA journal_mode", "journal_mode"),
    ],
)
def test_the_authorizer_denies_what_the_first_word_hides(sql, words):
    authorizer = sql_sqlite.Authorizer()
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t (a)")
    connection.create_function("mine", 1, str)
    connection.set_authorizer(authorizer)
    with pytest.raises(sqlite3.Error):
        connection.execute(sql)
    assert words in (authorizer.reason or "no reason kept")
    connection.close()


def test_the_authorizer_lets_named_functions_be_called():
    connection = sqlite3.connect(":memory:")
    connection.create_function("mine", 1, str)
    connection.set_authorizer(sql_sqlite.Authorizer({"Mine"}))
    assert connection.execute("SELECT mine(1)").fetchone() == ("1",)
    connection.close()


PIECES = st.sampled_from(
    "SELECT|FROM|WHERE|(|)|;|'|\"|--|/*|*/|$$|$1|1|a.b|pg_sleep|,|*|::|INTO|FOR UPDATE|WITH|AS|DELETE|U&|\\|\n|é|\0|{|"
    "}|[|]|EXPLAIN|ANALYZE|VALUES|TABLE|SHOW|OVER|UNION|JOIN|LATERAL|CASE|END|NULL|:x|?|@|x'ff'|ARRAY|.".split("|")
)
TEXTS = st.text() | st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join)


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_whatever_the_text_a_check_passes_or_refuses(sql):
    for check in (sql_postgres.check, sql_sqlite.check):
        try:
            statement = check(sql)
        except Refused as refusal:
            assert refusal.message
        else:
            assert statement.text.strip()
