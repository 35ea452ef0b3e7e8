"""API keys at the door: which principal a request's key stands for.

Knows a KeyStore, keys from the settings, and the clock. A key that was found good is not looked up again for
RECHECK seconds, so a call costs one hash and one look-up in memory, and a revoked key is refused within that time. Keys
are remembered by a hash keyed with what this process alone knows: neither the keys nor a way to probe for them by time
is left in memory. What cannot be checked is refused.
"""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from bascule.auth.credential import credential
from bascule.auth.given_keys import GUESSABLE, ISSUER, MAX_KEY
from bascule.auth.key_text import PREFIX, id_of
from bascule.auth.throttle import Throttle
from bascule.engine.exchange import Principal
from bascule.engine.ports import Clock, KeyRecord, KeyStore, Random
from bascule.engine.settings import AuthSettings
from bascule.errors import CredentialsUnavailable, Forbidden

log = logging.getLogger("bascule")

RECHECK = 5.0
"""Seconds after which a key is looked up again: so long, at most, a revoked one is still let in."""

PATIENCE = 2.0
"""Seconds that a look-up may take."""

MAX_KNOWN = 10_000
MAX_CHECKS = 1000
"""How many keys are remembered, and how many are looked up at the same time."""

_UNKNOWN = "This API key is not known here; check that it is the right one for this server"
_ALWAYS = float("inf")


class _Known(NamedTuple):
    """A key that was found good: whose it is, and between which moments that holds."""

    principal: Principal
    since: float
    until: float
    guessable: bool


class ApiKeys:
    """An Authenticator for API keys, from the settings (`given`, by key) and from a store."""

    def __init__(
        self,
        given: Mapping[str, Principal],
        store: KeyStore | None,
        settings: AuthSettings,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        self._clock = clock
        self._salt = random(32)
        self._throttle = Throttle(settings.max_failures, settings.failure_window, clock)
        self._given = {
            self._mark(key): _Known(principal, -_ALWAYS, _ALWAYS, len(key) < GUESSABLE)
            for key, principal in given.items()
        }
        self._known: dict[bytes, _Known] = dict(self._given)
        self._store = store
        self._checks: dict[bytes, asyncio.Task[_Known]] = {}
        self._used: dict[str, float] = {}
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unreadable = self._unwritable = False
        """Whether the store failed when it was last used so; each outage is told once."""

    async def authenticate(self, headers: Mapping[str, str], address: str) -> Principal:
        """Whose key a request shows. Raises Unauthenticated, Forbidden, TooManyFailures, CredentialsUnavailable and
        InvalidRequest."""
        key = credential(headers)
        mark = self._mark(key)
        known = self._known.get(mark)
        if known is None or known.guessable:
            self._throttle.check(address)
        if known is not None and known.since <= self._clock() < known.until:
            return known.principal
        try:
            return (await self._check(key, mark)).principal
        except Forbidden:
            self._known.pop(mark, None)
            self._throttle.note(address)
            raise

    async def close(self) -> None:
        """Write down when keys were used last, if that takes no longer than PATIENCE."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                if self._writing is not None:
                    await asyncio.wait({self._writing})
                await self._write()

    def _mark(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(), digest_size=16, key=self._salt).digest()

    async def _check(self, key: str, mark: bytes) -> _Known:
        """Look a key up; those who ask for the same one at the same time wait for one look-up."""
        key_id = _id_of(key)
        if self._store is None:
            raise Forbidden(_UNKNOWN, reason="unknown_key")
        check = self._checks.get(mark)
        if check is None:
            if len(self._checks) >= MAX_CHECKS:
                raise CredentialsUnavailable
            check = asyncio.get_running_loop().create_task(self._look_up(self._store, key_id, key, mark))
            self._checks[mark] = check
            check.add_done_callback(lambda done: self._checked(mark, done))
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(check)
        except TimeoutError:
            self._tell_unreadable(f"no answer within {PATIENCE:g} seconds")
            raise CredentialsUnavailable from None

    def _checked(self, mark: bytes, check: "asyncio.Task[_Known]") -> None:
        del self._checks[mark]
        if not check.cancelled():
            check.exception()  # told to those who waited, if anybody still did

    async def _look_up(self, store: KeyStore, key_id: str, key: str, mark: bytes) -> _Known:
        now = self._clock()
        try:
            record = await store.find(key_id, key)
        except OSError as error:
            self._tell_unreadable(error)
            raise CredentialsUnavailable from None
        self._unreadable = False
        if record is None:
            raise Forbidden(_UNKNOWN, reason="unknown_key")
        _check_works(record, now)
        principal = _principal(record, self._known.get(mark))
        until = now + RECHECK if record.expires is None else min(now + RECHECK, record.expires)
        known = _Known(principal, now, until, False)
        self._remember(mark, known)
        self._note_use(record.id, now)
        return known

    def _tell_unreadable(self, why: object) -> None:
        if not self._unreadable:
            log.error("API keys cannot be checked, so their calls are refused: %s", why)
        self._unreadable = True

    def _remember(self, mark: bytes, known: _Known) -> None:
        self._known.pop(mark, None)
        if len(self._known) >= MAX_KNOWN + len(self._given):
            oldest = next(each for each in self._known if each not in self._given)
            del self._known[oldest]
        self._known[mark] = known

    def _note_use(self, key_id: str, now: float) -> None:
        """Have the use of a key written down, with that of others, some seconds later."""
        self._used[key_id] = now
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() < loop.time() - RECHECK:  # overdue: its loop runs no more
            self._timer = loop.call_later(RECHECK, self._start_writing)

    def _start_writing(self) -> None:
        self._timer = None
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
            self._writing.add_done_callback(self._written)

    def _written(self, _: object) -> None:
        self._writing = None

    async def _write(self) -> None:
        used, self._used = self._used, {}
        if not used or self._store is None:
            return
        try:
            await self._store.used(used)
        except OSError as error:
            if not self._unwritable:
                log.warning("the last use of API keys could not be written down: %s", error)
            self._unwritable = True
        else:
            self._unwritable = False


def _id_of(key: str) -> str:
    """The id in a key. Raises Forbidden where the store cannot know such a key."""
    if not key.startswith(PREFIX) or len(key) > MAX_KEY:
        raise Forbidden(_UNKNOWN, reason="unknown_key")
    found = id_of(key)
    if found is None:
        raise Forbidden("This API key is mistyped or cut short: its checksum does not fit", reason="mistyped_key")
    return found


def _check_works(record: KeyRecord, now: float) -> None:
    """Raise Forbidden for a key that was good once; only who holds it hears so."""
    if record.revoked is not None:
        raise Forbidden("This API key was revoked; ask for a new one", reason="revoked_key")
    if not record.works(now):
        raise Forbidden("This API key has expired; ask for a new one", reason="expired_key")


def principal_of(record: KeyRecord) -> Principal:
    """Whom a key stands for."""
    return Principal(ISSUER, record.subject, client_id=record.name, scopes=frozenset(record.scopes), anonymous=False)


def _principal(record: KeyRecord, before: _Known | None) -> Principal:
    """Whom a record stands for; the very object of before where nothing has changed, which others compare quickly."""
    found = principal_of(record)
    return before.principal if before is not None and before.principal == found else found
