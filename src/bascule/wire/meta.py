"""The names that `_meta` may have: which an author may use, which are the protocol's own; and the trace context.

Source: specification 2026-07-28, basic/index, "_meta", "Key name format" and "Reserved keys"; W3C Trace Context and
Baggage.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import UnsetType

from bascule.wire.requests import RequestMeta

_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:(?P<prefix>{_LABEL}(?:\.{_LABEL})*)/)?(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
_PROTOCOL = frozenset({"modelcontextprotocol", "mcp"})
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]*)?")
_MAX_TRACEPARENT = 256
_MAX_TRACESTATE = 512
_MAX_BAGGAGE = 8192
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


def trace_in(meta: RequestMeta | UnsetType) -> dict[str, str]:
    """The trace context that came with a request, as it may be passed on in another `_meta`; without what is not valid.

    Lengths are those that the W3C asks every platform to carry.
    """
    if isinstance(meta, UnsetType):
        return {}
    found: dict[str, str] = {}
    parent, state, baggage = meta.traceparent, meta.tracestate, meta.baggage
    if isinstance(parent, str) and len(parent) <= _MAX_TRACEPARENT and _TRACEPARENT.fullmatch(parent):
        found["traceparent"] = parent
        if _is_header(state, _MAX_TRACESTATE):
            found["tracestate"] = state
    if _is_header(baggage, _MAX_BAGGAGE):
        found["baggage"] = baggage
    return found


def _is_header(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable()
