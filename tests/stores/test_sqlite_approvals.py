"""Approvals in a file: asked for once, decided by somebody, spent once, and gone when their time is over."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bascule.engine.ports import Wanted
from bascule.engine.settings import ApprovalSettings
from bascule.stores import sqlite_approvals
from bascule.stores.sqlite_approvals import KEPT_FOR, SqliteApprovals

NOW = 1_700_000_000.0
OWNER = ("tenant", "issuer", "subject", "")


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "approvals.sqlite")


@pytest.fixture
async def store(path, clock):
    made = SqliteApprovals(path, clock=clock)
    yield made
    await made.close()


def wanted(arguments=b'{"city":"Paris"}', owner=OWNER, **changed):
    return Wanted(owner, "shop", "tool", "tools/call", "drop", arguments)._replace(**changed)


async def test_a_call_waits_is_approved_and_passes_once(store, clock):
    first = await store.present(wanted())
    assert (first.state, first.created, first.expires) == ("pending", NOW, NOW + 3600)
    assert await store.present(wanted()) == first, "asking again asks for nothing new"
    assert await store.listed() == [first]
    clock.now += 10
    approved = await store.decide(first.id, approve=True, by="ann")
    assert (approved.state, approved.decided_by, approved.decided) == ("approved", "ann", NOW + 10)
    assert approved.expires == NOW + 10 + 3600
    assert await store.listed() == []
    clock.now += 10
    spent = await store.present(wanted())
    assert (spent.state, spent.id, spent.spent) == ("spent", first.id, NOW + 20)
    again = await store.present(wanted())
    assert (again.state, again.id == first.id) == ("pending", False)
    assert [found.state for found in await store.listed(everything=True)] == ["spent", "pending"]


@pytest.mark.parametrize(
    "other",
    [
        wanted(b'{"city":"Rome"}'),
        wanted(owner=("other", "issuer", "subject", "")),
        wanted(owner=("tenant", "issuer", "subject", "session")),
        wanted(owner=("", "tenantissuer", "subject", "")),
        wanted(name="sell"),
        wanted(server="bank"),
        wanted(kind="prompt"),
        wanted(method="prompts/get"),
    ],
)
async def test_an_approval_is_for_one_call_of_one_caller(store, other):
    first = await store.present(wanted())
    await store.decide(first.id, approve=True, by="ann")
    assert (await store.present(other)).state == "pending"
    assert (await store.present(wanted())).state == "spent"


async def test_what_is_denied_stays_so_until_it_expires(store, clock):
    first = await store.present(wanted())
    await store.decide(first.id, approve=False, by="ann")
    assert (await store.present(wanted())).state == "denied"
    clock.now += 3601
    assert (await store.present(wanted())).state == "pending"


async def test_the_first_decision_stands(store):
    first = await store.present(wanted())
    await store.decide(first.id, approve=False, by="ann")
    late = await store.decide(first.id, approve=True, by="bob")
    assert (late.state, late.decided_by) == ("denied", "ann")
    assert await store.decide("nothing", approve=True, by="bob") is None


async def test_what_nobody_decides_expires(store, clock):
    first = await store.present(wanted())
    clock.now += 3601
    assert await store.decide(first.id, approve=True, by="ann") is None
    assert await store.listed(everything=True) == []
    assert (await store.present(wanted())).id != first.id


async def test_what_is_approved_and_not_used_expires(store, clock):
    first = await store.present(wanted())
    await store.decide(first.id, approve=True, by="ann")
    clock.now += 3601
    assert (await store.present(wanted())).state == "pending"


async def test_the_record_ends_some_day(store, clock):
    first = await store.present(wanted())
    await store.decide(first.id, approve=True, by="ann")
    await store.present(wanted())
    clock.now += KEPT_FOR + 1
    assert await store.find(first.id) is None


async def test_only_so_much_waits(path, clock):
    store = SqliteApprovals(path, ApprovalSettings(max_pending=3, max_pending_per_principal=2), clock)
    try:
        each = [wanted(f"{number}".encode()) for number in range(3)]
        assert [(await store.present(one)) is None for one in each] == [False, False, True]
        other = wanted(owner=("", "", "other", ""))
        assert await store.present(other) is not None
        assert await store.present(other._replace(name="sell")) is None, "three wait already, whoever they are of"
        clock.now += 3601
        assert await store.present(each[2]) is not None
    finally:
        await store.close()


async def test_of_two_connections_one_spends(path, clock, store):
    other = SqliteApprovals(path, clock=clock)
    try:
        for _ in range(20):
            first = await store.present(wanted())
            await other.decide(first.id, approve=True, by="ann")
            both = await asyncio.gather(store.present(wanted()), other.present(wanted()))
            assert sorted(found.state for found in both) == ["pending", "spent"]
            await store.decide(next(one.id for one in both if one.state == "pending"), approve=False, by="ann")
            clock.now += 3601
    finally:
        await other.close()


async def test_marks_are_taken_once_by_all_and_forgotten_in_time(path, clock, store, monkeypatch):
    other = SqliteApprovals(path, clock=clock)
    try:
        taken = await asyncio.gather(*(one.take("m", NOW + 10) for one in (store, other) * 5))
        assert sorted(taken) == [False] * 9 + [True]
        clock.now += 11
        assert await other.take("m", NOW + 30)
        monkeypatch.setattr(sqlite_approvals, "MAX_MARKS", 1)
        assert not await store.take("n", NOW + 30), "fails closed"
    finally:
        await other.close()


async def test_nobody_else_can_read_the_file(store, path):
    await store.take("m", NOW)
    for file in Path(path).parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_file_of_another_program_is_left_alone(path, store, tmp_path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE theirs (a)")
    database.close()
    before = content(path)
    with pytest.raises(OSError, match="another program"):
        await store.present(wanted())
    assert content(path) == before
    nowhere = SqliteApprovals(str(tmp_path / "none" / "file"))
    with pytest.raises(OSError, match="none"):
        await nowhere.present(wanted())
    await nowhere.close()


def content(path):
    return Path(path).read_bytes()


async def test_a_file_that_somebody_else_keeps_locked_fails_as_the_port_says(path, clock, store, monkeypatch):
    monkeypatch.setattr("bascule.stores.sqlite_file.PATIENCE", 0.0)
    first = await store.present(wanted())
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    other = SqliteApprovals(path, clock=clock)
    try:
        with pytest.raises(OSError, match="locked"):
            await other.present(wanted())
        blocker.execute("ROLLBACK")
        assert await other.present(wanted()) == first, "and goes on when it is free"
    finally:
        blocker.close()
        await other.close()


async def test_a_full_disk_fails_and_a_freed_one_works(path, clock, store):
    first = await store.present(wanted())
    await store.decide(first.id, approve=True, by="ann")
    database = store._file._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="full"):
        await store.present(wanted(b"x" * 100_000))
    assert (await store.find(first.id)).state == "approved"
    database.execute("PRAGMA max_page_count = 1000000")
    assert (await store.present(wanted(b"x" * 100_000))).state == "pending"
    assert (await store.present(wanted())).state == "spent"


@pytest.mark.parametrize("at", range(2))
def test_a_process_that_is_killed_leaves_an_approval_spent_or_not(path, at):
    program = (
        "import asyncio, os, sys\n"
        "from bascule.stores.sqlite_approvals import SqliteApprovals\n"
        "from tests.stores.test_sqlite_approvals import wanted\n"
        "async def main():\n"
        "    store = SqliteApprovals(sys.argv[1])\n"
        "    print((await store.present(wanted(sys.argv[2].encode()))).state, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )

    def killed():
        done = subprocess.run(
            [sys.executable, "-c", program, path, f"{at}"], capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout.strip()

    async def approve():
        store = SqliteApprovals(path)
        for found in await store.listed():
            await store.decide(found.id, approve=True, by="ann")
        await store.close()

    assert killed() == "pending"
    asyncio.run(approve())
    assert [killed(), killed()] == ["spent", "pending"], "what was said to be spent is so on the disk"
