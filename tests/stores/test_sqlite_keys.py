"""Keys in a file: what is kept, who may read it, several processes at once, and all that can be wrong with it."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from bascule.auth.key_text import make_key
from bascule.engine.ports import KeyRecord
from bascule.errors import ConfigError
from bascule.stores.sqlite_keys import SqliteKeys

run = asyncio.run


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.db"


@pytest.fixture
def store(path):
    return SqliteKeys(str(path))


def added(store, name="ci", **fields):
    key = make_key(os.urandom)
    record = KeyRecord(key.id, fields.pop("subject", key.id), name, ("tools:read",), 100.0, **fields)
    run(store.add(record, key.text, 100.0))
    return record, key.text


def test_a_key_is_found_by_itself_only(store):
    record, text = added(store)
    other, _ = added(store, "other", expires=500.0)
    assert run(store.find(record.id, text)) == record
    assert run(store.find(other.id, text)) is None
    assert run(store.find("absent", text)) is None
    assert run(store.find(record.id, text[:-1])) is None
    assert run(store.all()) == sorted([record, other], key=lambda one: one.id)


def test_the_file_holds_no_key_and_nobody_else_may_read_it(store, path):
    before = os.umask(0)
    try:
        _, text = added(store)
    finally:
        os.umask(before)
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"keys.db", "keys.db.secret"}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert text.encode() not in file.read_bytes()
        assert text[15:58].encode() not in file.read_bytes()


def test_a_name_that_works_is_given_once(store):
    record, _ = added(store, expires=200.0)
    with pytest.raises(ConfigError, match="named ci"):
        added(store)
    run(store.revoke([record.id], 150.0))
    added(store)
    assert len(run(store.all())) == 2


def test_a_name_is_free_again_when_its_key_has_expired(store):
    added(store, expires=100.0)
    added(store)


def test_a_replaced_key_expires_and_its_successor_is_kept_both_or_neither(store):
    old, text = added(store)
    key = make_key(os.urandom)
    successor = old._replace(id=key.id, created=110.0)
    run(store.replace(old.id, 300.0, successor, key.text))
    assert run(store.find(old.id, text)).expires == 300.0
    assert run(store.find(key.id, key.text)).subject == old.id
    with pytest.raises(OSError, match="cannot be used"):
        run(store.replace(old.id, 200.0, successor, key.text))
    assert run(store.find(old.id, text)).expires == 300.0


def test_replacing_never_makes_a_key_last_longer(store):
    old, text = added(store, expires=150.0)
    key = make_key(os.urandom)
    run(store.replace(old.id, 300.0, old._replace(id=key.id), key.text))
    assert run(store.find(old.id, text)).expires == 150.0


def test_a_revoked_key_cannot_be_replaced_and_keeps_its_first_moment(store):
    old, text = added(store)
    run(store.revoke([old.id], 120.0))
    run(store.revoke([old.id], 130.0))
    assert run(store.find(old.id, text)).revoked == 120.0
    key = make_key(os.urandom)
    with pytest.raises(ConfigError, match="revoked"):
        run(store.replace(old.id, 300.0, old._replace(id=key.id), key.text))
    assert len(run(store.all())) == 1


def test_the_last_use_never_goes_back(store):
    record, text = added(store)
    run(store.used({record.id: 50.0, "absent": 1.0}))
    run(store.used({record.id: 40.0}))
    assert run(store.find(record.id, text)).last_used == 50.0


def test_a_look_up_by_another_processs_change_is_current(store, path):
    record, text = added(store)
    run(SqliteKeys(str(path)).revoke([record.id], 120.0))
    assert run(store.find(record.id, text)).revoked == 120.0


SCRIPT = """
import asyncio, os, sys
from bascule.auth.key_text import make_key
from bascule.engine.ports import KeyRecord
from bascule.errors import ConfigError
from bascule.stores.sqlite_keys import SqliteKeys
store = SqliteKeys(sys.argv[1])
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    key = make_key(os.urandom)
    name = sys.argv[2] or f"{os.getpid()}-{number}"
    try:
        asyncio.run(store.add(KeyRecord(key.id, key.id, name, ("*",), 1.0), key.text, 1.0))
        print(key.id, key.text)
    except ConfigError as error:
        print("refused", file=sys.stderr)
