"""Tasks in a file: there for the process that comes after, and for no other meanwhile."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from bascule.engine.ports import TaskRecord
from bascule.errors import ConfigError
from bascule.stores.sqlite import SqliteTasks

OWNER = ("tenant", "issuer", "subject")
NOW = 1_700_000_000.0


def record(name, created=NOW, expires=NOW + 100, **more):
    return TaskRecord(name, OWNER, more.pop("state", "working"), created, created, expires, **more)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "tasks.sqlite")


def store(path, now=NOW):
    return SqliteTasks(path, lambda: now)


async def kept(path, now=NOW):
    found = store(path, now)
    try:
        return await found.open()
    finally:
        await found.close()


async def test_what_was_put_is_there_for_the_next_process_oldest_first(path):
    one = store(path)
    assert await one.open() == []
    done = record("b", NOW + 1, state="completed", message="fine", result=b'{"a":1}')
    failed = record("c", NOW + 2, state="failed", error=b'{"code":1,"message":"x"}')
    for each in (failed, record("b", NOW + 1), done, record("a")):
        await one.put(each)
    await one.close()
    assert await kept(path) == [record("a"), done, failed]


async def test_what_has_expired_is_gone(path):
    one = store(path)
    await one.open()
    await one.put(record("old", expires=NOW + 1))
    await one.put(record("new"))
    await one.close()
    assert [found.id for found in await kept(path, NOW + 2)] == ["new"]
    assert [found.id for found in await kept(path, NOW)] == ["new"], "and not only hidden"


async def test_writing_drops_what_has_expired(path):
    one = store(path, NOW + 50)
    await one.open()
    await one.put(record("old", expires=NOW + 1))
    await one.put(record("new"))
    await one.close()
    assert [found.id for found in await kept(path)] == ["new"]


async def test_a_file_belongs_to_one_process_at_a_time(path):
    one, other = store(path), store(path)
    await one.open()
    with pytest.raises(ConfigError, match="in use by another process"):
        await other.open()
    assert await one.open() == [], "the process itself may open it again"
    await one.close()
    with pytest.raises(ConfigError, match="in use"):
        await other.open()
    await one.close()
    assert await other.open() == []
    await other.close()
    with pytest.raises(OSError, match="closed"):
        await other.put(record("a"))


def test_nobody_else_may_read_the_file(path):
    asyncio.run(kept(path))
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["a folder", "no folder", "no database", "a later version"])
async def test_a_file_that_cannot_be_opened_is_named(tmp_path, wrong):
    path = tmp_path / "x" / "tasks.sqlite"
    if wrong != "no folder":
        path.parent.mkdir()
    if wrong == "a folder":
        path.mkdir()
    elif wrong == "no database":
        path.write_text("this is no database, but a text of some length " * 100)
    elif wrong == "a later version":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    with pytest.raises(ConfigError, match="tasks.sqlite"):
        await store(str(path)).open()


async def test_a_full_disk_is_told_and_leaves_what_was_there(path):
    one = store(path)
    await one.open()
    await one.put(record("a"))
    one._database.execute("PRAGMA max_page_count = 8")
    with pytest.raises(OSError, match="cannot be written"):
        await one.put(record("b", result=b"x" * 100_000))
    await one.close()
    assert [found.id for found in await kept(path)] == ["a"]
