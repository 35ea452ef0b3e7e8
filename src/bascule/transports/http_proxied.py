"""Requests through the proxies that the environment names: httpx2 knows them all, and whom they are not for.

Knows httpx2; turns its exceptions into ours. It is the long way, taken only where a proxy may stand between.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.request import getproxies

import httpx2

from bascule.transports.http_heads import AGENT
from bascule.transports.http_sender import KEEPALIVE_EXPIRY, MAX_CONNECTIONS, Asked, Peer


def may_be_proxied(host: str) -> bool:
    """Whether the environment names proxies; none stands between this machine and itself."""
    return not (host in {"localhost", "::1"} or host.startswith("127.")) and bool(getproxies())


class Proxied:
    """A Sender."""

    def __init__(self, peer: Peer, headers: Mapping[str, str]) -> None:
        self._peer = peer
        self._patient = httpx2.Timeout(None, connect=peer.connect_timeout)
        self._client = httpx2.AsyncClient(
            headers={"User-Agent": AGENT, **headers},
            timeout=httpx2.Timeout(peer.read_timeout, connect=peer.connect_timeout, pool=None),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_EXPIRY),
        )

    async def send(self, asked: Asked) -> "ProxiedReply":
        """As Sender promises."""
        timeout = self._patient if asked.patient else httpx2.USE_CLIENT_DEFAULT
        with _translated(self._peer):
            request = self._client.build_request(
                asked.method, asked.url, content=asked.body, headers=dict(asked.headers), timeout=timeout
            )
            return ProxiedReply(self._peer, await self._client.send(request, stream=True))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


class ProxiedReply:
    """A Reply."""

    def __init__(self, peer: Peer, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.reason = response.reason_phrase
        self.headers: Mapping[str, str] = response.headers
        self._peer = peer
        self._response = response
        self._pieces = response.aiter_bytes()

    async def next(self) -> bytes:
        """The next piece of the body; nothing at its end."""
        with _translated(self._peer):
            return await anext(self._pieces, b"")

    async def close(self) -> None:
        """Let go of it."""
        await self._pieces.aclose()
        await self._response.aclose()


@contextmanager
def _translated(peer: Peer) -> Iterator[None]:
    """Turn the HTTP library's exceptions into ours."""
    try:
        yield
    except httpx2.ConnectTimeout as wrong:
        raise peer.slow() from wrong
    except httpx2.TimeoutException as wrong:
        raise peer.silent() from wrong
    except httpx2.ConnectError as wrong:
        raise peer.unreachable(str(wrong)) from wrong
    except (httpx2.HTTPError, httpx2.StreamError) as wrong:
        raise peer.lost(str(wrong) or type(wrong).__name__) from wrong
