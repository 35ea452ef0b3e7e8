"""API keys in one SQLite file, and beside it, in `<file>.secret`, what their hashes are keyed with.

Of a key the file holds its HMAC-SHA-256 under that secret: a copy of the file alone (a backup, a leak) lets nobody test
a key, and whoever can write the file alone cannot add one. HMAC-SHA-256, because any interpreter has it, those bound to
FIPS too; a slow hash would gain nothing, for the keys have 256 random bits. Any number of processes may use the file.
It is opened for each operation, so one that was replaced or removed is noticed, and with SQLite's own journal, which
leaves nothing beside it and lets a file that cannot be written be read.
"""

import asyncio
import hmac
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from bascule.engine.ports import KeyRecord, Random
from bascule.errors import ConfigError

log = logging.getLogger("bascule")

T = TypeVar("T")

_VERSION = 1
_WAIT = 1.5
"""Seconds to wait for another process that writes."""

_THREADS = 2
_SECRET_BYTES = 32
_CHECK = b"bascule: is this the secret of these keys?"
_FIND = "SELECT * FROM keys WHERE id = ?"
_ALL = "SELECT * FROM keys ORDER BY created, id"
_INSERT = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TAKEN = """
SELECT 1 FROM keys WHERE name = ? AND subject <> ? AND revoked IS NULL AND (expires IS NULL OR expires > ?)
"""
_SCHEMA = (
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY, subject TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
        created REAL NOT NULL, expires REAL, revoked REAL, last_used REAL, digest BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE secret (digest BLOB NOT NULL) STRICT",
    f"PRAGMA user_version = {_VERSION}",
)
_NOTHING = bytes(32)
"""A digest that no key has."""


