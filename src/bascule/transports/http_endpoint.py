"""One HTTP endpoint as a client sees it: requests go out, streamed replies come back.

Knows URLs and a Sender; knows no message. A redirect is followed only within the origin that the user named, because
the request carries the user's headers. Error texts name the origin and nothing that could be a secret.
Source: RFC 9110; the specification, basic/transports/streamable-http.
"""

from collections.abc import Mapping

import httpx2

from bascule.engine.connection import OnWire
from bascule.errors import ConfigError, MCPError, ParseError
from bascule.transports.http_direct import Direct
from bascule.transports.http_heads import checked
from bascule.transports.http_proxied import Proxied, may_be_proxied
from bascule.transports.http_sender import Asked, Peer, Reply, Sender
from bascule.transports.http_watch import Watched

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 307, 308})


class Endpoint:
    """An HTTP endpoint, and the connections to it."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        connect_timeout: float | None,
        read_timeout: float | None,
        on_wire: OnWire | None = None,
    ) -> None:
        """Raises ConfigError for a URL or a header that cannot be sent. `on_wire` is shown every message."""
        self._url = _checked_url(url)
        self.origin = _origin(self._url)
        peer = Peer(self.origin, connect_timeout, read_timeout)
        own = checked(headers)
        proxied = may_be_proxied(self._url.host)
        self._sender: Sender = Proxied(peer, own) if proxied else Direct(peer, self._url, own)
        if on_wire is not None:
            self._sender = Watched(self._sender, own, on_wire)

    async def send(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, *, patient: bool = False
    ) -> Reply:
        """Send one request; returns when the reply's head is there. The caller closes the reply.

        With `patient` the server may be silent for as long as it likes: the caller keeps the time.
        Raises ConnectionLost, CallTimedOut, ConfigError for a header that cannot be sent, or MCPError for a redirect
        that must not be followed.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            reply = await self._sender.send(Asked(method, self._url, headers, body, patient))
            if reply.status not in _REDIRECTS:
                return reply
            await reply.close()
            self._url = self._followed(reply)
        raise MCPError(f"The server at {self.origin} redirects in a circle", code=reply.status, status=reply.status)

    async def read(self, reply: Reply, max_bytes: int) -> bytes:
        """The whole body. Raises ParseError when it is larger than `max_bytes`, without reading on."""
        parts: list[bytes] = []
        size = 0
        while part := await reply.next():
            size += len(part)
            if size > max_bytes:
                raise ParseError(f"The server at {self.origin} sent a reply of more than {max_bytes} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def close(self) -> None:
        """Close all connections; replies that are still read fail with ConnectionLost."""
        await self._sender.close()

    def _followed(self, reply: Reply) -> httpx2.URL:
        try:
            target = self._url.join(reply.headers.get("location", ""))
        except httpx2.InvalidURL:
            target = httpx2.URL()
        if _origin(target) == self.origin:
            return target
        raise MCPError(
            f"The server at {self.origin} redirects to another origin, {_origin(target)}; use that URL if you trust it",
            code=reply.status,
            status=reply.status,
        )


def _checked_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, ValueError) as wrong:
        raise ConfigError(f"The server's URL is not valid: {wrong}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigError("The server's URL must begin with http:// or https:// and name a host")
    return parsed


def _origin(url: httpx2.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{host}:{port}"
