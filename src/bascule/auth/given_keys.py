"""API keys that stand in the settings themselves: `MCP_API_KEYS=first,second=tools:read+tools:write`.

Pure functions. What is wrong is told by its place in the list, never by its text.
"""

import hashlib
import logging
import re
from collections.abc import Sequence

from bascule.engine.exchange import Principal
from bascule.errors import ConfigError

log = logging.getLogger("bascule")

ISSUER = "api-key"
EVERYTHING = "*"
"""The scope that holds all others."""

GUESSABLE = 32
"""A key of fewer characters than this might be guessed, given time."""

MAX_KEY = 512
"""The longest key, in characters."""

_WEAK = 16
_SCOPE = re.compile(r"[A-Za-z0-9_.:/*-]{1,100}")
_KEY = re.compile(r"[!-<>-~]{1,512}?=*")
_ROUNDS = 10_000


def given_keys(entries: Sequence[str]) -> dict[str, Principal]:
    """The principal of each key. One without scopes holds all of them; equal signs at a key's end belong to it.

    Raises ConfigError. Some 3 ms a key: its id tells one who reads it as little as can be of a key that is too short.
    """
    found: dict[str, Principal] = {}
    for place, entry in enumerate(entries, 1):
        key, scopes = _parted(entry, place)
        if not _KEY.fullmatch(key) or len(key) > MAX_KEY:
            raise ConfigError(
                f"API key {place} in MCP_API_KEYS must be 1 to {MAX_KEY} printable ASCII characters without spaces"
            )
        if key in found:
            raise ConfigError(f"API key {place} in MCP_API_KEYS stands there twice")
        if len(key) < _WEAK:
            log.warning("API key %d in MCP_API_KEYS has fewer than %d characters and may be guessed", place, _WEAK)
        name = f"env-{hashlib.pbkdf2_hmac('sha256', key.encode(), b'bascule api key id', _ROUNDS, 6).hex()}"
        found[key] = Principal(ISSUER, name, client_id=name, scopes=scopes, anonymous=False)
    return found


def checked_scopes(scopes: Sequence[str]) -> frozenset[str]:
    """The scopes, or all of them where none is named. Raises ConfigError for one that is none."""
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise ConfigError(
                f"{scope[:100]!r} is no scope: letters, digits and _ . : / * - make one, as in tools:read"
            )
    return frozenset(scopes or (EVERYTHING,))


def _parted(entry: str, place: int) -> tuple[str, frozenset[str]]:
    """The key and the scopes in one entry."""
    key, sign, scopes = entry.rpartition("=")
    if not sign or not scopes:
        return entry, frozenset((EVERYTHING,))
    try:
        return key, checked_scopes(scopes.split("+"))
    except ConfigError:
        raise ConfigError(
            f"The scopes of API key {place} in MCP_API_KEYS are not scope+scope after the equal sign, as in tools:read"
        ) from None
