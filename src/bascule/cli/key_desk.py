"""The desk where keys are handed out, taken back and listed: what `bascule keys` does to one key database.

Knows a KeyStore and a Screen. What the store cannot do becomes a ConfigError, one sentence for the operator.
"""

import os
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from bascule import config
from bascule.auth.given_keys import checked_scopes
from bascule.auth.key_text import PREFIX, NewKey, make_key
from bascule.auth.keys import RECHECK
from bascule.cli import exits
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.engine.ports import KeyRecord
from bascule.errors import ConfigError
from bascule.stores.sqlite_keys import SqliteKeys

T = TypeVar("T")

FILE = "keys.db"
"""The key database where neither settings nor --db name one."""

_AS_BEFORE = -1.0


class KeyDesk:
    """Works on one key database: that of `db`, or of the settings, in the file `settings` where that names one."""

    def __init__(self, db: str | None, settings: str | None, *, as_json: bool) -> None:
        configured = config.load(settings).auth.keys
        path = db or configured or FILE
        self._path = path
        self._configured = bool(configured) and Path(configured).resolve() == Path(path).resolve()
        self._store = SqliteKeys(path)
        self._screen = Screen.claim()
        self._json = as_json

    async def create(self, name: str, scopes: Sequence[str], life: float | None) -> int:
        """Make and print a key for `life` seconds, for ever with None."""
        held, now, key = checked_scopes(scopes), time.time(), make_key(os.urandom)
        expires = None if life is None else now + life
        record = KeyRecord(key.id, key.id, name, tuple(sorted(held)), now, expires)
        await _told(self._store.add(record, key.text, now))
        good = "everything (--scopes narrows it)" if record.scopes == ("*",) else " ".join(record.scopes)
        until = "for ever" if expires is None else f"until {_moment(expires)}"
        await self._show(record, key, f"Key {record.id} for {record.name} is good for {good}, {until}.")
        if not self._configured and not self._json:
            self._screen.remark(f'A server asks for it with keys = "{self._path}" in [auth] of bascule.toml.')
        return exits.OK

    async def show(self) -> int:
        """Print one line for each key."""
        now, records = time.time(), await _told(self._store.all())
        if self._json:
            self._screen.raw([_fields(record, now) for record in records])
        elif records:
            self._screen.table(_COLUMNS, [_row(record, now) for record in records])
        else:
            self._screen.remark("There are no keys; bascule keys create makes one")
        return exits.OK

    async def revoke(self, word: str) -> int:
        """Revoke the key with an id, or all with a name."""
        now = time.time()
        meant = [record for record in await self._meant(word) if record.revoked is None]
        await _told(self._store.revoke([record.id for record in meant], now))
        revoked = [record._replace(revoked=now) for record in meant]
        if self._json:
            self._screen.raw([_fields(record, now) for record in revoked])
            return exits.OK
        for record in revoked:
            within = f"a running server refuses it within {RECHECK:g} seconds"
            self._screen.text(f"Revoked {record.id} ({record.name}): {within}")
        if not revoked:
            self._screen.text(f"{word} was revoked before")
        return exits.OK

    async def rotate(self, word: str, overlap: float, life: float | None = _AS_BEFORE) -> int:
        """Make and print a key in place of another, which is good for `overlap` seconds yet.

        The new one is good for `life` seconds; unless said, as long as the old one was.
        """
        now = time.time()
        old = next((record for record in reversed(await self._meant(word)) if record.works(now)), None)
        if old is None:
            raise ConfigError(f"{word} was revoked or has expired: there is nothing to replace; create a new key")
        if life == _AS_BEFORE:
            life = None if old.expires is None else old.expires - old.created
        key = make_key(os.urandom)
        record = old._replace(id=key.id, created=now, expires=None if life is None else now + life, last_used=None)
        await _told(self._store.replace(old.id, now + overlap, record, key.text))
        ends = now + overlap if old.expires is None else min(now + overlap, old.expires)
        await self._show(record, key, f"Key {record.id} replaces {old.id}, which is good until {_moment(ends)}.")
        return exits.OK

    async def _meant(self, word: str) -> list[KeyRecord]:
        """The keys with an id or a name, oldest first; at least one."""
        records = await _told(self._store.all())
        found = [record for record in records if record.id == word] or [each for each in records if each.name == word]
        if found:
            return found
        if word.startswith(PREFIX):
            raise ConfigError("Name a key by its id or name, and not by itself: commands are kept in histories")
        raise ConfigError(unknown("There is no key", word, {record.name for record in records}))

    async def _show(self, record: KeyRecord, key: NewKey, remark: str) -> None:
        """Print a new key; one that cannot be printed is revoked, because nobody has it."""
        try:
            if self._json:
                self._screen.raw({**_fields(record, record.created), "key": key.text})
            else:
                self._screen.text(key.text)
        except OSError as error:
            await _told(self._store.revoke([record.id], time.time()))
            if isinstance(error, BrokenPipeError):
                raise
            raise ConfigError(f"The new key could not be printed, and was revoked: {error.strerror}") from None
        if not self._json:
            self._screen.remark(f"{remark}\nThis is the only time that it is shown.")


async def _told(work: Awaitable[T]) -> T:
    """What a store answers; its failure as a sentence for the operator."""
    try:
        return await work
    except OSError as error:
        raise ConfigError(str(error)) from None


_COLUMNS = ("ID", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES", "LAST USED")


def _row(record: KeyRecord, now: float) -> list[str]:
    moments = [_moment(each) for each in (record.created, record.expires, record.last_used)]
    return [record.id, record.name, " ".join(record.scopes), _state(record, now), *moments]


def _fields(record: KeyRecord, now: float) -> dict[str, Any]:
    """A record for programs. Times as ISO 8601, null where there is none."""
    return {
        "id": record.id,
        "name": record.name,
        "scopes": list(record.scopes),
        "state": _state(record, now),
        "subject": record.subject,
        "created": _moment(record.created),
        "expires": _moment(record.expires) or None,
        "revoked": _moment(record.revoked) or None,
        "lastUsed": _moment(record.last_used) or None,
    }


def _state(record: KeyRecord, now: float) -> str:
    if record.revoked is not None:
        return "revoked"
    return "valid" if record.works(now) else "expired"


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
