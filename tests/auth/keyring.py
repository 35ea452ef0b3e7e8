"""Keys for tests: a database, keys in it, and the authenticator that a server gets."""

import asyncio
import os

from bascule.auth.given_keys import given_keys
from bascule.auth.key_text import make_key
from bascule.auth.keys import ApiKeys
from bascule.engine.ports import KeyRecord
from bascule.engine.settings import AuthSettings
from bascule.stores.sqlite_keys import SqliteKeys
from bascule.testing import ManualClock

START = 1_700_000_000.0


class Keyring:
    """A key database at a path, on a clock that stands still."""

    def __init__(self, path):
        self.path = path
        self.clock = ManualClock(START)
        self.store = SqliteKeys(str(path))

    def make(self, name="ci", *, scopes=("*",), expires=None, subject=None):
        """A key in the database; its record, and its text."""
        key = make_key(os.urandom)
        record = KeyRecord(key.id, subject or key.id, name, tuple(scopes), self.clock(), expires)
        asyncio.run(self.store.add(record, key.text, self.clock()))
        return record, key.text

    def rotate(self, old, overlap):
        """A key in place of another, which is good for `overlap` seconds yet."""
        key = make_key(os.urandom)
        record = old._replace(id=key.id, created=self.clock())
        asyncio.run(self.store.replace(old.id, self.clock() + overlap, record, key.text))
        return record, key.text

    def revoke(self, record):
        asyncio.run(self.store.revoke([record.id], self.clock()))

    def last_used(self, record):
        return {each.id: each.last_used for each in asyncio.run(self.store.all())}[record.id]

    def door(self, *given, store=None, **settings):
        """The authenticator: of the database, and of keys as the environment gives them."""
        return ApiKeys(given_keys(given), store or self.store, AuthSettings(**settings), self.clock)
