"""Connections: what one query leaves on them, what becomes of those that do not answer, which URLs work."""

import asyncio
import time

import pytest

from bascule import ConfigError, ToolError
from bascule.checks.sql import Statement
from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres import Postgres

DEAF = "SELECT strpos(repeat('a', 4000000), repeat('a', 800) || 'b' || repeat('a', 800))"
"""One built-in function that looks at nothing else for a second or two."""

BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bascule' AND query LIKE '%strpos%'"


async def test_a_backend_that_does_not_listen_keeps_its_place_until_it_has_ended(shop):
    database = Postgres(shop.url("shop"), Limits(seconds=0.2, concurrency=1))
    await database.open()
    began = time.monotonic()
    with pytest.raises(ToolError, match="stopped after"):
        await database.query(DEAF, 1)
    assert time.monotonic() - began < 1.9
    if int(shop.execute(BACKENDS)):
        with pytest.raises(ToolError, match="Too many queries"):
            await database.query(DEAF, 1)
        assert int(shop.execute(BACKENDS)) <= 1
    async with asyncio.timeout(20):
        while True:
            try:
                assert (await database.query("SELECT 1", 1)).rows == [[1]]
            except ToolError:
                continue
            break
    await database.close()


async def test_a_session_is_reset_between_queries(shop):
    database = Postgres(shop.url("shop"), Limits(concurrency=1))
    await database.open()
    for left in (
        "SELECT pg_advisory_lock(7)",
        "SELECT set_config('app.user', 'mallory', false)",
        "SET work_mem = '1GB'",
    ):
        await database.run(Statement("plan", left), 1)
    locks = Statement("rows", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    user = Statement("rows", "SELECT current_setting('app.user', true), current_setting('work_mem') <> '1GB'")
    assert (await database.run(locks, 1)).rows == [[0]]
    assert (await database.run(user, 1)).rows in ([[None, True]], [["", True]])
    await database.close()


@pytest.mark.parametrize(
    "options",
    [
        "sslmode=bogus",
        "target_session_attrs=bogus",
        "krbsrvname=x&gsslib=y",
        "sslmode=verify-full&sslrootcert=/nowhere",
    ],
)
async def test_options_that_cannot_work_are_told_at_the_start(shop, options):
    with pytest.raises(ConfigError, match="PostgreSQL URL") as error:
        await Postgres(f"{shop.url('shop')}?{options}").open()
    assert "hunter2" not in str(error.value)


async def test_a_database_that_is_down_does_not_keep_the_server_from_starting():
    database = Postgres("postgresql://nobody:secret@127.0.0.1:1/none", Limits(seconds=1.0))
    await database.open()
    with pytest.raises(ToolError, match="cannot be reached"):
        await database.query("SELECT 1", 1)
    await database.close()


async def test_the_encoding_is_pinned(shop):
    database = Postgres(f"{shop.url('shop')}?client_encoding=LATIN1")
    await database.open()
    assert (await database.query("SELECT 'é€', chr(233)", 1)).rows == [["é€", "é"]]
    await database.close()


async def test_cancellations_at_any_moment_lose_no_place(shop):
    database = Postgres(shop.url("shop"), Limits(seconds=5.0, concurrency=2))
    await database.open()
    for moment in range(60):
        task = asyncio.create_task(database.query("SELECT count(*) FROM generate_series(1, 2000)", 1))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        results = await asyncio.gather(*(database.query("SELECT 1", 1) for _ in range(6)))
    assert [result.rows for result in results] == [[[1]]] * 6
    await database.close()