"""


def processes(path, name, each, count=4):
    """Several processes that add keys at the same moment; what they printed."""
    command = [sys.executable, "-c", SCRIPT, str(path), name, str(each)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(count)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    ended = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * count, ended
    return [line.split() for out, _ in ended for line in out.splitlines()], "".join(err for _, err in ended)


def test_processes_that_make_the_file_at_the_same_moment_share_it_and_its_secret(store, path):
    keys, _ = processes(path, "", 5)
    assert len(keys) == 20
    assert len(run(store.all())) == 20
    assert all(run(store.find(*key)) for key in keys)
    assert {file.name for file in path.parent.iterdir()} == {"keys.db", "keys.db.secret"}


def test_of_processes_that_want_one_name_one_gets_it(path):
    keys, said = processes(path, "ci", 1)
    assert (len(keys), said.count("refused")) == (1, 3)


def nothing_is_found(store, path, words):
    for operation in (
        store.find("a", "b"),
        store.all(),
        store.revoke(["a"], 1.0),
        store.used({"a": 1.0}),
    ):
        with pytest.raises(OSError, match=words) as caught:
            run(operation)
        assert str(path) in str(caught.value)
    with pytest.raises(OSError, match=words):
        store.check()


def test_a_missing_file_is_no_empty_one(store, path):
    nothing_is_found(store, path, "There is no key database")
    assert list(path.parent.iterdir()) == []


def test_a_missing_secret_is_never_made_anew_beside_keys_that_need_it(store, path):
    added(store)
    (path.parent / "keys.db.secret").unlink()
    nothing_is_found(store, path, "cannot be read")
    with pytest.raises(OSError, match="cannot be read"):
        added(store, "other")
    assert not (path.parent / "keys.db.secret").exists()


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "\x00" * 64, "ü" * 32])
def test_a_damaged_secret_is_told(store, path, text):
    added(store)
    (path.parent / "keys.db.secret").write_text(text)
    nothing_is_found(store, path, "is damaged")


def test_the_secret_of_another_file_is_told(store, path):
    added(store)
    (path.parent / "keys.db.secret").write_text("ab" * 32)
    nothing_is_found(store, path, "is not the one")


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, b"SQLite format 3\0" + bytes(2000)])
def test_a_corrupt_file_lets_nobody_in(store, path, content):
    added(store)
    path.write_bytes(content)
    nothing_is_found(store, path, "key database")


def test_a_file_whose_pages_are_overwritten_lets_nobody_in(store, path):
    record, text = added(store)
    data = bytearray(path.read_bytes())
    data[100:] = os.urandom(len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(OSError, match="cannot be used"):
        run(store.find(record.id, text))


def test_another_programs_database_is_left_alone(store, path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE theirs (x)")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(OSError, match="another program"):
        added(store)
    assert path.read_bytes() == before


def test_a_locked_file_is_told_after_a_moment(path, store, monkeypatch):
    record, text = added(store)
    monkeypatch.setattr("bascule.stores.sqlite_keys._WAIT", 0.05)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OSError, match="locked"):
        run(store.find(record.id, text))
    database.execute("ROLLBACK")
    database.close()
    assert run(store.find(record.id, text)) == record


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OSError, match="cannot be made: No such file"):
        added(SqliteKeys(str(tmp_path / "absent" / "keys.db")))


def test_a_file_that_cannot_be_written_is_read(store, path):
    record, text = added(store)
    for file in path.parent.iterdir():
        file.chmod(0o400)
    assert run(store.find(record.id, text)) == record


def test_a_process_that_died_while_it_wrote_leaves_a_file_that_works(store, path):
    record, text = added(store)
    script = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "database.execute('UPDATE keys SET revoked = 1')\n"
        "database.execute('CREATE TABLE filler (x)')\n"
        "for _ in range(500): database.execute('INSERT INTO filler VALUES (randomblob(2000))')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert (path.parent / "keys.db-journal").exists()
    assert run(store.find(record.id, text)) == record


def test_a_relative_path_stays_what_it_was_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SqliteKeys("keys.db")
    record, text = added(store)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(store.find(record.id, text)) == record


def test_a_secret_that_others_may_read_is_warned_of(store, path, caplog):
    added(store)
    store.check()
    assert not caplog.records
    (path.parent / "keys.db.secret").chmod(0o644)
    store.check()
    assert "keys.db.secret can be read by others" in caplog.text
