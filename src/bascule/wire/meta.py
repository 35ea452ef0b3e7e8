"""The names that `_meta` may have: which of them an author may use, and which are the protocol's own.

Source: specification 2026-07-28, basic/index, "_meta", "Key name format" and "Reserved keys".
"""

import re
from collections.abc import Mapping
from typing import Any

_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:(?P<prefix>{_LABEL}(?:\.{_LABEL})*)/)?(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
_PROTOCOL = frozenset({"modelcontextprotocol", "mcp"})
_RESERVED = frozenset({"progressToken"})


def fault_in(meta: Mapping[Any, object]) -> str | None:
    """What is wrong with the first name that an author may not use, in a sentence; None where all are good."""
    for name in meta:
        found = _KEY.fullmatch(name) if isinstance(name, str) else None
        if found is None or not name:
            return f"the name {name!r} in _meta must be like com.example/name: a prefix of dotted labels, and a name"
        if name in _RESERVED or _PROTOCOL.intersection((found["prefix"] or "").split(".")[1:2]):
            return f"the name {name!r} in _meta is the protocol's own"
    return None