class SqliteKeys:
    """The keys in one file; a KeyStore. What fails raises OSError."""

    def __init__(self, path: str, random: Random = os.urandom) -> None:
        self._name = path
        self._path = Path(path).absolute()
        self._secret_path = Path(f"{path}.secret").absolute()
        self._random = random
        self._threads = ThreadPoolExecutor(_THREADS, "bascule-keys")

    def check(self) -> None:
        """Raise OSError unless keys can be looked up: the file is there and whole, and so is its secret."""
        with self._database():
            if os.name == "posix" and self._secret_path.stat().st_mode & 0o077:
                log.warning("%s.secret can be read by others than its owner; take that away (chmod 600)", self._name)

    async def find(self, key_id: str, key: str) -> KeyRecord | None:
        """The record of a key, compared in constant time; None where the key is not the one with this id."""
        return await self._aside(self._find, key_id, key)

    async def all(self) -> list[KeyRecord]:
        """All records, oldest first."""
        return await self._aside(self._all)

    async def add(self, record: KeyRecord, key: str, now: float) -> None:
        """Keep a new key, in a file that is made where there is none. Raises ConfigError for a name that is taken."""
        await self._aside(self._add, record, key, now)

    async def replace(self, old: str, expires: float, record: KeyRecord, key: str) -> None:
        """Keep a new key and let the one with the id `old` expire, at the latest, at a moment; both or neither."""
        await self._aside(self._replace, old, expires, record, key)

    async def revoke(self, key_ids: list[str], now: float) -> None:
        """Let no one in with these keys from now on."""
        rows = [(now, key_id) for key_id in key_ids]
        await self._aside(self._change, "UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", rows)

    async def used(self, moments: Mapping[str, float]) -> None:
        """Note when keys, by id, were used last; a later moment that another process has noted stays."""
        rows = [(moment, key_id, moment) for key_id, moment in moments.items()]
        await self._aside(self._change, "UPDATE keys SET last_used = ? WHERE id = ? AND ifnull(last_used, 0) < ?", rows)

    async def _aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work in a thread of our own: the loop never waits for a disk, and no key for what others do in threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _find(self, key_id: str, key: str) -> KeyRecord | None:
        with self._database() as (database, secret):
            row = database.execute(_FIND, (key_id,)).fetchone()
        digest = _digest(secret, key.encode())
        same = hmac.compare_digest(digest, _NOTHING if row is None else row[-1])
        return _record(row) if same and row is not None else None

    def _all(self) -> list[KeyRecord]:
        with self._database() as (database, _):
            rows = database.execute(_ALL).fetchall()
        return [_record(row) for row in rows]

    def _add(self, record: KeyRecord, key: str, now: float) -> None:
        self._make()
        with self._database() as (database, secret), _transaction(database):
            if database.execute(_TAKEN, (record.name, record.subject, now)).fetchone():
                raise ConfigError(f"There is a key named {record.name} already; rotate or revoke it, or name another")
            database.execute(_INSERT, _row(record, secret, key))

    def _replace(self, old: str, expires: float, record: KeyRecord, key: str) -> None:
        with self._database() as (database, secret), _transaction(database):
            changed = database.execute(
                "UPDATE keys SET expires = min(ifnull(expires, ?1), ?1) WHERE id = ?2 AND revoked IS NULL",
                (expires, old),
            )
            if not changed.rowcount:
                raise ConfigError(f"The key {old} was revoked or removed meanwhile; create a new one")
            database.execute(_INSERT, _row(record, secret, key))

    def _change(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with self._database() as (database, _), _transaction(database):
            database.executemany(statement, rows)

    @contextmanager
    def _database(self) -> "Iterator[tuple[sqlite3.Connection, bytes]]":
        """The file, open, and the secret that its keys were hashed with. Raises OSError with a sentence."""
        if not self._path.is_file():
            raise FileNotFoundError(f"There is no key database {self._name}; bascule keys create makes one")
        secret = self._secret()
        try:
            database = sqlite3.connect(self._uri(), uri=True, timeout=_WAIT, isolation_level=None)
            try:
                self._check(database, secret)
                yield database, secret
            finally:
                database.close()
        except sqlite3.Error as error:
            raise OSError(f"The key database {self._name} cannot be used: {error}") from error

    def _check(self, database: sqlite3.Connection, secret: bytes) -> None:
        """Raise OSError unless the file is ours and the secret is the file's."""
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            raise OSError(f"The key database {self._name} is none, or was written by another version of Bascule")
        row = database.execute("SELECT digest FROM secret").fetchone()
        if row is None or not hmac.compare_digest(row[0], _digest(secret, _CHECK)):
            raise OSError(
                f"The secret in {self._name}.secret is not the one that the keys in {self._name} were made with"
            )

    def _make(self) -> None:
        """Make file and secret where there are none, both for this user only. Several processes may do so at once."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
            database = sqlite3.connect(self._uri(), uri=True, timeout=_WAIT * 4, isolation_level=None)
            try:
                with _transaction(database):
                    self._fill(database)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise OSError(f"The key database {self._name} cannot be made: {error}") from error
        except OSError as error:
            if error.strerror is None:
                raise
            raise OSError(f"The key database {self._name} cannot be made: {error.strerror}") from error

    def _fill(self, database: sqlite3.Connection) -> None:
        """Make the tables of a new file, and its secret."""
        if database.execute("PRAGMA user_version").fetchone()[0]:
            return
        if database.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise OSError(f"The file {self._name} is another program's database; name another file")
        if not self._secret_path.exists():
            self._make_secret()
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute("INSERT INTO secret VALUES (?)", (_digest(self._secret(), _CHECK),))

    def _make_secret(self) -> None:
        """Make the secret, whole at once, unless there is one."""
        fresh = self._secret_path.with_name(f"{self._secret_path.name}.{self._random(8).hex()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(self._random(_SECRET_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(fresh, self._secret_path)
        finally:
            fresh.unlink()

    def _secret(self) -> bytes:
        try:
            secret = bytes.fromhex(self._secret_path.read_text("ascii"))
        except OSError as error:
            raise OSError(
                f"The secret of the key database, {self._name}.secret, cannot be read: {error.strerror}; "
                "without it no key can be checked"
            ) from None
        except ValueError:
            secret = b""
        if len(secret) != _SECRET_BYTES:
            raise OSError(f"The secret of the key database, {self._name}.secret, is damaged; restore it")
        return secret

    def _uri(self) -> str:
        return f"{self._path.as_uri()}?mode=rw"


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    with database:
        yield


def _digest(secret: bytes, data: bytes) -> bytes:
    return hmac.digest(secret, data, "sha256")


def _record(row: Any) -> KeyRecord:
    key_id, subject, name, scopes, created, expires, revoked, last_used, *_ = row
    return KeyRecord(key_id, subject, name, tuple(scopes.split()), created, expires, revoked, last_used)


def _row(record: KeyRecord, secret: bytes, key: str) -> tuple[Any, ...]:
    digest = _digest(secret, key.encode())
    return (*record._replace(scopes=" ".join(record.scopes)), digest)  # type: ignore[arg-type]
