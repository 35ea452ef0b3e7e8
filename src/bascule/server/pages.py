"""Pages: a list of definitions, encoded once and handed out in pages.

A cursor is an opaque text naming the list's state and a position; one from another state or another list is refused.
Source: specification 2026-07-28, server/utilities/pagination.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2s
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from bascule.errors import InvalidParams
from bascule.wire.jsonrpc import encode

PAGE_SIZE = 1000
"""How many definitions a page holds unless the server says otherwise."""


class Page(NamedTuple):
    """One page: a JSON array, ready to be sent, and the cursor of the next, if there is one."""

    items: Raw
    next_cursor: str | UnsetType


class Pages:
    """All pages of one list as it stands now."""

    def __init__(self, items: Sequence[msgspec.Struct], size: int = PAGE_SIZE) -> None:
        encoded = [encode(item) for item in items]
        self._state = blake2s(b"".join(encoded), digest_size=6).digest()
        chunks = [encoded[start : start + size] for start in range(0, len(encoded), size)] or [[]]
        self._pages = [
            Page(Raw(b"[" + b",".join(chunk) + b"]"), self._cursor(index + 1) if index + 1 < len(chunks) else UNSET)
            for index, chunk in enumerate(chunks)
        ]

    def page(self, cursor: Any) -> Page:
        """The page that a cursor names; the first without one. Raises InvalidParams for a cursor that is not ours."""
        if cursor is UNSET:
            return self._pages[0]
        try:
            raw = urlsafe_b64decode(cursor)
        except ValueError:
            raw = b""
        index = int.from_bytes(raw[6:], "big")
        if raw[:6] != self._state or not 0 < index < len(self._pages):
            raise InvalidParams("Invalid params: the cursor is not valid any more; list again from the start")
        return self._pages[index]

    def _cursor(self, index: int) -> str:
        return urlsafe_b64encode(self._state + index.to_bytes(4, "big")).decode()
