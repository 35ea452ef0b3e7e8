"""Pages: a list of definitions, encoded once and handed out in pages.

A cursor is an opaque, signed text naming the list's state and a position; one that was changed, or is from another
state or another list, is refused.
Source: specification 2026-07-28, server/utilities/pagination.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b, blake2s
from hmac import compare_digest
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from bascule.errors import InvalidParams
from bascule.wire.jsonrpc import encode

PAGE_SIZE = 1000
"""How many definitions a page holds unless the server says otherwise."""


_STATE, _SIGNATURE = 6, 12


class Page(NamedTuple):
    """One page: a JSON array, ready to be sent, and the cursor of the next, if there is one."""

    items: Raw
    next_cursor: str | UnsetType


class Pages:
    """All pages of one list as it stands now."""

    def __init__(self, items: Sequence[msgspec.Struct], size: int, keys: Sequence[bytes]) -> None:
        """`keys` sign cursors, the first one; each of them is good for checking."""
        self._keys = keys
        encoded = [encode(item) for item in items]
        self._state = blake2s(b"".join(encoded), digest_size=_STATE).digest()
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
        signature, said = raw[:_SIGNATURE], raw[_SIGNATURE:]
        index = int.from_bytes(said[_STATE:], "big")
        signed = any(compare_digest(signature, _signed(said, key)) for key in self._keys)
        if not signed or said[:_STATE] != self._state or not 0 < index < len(self._pages):
            raise InvalidParams("Invalid params: the cursor is not valid any more; list again from the start")
        return self._pages[index]

    def _cursor(self, index: int) -> str:
        said = self._state + index.to_bytes(4, "big")
        return urlsafe_b64encode(_signed(said, self._keys[0]) + said).decode()


def _signed(said: bytes, key: bytes) -> bytes:
    return blake2b(said, key=key, digest_size=_SIGNATURE, person=b"bascule cursor").digest()
