"""The answers that a server allows its client to keep for a while.

One client has one set of credentials, so what it keeps belongs to one authorization context, whether the server calls
it private or public. Bounded; the least lately used goes first. A notice that something has changed ends its keeping.
Answers are kept as bytes and read anew each time: whoever gets one may change it, and changes nobody else's.
Source: specification 2026-07-28, server/utilities/caching.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from bascule.wire.jsonrpc import encode
from bascule.wire.notices import PROMPTS_CHANGED, RESOURCE_UPDATED, RESOURCES_CHANGED, TOOLS_CHANGED
from bascule.wire.results import CacheableResult

MAX_ENTRIES = 1000
LONGEST = 86_400.0
"""Seconds for which an answer is kept at most, whatever the server allows."""

READ = "resources/read"

_LISTS = {
    TOOLS_CHANGED: ("tools/list",),
    PROMPTS_CHANGED: ("prompts/list",),
    RESOURCES_CHANGED: ("resources/list", "resources/templates/list"),
}


class _Entry(NamedTuple):
    until: float
    kind: type[CacheableResult]
    data: bytes


class ResponseCache:
    """Answers by request. `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()
        self.changes = 0
        """How often something was said to have changed: what was asked for before, may be old already."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, method: str, params: Mapping[str, Any]) -> Any:
        """The kept answer to a request, one of the caller's own, or None."""
        if not self._entries:
            return None
        key = _key(method, params)
        found = self._entries.get(key)
        if found is None:
            return None
        if found.until <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return msgspec.json.decode(found.data, type=found.kind)

    def put(self, method: str, params: Mapping[str, Any], result: Any) -> None:
        """Keep an answer for as long as it says that it may be kept."""
        if not isinstance(result, CacheableResult) or not isinstance(result.ttl_ms, int) or result.ttl_ms <= 0:
            return
        key = _key(method, params)
        until = self._clock() + min(result.ttl_ms / 1000, LONGEST)
        self._entries[key] = _Entry(until, type(result), encode(result))
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def note(self, method: str, params: Any) -> None:
        """Drop what a notice of the server says has changed."""
        self.changes += 1
        if method == RESOURCE_UPDATED and isinstance(params, dict):
            self._entries.pop(_key(READ, {"uri": params.get("uri")}), None)
        stale = _LISTS.get(method)
        if stale is not None:
            for key in [key for key in self._entries if key[0] in stale]:
                del self._entries[key]

    def clear(self) -> None:
        """Keep nothing of what was."""
        self.changes += 1
        self._entries.clear()


def _key(method: str, params: Mapping[str, Any]) -> tuple[str, bytes]:
    return method, msgspec.json.encode(params, order="deterministic")
