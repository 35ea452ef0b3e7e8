"""The fetcher: from a URL to what its last redirect answers, within the limits.

Follows redirects itself, each checked like the first; a refresh that a page asks for is not followed.
"""

import asyncio
from typing import NamedTuple

import httpcore2
import httpx2
from hishel import CacheOptions
from hishel.httpx2 import AsyncCacheTransport

from bascule import PermissionDenied, RateLimiter, UpstreamFailed, UpstreamTimeout, __version__
from bascule.checks.urls import PublicURL, check_url, redirected
from bascule.servers.fetch.cache import MemoryStorage
from bascule.servers.fetch.limits import Limits, Unreadable
from bascule.servers.fetch.network import Network
from bascule.servers.fetch.readers import Readers
from bascule.servers.fetch.robots import Robots
from bascule.servers.fetch.transport import CheckedTransport, TooLong

AGENT = "Bascule"
HEADERS = {
    "User-Agent": f"{AGENT}/{__version__}",
    "Accept": "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip, deflate, br",
}
_MOVED = frozenset({301, 302, 303, 307, 308})
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate", "br"})
_SLOW = (httpcore2.TimeoutException, httpx2.TimeoutException, TimeoutError)
_BROKEN = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    OSError,
    EOFError,
    ValueError,
)


class Fetched(NamedTuple):
    """What a URL answered in the end: where that was, and the body, cut where it is longer than allowed."""

    url: PublicURL
    status: int
    media_type: str
    charset: str | None
    body: bytes
    cut: bool


class Fetcher:
    """Fetches pages of the public web; use it in one event loop, and close it."""

    def __init__(self, allow: frozenset[str] | None, limits: Limits, network: Network) -> None:
        self._allow = allow
        self._limits = limits
        self._rates = RateLimiter()
        self.readers = Readers(limits)
        plain = CheckedTransport(network, limits, allow, self._rates)
        self._transport = AsyncCacheTransport(plain, MemoryStorage(limits.cache_bytes), rfc=CacheOptions(shared=True))
        self._robots = Robots(self._robots_text, self.readers, limits, network.clock)

    async def close(self) -> None:
        """End connections, processes and counters."""
        await self._transport.aclose()
        await self.readers.close()
        await self._rates.close()

    async def get(self, url: str) -> Fetched:
        """What a URL answers. Raises PermissionDenied, UpstreamFailed, UpstreamTimeout, RateLimited and Unreadable."""
        try:
            first = check_url(url, self._allow)
        except ValueError as wrong:
            raise PermissionDenied(f"The URL {wrong}") from None
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._follow(first, self._limits.max_bytes, polite=True)
        except _SLOW:
            raise UpstreamTimeout(f"{first.host} did not answer within {self._limits.seconds:g} seconds") from None
        except _BROKEN as error:
            raise UpstreamFailed(f"{first.host} cannot be read: {_said(error)}") from None

    async def _follow(self, url: PublicURL, most: int, *, polite: bool) -> Fetched:
        for _ in range(self._limits.max_redirects + 1):
            if polite:
                await self._robots.check(url, AGENT)
            fetched, location = await self._once(url, most, polite)
            if location is None:
                return fetched
            try:
                url = redirected(url, location, self._allow)
            except ValueError as wrong:
                raise PermissionDenied(f"The URL redirects, and its redirect {wrong}") from None
        raise PermissionDenied(f"The URL redirects more than {self._limits.max_redirects} times")

    async def _once(self, url: PublicURL, most: int, metered: bool) -> tuple[Fetched, str | None]:
        """One answer, and where it redirects to, if it does."""
        extensions = {} if metered else {"unmetered": True}
        request = httpx2.Request("GET", str(url), headers=HEADERS, extensions=extensions)
        response = await self._transport.handle_async_request(request)
        try:
            location = response.headers.get("location") if response.status_code in _MOVED else None
            if location is not None:
                return Fetched(url, response.status_code, "", None, b"", False), location
            body, cut = await _body(response, most)
        finally:
            await response.aclose()
        media_type, charset = _type(response.headers.get("content-type", ""))
        return Fetched(url, response.status_code, media_type, charset, body, cut), None

    async def _robots_text(self, url: PublicURL) -> tuple[int, str]:
        try:
            fetched = await self._follow(url, self._limits.max_robots_bytes, polite=False)
        except _SLOW:
            raise UpstreamTimeout("it takes too long") from None
        except _BROKEN as error:
            raise UpstreamFailed(_said(error)) from None
        return fetched.status, fetched.body.decode("utf-8", "replace")


async def _body(response: httpx2.Response, most: int) -> tuple[bytes, bool]:
    """The body, decompressed, and whether it was cut. What has come stays small: chunks are at most 1 MiB."""
    if response.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
        raise Unreadable("The answer is compressed in a way that was not asked for")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > most:
                break
    except TooLong:
        return b"".join(parts)[:most], True
    return b"".join(parts)[:most], size > most


def _type(header: str) -> tuple[str, str | None]:
    """Media type and charset of a Content-Type header."""
    media, *parameters = header.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), value.strip().strip('"').lower()[:40]
    return media.strip().lower(), None


def _said(error: Exception) -> str:
    """What went wrong, without what the other side wrote."""
    if isinstance(error, httpx2.DecodingError):
        return "its compression is broken"
    if isinstance(error, httpcore2.ProtocolError):
        return "it does not speak HTTP as it should"
    if isinstance(error, httpcore2.ConnectError):
        return "no connection, or no certificate that is good for it"
    return "the connection broke"
