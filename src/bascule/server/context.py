"""Context: what a handler may know of its request, and how it speaks to the client while it works.

Handed to the parameter annotated `Context`. Knows the Exchange and the server that owns the handler.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from bascule.engine.exchange import Exchange, Peer, Principal
from bascule.wire.content import ResourceContents
from bascule.wire.jsonrpc import Request, RequestId
from bascule.wire.notices import MESSAGE, PROGRESS, LogMessageParams, ProgressParams
from bascule.wire.requests import LogLevel

_SEVERITY: Final = {
    level: rank
    for rank, level in enumerate(("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"))
}

ReadResource = Callable[[str, Exchange], Awaitable[list[ResourceContents]]]


class Context:
    """One request, as its handler sees it."""

    __slots__ = ("_exchange", "_read", "lifespan")

    def __init__(self, exchange: Exchange, lifespan: Any, read: ReadResource) -> None:
        self._exchange = exchange
        self._read = read
        self.lifespan = lifespan
        """What the server's lifespan yielded (a connection pool, say), or None."""

    @property
    def request_id(self) -> RequestId:
        """The JSON-RPC id of the request."""
        return self._exchange.request_id

    @property
    def client(self) -> Peer:
        """The calling program: protocol version, self-reported name and version, capabilities."""
        return self._exchange.peer

    @property
    def protocol_version(self) -> str:
        """The protocol revision that this request speaks."""
        return self._exchange.peer.protocol_version

    @property
    def principal(self) -> Principal:
        """Who is calling, as far as the transport knows."""
        return self._exchange.principal

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP request's headers, names in lower case; empty on stdio."""
        return self._exchange.headers or {}

    @property
    def meta(self) -> dict[str, Any]:
        """The request's whole `_meta`, own keys of the client included; decoded when asked for."""
        raw = self._exchange.raw_params
        meta = msgspec.json.decode(raw, type=dict[str, Raw]).get("_meta") if raw is not None else None
        found = None if meta is None else msgspec.json.decode(meta)
        return found if isinstance(found, dict) else {}

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell the client how far the work has come. Without effect where it did not ask, or where `progress` fell.

        Source: specification 2026-07-28, basic/patterns/progress.
        """
        exchange = self._exchange
        token, last = exchange.progress_token, exchange.last_progress
        if (
            token is None
            or exchange.cancelled
            or not math.isfinite(progress)
            or (last is not None and progress <= last)
        ):
            return
        exchange.last_progress = progress
        await exchange.notify(Request(PROGRESS, ProgressParams(token, progress, total, message)))

    async def log(self, level: LogLevel, data: Any, logger: str | None = None) -> None:
        """Send the client a log message (any JSON value). Without effect below the level that it asked for."""
        exchange = self._exchange
        wanted = exchange.log_level
        if wanted is None or exchange.cancelled or _SEVERITY[level] < _SEVERITY[wanted]:
            return
        await exchange.notify(Request(MESSAGE, LogMessageParams(level, data, logger)))

    async def debug(self, data: Any, logger: str | None = None) -> None:
        """Log at level debug."""
        await self.log("debug", data, logger)

    async def info(self, data: Any, logger: str | None = None) -> None:
        """Log at level info."""
        await self.log("info", data, logger)

    async def warning(self, data: Any, logger: str | None = None) -> None:
        """Log at level warning."""
        await self.log("warning", data, logger)

    async def error(self, data: Any, logger: str | None = None) -> None:
        """Log at level error."""
        await self.log("error", data, logger)

    async def read_resource(self, uri: str) -> list[ResourceContents]:
        """The contents of one of this server's own resources. Raises ResourceNotFound."""
        return await self._read(uri, self._exchange)
