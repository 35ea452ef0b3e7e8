"""Principals: the callers that a command line can name: the local user, one without credentials, the holder of a key.

Reads a key database where a key is named, and changes nothing there.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bascule.cli.spelling import unknown
from bascule.engine.exchange import ANONYMOUS, LOCAL, Principal
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.engine.ports import KeyRecord

WORDS = {"local": LOCAL, "anonymous": ANONYMOUS}
"""What stands for no key: the user at this machine, and a caller over HTTP that showed no credentials."""


def named(names: Iterable[str], database: str) -> dict[str, Principal]:
    """The principal of each name: one of WORDS, or the name or id of a key in a database, which is '' where no
    settings name one.

    Raises ConfigError for a name that there is not, and for a key that lets nobody in any more.
    """
    wanted = dict.fromkeys(names)
    keys = [name for name in wanted if name not in WORDS]
    records = _records(database, keys[0]) if keys else []
    return {name: WORDS[name] if name in WORDS else _of_key(name, records) for name in wanted}


def _records(database: str, name: str) -> "list[KeyRecord]":
    if not database:
        raise ConfigError(
            f"{unknown('There is no principal', name, WORDS)}, or the name of a key where a key database is named "
            "(--keys, or keys in [auth] of the settings)"
        )
    store = late("bascule.stores.sqlite_keys:SqliteKeys")(database)
    try:
        found: list[KeyRecord] = late("asyncio:run")(store.all())
    except OSError as error:
        raise ConfigError(str(error)) from None
    return found


def _of_key(name: str, records: "list[KeyRecord]") -> Principal:
    """The holder of the newest of the keys with a name or id that still works."""
    found = [record for record in records if name in (record.id, record.name)]
    if not found:
        if name.startswith(late("bascule.auth.key_text:PREFIX")):
            raise ConfigError("Name a key by its id or name, and not by itself: commands are kept in histories")
        raise ConfigError(unknown("There is no key", name, {*WORDS, *(record.name for record in records)}))
    now = time.time()
    working = [record for record in found if record.works(now)]
    if not working:
        raise ConfigError(f"The key {name!r} was revoked or has expired: it lets nobody in")
    principal: Principal = late("bascule.auth.keys:principal_of")(working[-1])
    return principal
