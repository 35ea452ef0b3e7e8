"""The HTTP cache's store: bodies in memory, at most so many bytes, the longest unused going first.

What may be kept and for how long is hishel's matter (RFC 9111, as a shared cache). Only whole bodies are kept.
"""

import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import replace

from hishel import AsyncBaseStorage, Entry, Headers, Request, Response

_OVERHEAD = 1024
"""Bytes that an entry counts besides its body and the text of its headers."""


class MemoryStorage(AsyncBaseStorage):
    """Entries of at most `max_bytes` together; one body is at most an eighth of that."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_stream_size=max_bytes // 8)
        self._most = max_bytes
        self._size = 0
        self._entries: OrderedDict[uuid.UUID, tuple[str, Entry, bytes, int]] = OrderedDict()

    async def create_entry(
        self,
        request: Request,
        response: Response,
        key: str,
        *,
        ttl: float | None = None,
        tti: float | None = None,
    ) -> Entry:
        entry = Entry(uuid.uuid4(), request, response)
        return replace(entry, response=replace(response, stream=self._saving(entry, key)))

    async def get_entries(self, key: str) -> list[Entry]:
        found = [number for number, (own, _, _, _) in self._entries.items() if own == key]
        for number in found:
            self._entries.move_to_end(number)
        return [self._shown(self._entries[number]) for number in found]

    async def update_headers(self, id: uuid.UUID, headers: Headers) -> None:
        if id in self._entries:
            key, entry, body, size = self._entries[id]
            self._entries[id] = (key, replace(entry, response=replace(entry.response, headers=headers)), body, size)

    async def remove_entry(self, id: uuid.UUID) -> None:
        if id in self._entries:
            self._size -= self._entries.pop(id)[3]

    def _shown(self, kept: tuple[str, Entry, bytes, int]) -> Entry:
        _, entry, body, _ = kept
        return replace(entry, response=replace(entry.response, stream=_one(body)))

    async def _saving(self, entry: Entry, key: str) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        size = 0
        stream = entry.response.stream
        if not isinstance(stream, AsyncIterator):
            return
        async for part in stream:
            size += len(part)
            if size <= (self.max_stream_size or 0):
                parts.append(part)
            yield part
        if size <= (self.max_stream_size or 0):
            self._keep(entry, key, b"".join(parts))

    def _keep(self, entry: Entry, key: str, body: bytes) -> None:
        told = sum(len(name) + len(value) for name, value in entry.response.headers.items())
        size = len(body) + told + _OVERHEAD
        for number in [number for number, (own, _, _, _) in self._entries.items() if own == key]:
            self._size -= self._entries.pop(number)[3]
        self._entries[entry.id] = (key, replace(entry, response=replace(entry.response, stream=None)), body, size)
        self._size += size
        while self._size > self._most:
            _, (_, _, _, gone) = self._entries.popitem(last=False)
            self._size -= gone


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body
