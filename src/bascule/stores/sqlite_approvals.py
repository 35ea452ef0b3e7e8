"""Approvals in one SQLite file, for all processes of a server and for the operator at the command line; and the marks
of confirmations that were used, which those processes must share too.

What was decided stays as a record for a while; what nobody decided is dropped when it expires. Each step is one
transaction, so that of two processes with the same call exactly one spends its approval.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from bascule.engine.ports import Approval, Clock, Random, Wanted
from bascule.engine.settings import ApprovalSettings
from bascule.stores.sqlite_file import SqliteFile

KEPT_FOR = 90 * 86_400.0
"""Seconds for which it can be looked up what was decided, and by whom."""

MAX_MARKS = 100_000

_APPLICATION = 0x62736361
_SCHEMA = """
CREATE TABLE IF NOT EXISTS approvals (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, server TEXT NOT NULL, kind TEXT NOT NULL, method TEXT NOT NULL,
    name TEXT NOT NULL, arguments BLOB NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
    decided_by TEXT, decided REAL, spent REAL, call BLOB NOT NULL, ttl REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS approvals_call ON approvals (call, state);
CREATE INDEX IF NOT EXISTS approvals_owner ON approvals (state, owner);
CREATE TABLE IF NOT EXISTS marks (mark TEXT PRIMARY KEY, until REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS marks_until ON marks (until)
"""
_OF_CALL = """
SELECT * FROM approvals WHERE call = ? AND expires >= ? AND state IN ('pending', 'approved', 'denied') ORDER BY created
"""
_INSERT = "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, NULL, NULL, NULL, ?, ?)"
_COUNT = "SELECT count(*), count(*) FILTER (WHERE owner = ?) FROM approvals WHERE state = 'pending'"
_DECIDE = """
UPDATE approvals SET state = ?, decided_by = ?, decided = ?, expires = ? + ttl WHERE id = ? AND state = 'pending'
"""
_BY_ID = "SELECT * FROM approvals WHERE id = ?"
_PENDING = "SELECT * FROM approvals WHERE state = 'pending' ORDER BY created"
_ALL = "SELECT * FROM approvals ORDER BY created"


class SqliteApprovals:
    """The approvals in one file. `clock` tells seconds since the epoch; all methods raise OSError where it fails."""

    def __init__(
        self, path: str, settings: ApprovalSettings | None = None, clock: Clock = time.time, random: Random = os.urandom
    ) -> None:
        self._file = SqliteFile(path, _SCHEMA, _APPLICATION)
        self._settings = settings or ApprovalSettings()
        self._clock = clock
        self._random = random

    async def present(self, wanted: Wanted) -> Approval | None:
        """Spend the approval of a call where it has one, else ask for one; None where too many are pending."""
        return await self._file.write(partial(self._present, wanted=wanted))

    async def decide(self, id: str, approve: bool, by: str) -> Approval | None:
        """Approve or deny what is pending. Returns it as it stands after that: somebody else may have been quicker.

        None where there is no such approval, or it has expired. Once approved, it can be used for as long again as it
        could be given.
        """
        return await self._file.write(partial(self._decide, id=id, approve=approve, by=by))

    async def find(self, id: str) -> Approval | None:
        """One approval, as long as it is on record."""
        found = await self._file.write(partial(self._select, query=_BY_ID, values=(id,)))
        return found[0] if found else None

    async def listed(self, everything: bool = False) -> list[Approval]:
        """What is pending, oldest first; or all that is on record."""
        return await self._file.write(partial(self._select, query=_ALL if everything else _PENDING))

    async def take(self, mark: str, until: float) -> bool:
        """Take a mark; False where it was taken before, or there are too many to remember."""
        return await self._file.write(partial(self._take, mark=mark, until=until))

    async def close(self) -> None:
        """Close the file."""
        await self._file.close()

    def _present(self, database: sqlite3.Connection, wanted: Wanted) -> Approval | None:
        now = self._drop_old(database)
        call = _digest(wanted)
        found = _rows(database, _OF_CALL, (call, now))
        for approval in found:
            if approval.state == "approved":
                database.execute("UPDATE approvals SET state = 'spent', spent = ? WHERE id = ?", (now, approval.id))
                return approval._replace(state="spent", spent=now)
        if found:
            return found[-1]
        if not self._room(database, wanted):
            return None
        approval = Approval(self._random(6).hex(), wanted, "pending", now, now + self._settings.ttl)
        values = (approval.id, _owner(wanted), *wanted[1:], now, approval.expires, call, self._settings.ttl)
        database.execute(_INSERT, values)
        return approval

    def _room(self, database: sqlite3.Connection, wanted: Wanted) -> bool:
        everybody, own = database.execute(_COUNT, (_owner(wanted),)).fetchone()
        return bool(everybody < self._settings.max_pending and own < self._settings.max_pending_per_principal)

    def _decide(self, database: sqlite3.Connection, id: str, approve: bool, by: str) -> Approval | None:
        now = self._drop_old(database)
        database.execute(_DECIDE, ("approved" if approve else "denied", by, now, now, id))
        found = _rows(database, _BY_ID, (id,))
        return found[0] if found else None

    def _select(self, database: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> list[Approval]:
        self._drop_old(database)
        return _rows(database, query, values)

    def _take(self, database: sqlite3.Connection, mark: str, until: float) -> bool:
        database.execute("DELETE FROM marks WHERE until < ?", (self._clock(),))
        (count,) = database.execute("SELECT count(*) FROM marks").fetchone()
        if count >= MAX_MARKS:
            return False
        return database.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (mark, until)).rowcount == 1

    def _drop_old(self, database: sqlite3.Connection) -> float:
        """Drop what is over; returns the time."""
        now = self._clock()
        database.execute("DELETE FROM approvals WHERE state = 'pending' AND expires < ?", (now,))
        database.execute("DELETE FROM approvals WHERE created < ?", (now - KEPT_FOR,))
        return now


def _rows(database: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[Approval]:
    return [
        Approval(row[0], Wanted(msgspec.json.decode(row[1], type=tuple[str, str, str, str]), *row[2:7]), *row[7:13])
        for row in database.execute(query, values)
    ]


def _owner(wanted: Wanted) -> str:
    return msgspec.json.encode(wanted.owner).decode()


def _digest(wanted: Wanted) -> bytes:
    """32 bytes, equal for equal calls of the same caller only."""
    parts = [*wanted[:-1], wanted.arguments.decode()]
    return sha256(msgspec.json.encode(parts)).digest()
