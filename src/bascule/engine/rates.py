"""Rates as people write them: `10/s, 600/h` becomes windows, and a wrong one an error that says what is wrong.

Also the keys under which starts are counted: parts are joined so that no two callers can be made to share one.
Pure functions; what counts is a store.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from bascule.engine.policy import Window
from bascule.errors import ConfigError

MAX_LIMIT = 1_000_000_000
MAX_PERIOD = 366 * 86_400.0
MIN_PERIOD = 0.001
MAX_WINDOWS = 8

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
_WINDOW = re.compile(r"\s*([0-9]{1,10})\s*/\s*([0-9]{0,8})\s*([a-z]+)\s*")


def windows(limit: str | Sequence[Window]) -> tuple[Window, ...]:
    """The windows of a text such as `60/min`, `5/10s` or `10/s, 600/h`; all of them hold at once.

    Units are s, min, h and d, or the words; a window that is said twice counts once. Windows themselves are checked
    and handed back. Raises ConfigError.
    """
    return _parsed(limit) if isinstance(limit, str) else _checked(tuple(limit))


def joined(*parts: str) -> str:
    """One text for several, equal for equal parts only: each stands behind its length, so none can pose as two."""
    return "".join([f"{len(part)}:{part}" for part in parts])


@lru_cache(1024)
def network(address: str) -> str:
    """Whom a client's address stands for: an IPv4 address for itself, an IPv6 one for its /64, which one site holds.

    What is no address stands for itself.
    """
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


@lru_cache(256)
def _parsed(text: str) -> tuple[Window, ...]:
    return _checked(tuple(_window(part) for part in text.split(",")))


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    unit = None if found is None else _UNITS.get(found[3])
    if found is None or unit is None:
        raise ConfigError(
            f"The rate {text.strip()[:50]!r} must be a number of calls per time, as in 60/min, 5/10s or 10/s, 600/h"
        )
    return Window(int(found[1]), int(found[2] or "1") * unit)


@lru_cache(256)
def _checked(found: tuple[Window, ...]) -> tuple[Window, ...]:
    if not 1 <= len(found) <= MAX_WINDOWS:
        raise ConfigError(f"A rate must have 1 to {MAX_WINDOWS} windows, and this one has {len(found)}")
    for limit, per in found:
        if not (limit == limit // 1 and 1 <= limit <= MAX_LIMIT):
            raise ConfigError(f"The rate {limit}/{per:g} s must allow 1 to {MAX_LIMIT} calls; to allow none, use deny")
        if not (math.isfinite(per) and MIN_PERIOD <= per <= MAX_PERIOD):
            raise ConfigError(f"The rate {limit}/{per:g} s must be per {MIN_PERIOD:g} s to 366 days")
    return tuple(dict.fromkeys(Window(int(limit), float(per)) for limit, per in found))
