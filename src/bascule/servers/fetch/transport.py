"""One request, to exactly the address that was checked.

Each request has a connection of its own, which ends with the answer: nothing is reused for another name. The URL is
checked here again, whoever asks. Nothing of the environment counts: no proxy, no netrc, no cookies.
"""

import math
from collections.abc import AsyncIterator

import httpcore2
import httpx2
from httpcore2 import AsyncHTTPConnection, Origin

from bascule import PermissionDenied, RateLimited, RateLimiter, UpstreamFailed
from bascule.checks.urls import PublicURL, check_answers, check_url
from bascule.servers.fetch.limits import Limits
from bascule.servers.fetch.network import Network, Pinned

MAX_ADDRESSES = 3
"""How many addresses of a name are tried before it counts as unreachable."""


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends GET requests. Raises PermissionDenied, RateLimited, and what httpcore2 raises."""

    def __init__(self, network: Network, limits: Limits, allow: frozenset[str] | None, rates: RateLimiter) -> None:
        self._network = network
        self._limits = limits
        self._allow = allow
        self._rates = rates
        self._tls = network.tls()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = self._checked(str(request.url))
        if not request.extensions.get("unmetered"):
            await self._count(url.host)
        addresses = await self._addresses(url)
        connection = AsyncHTTPConnection(
            Origin(url.scheme.encode(), url.host.encode(), url.port),
            ssl_context=self._tls,
            network_backend=Pinned(self._network, addresses[:MAX_ADDRESSES], self._limits.connect_seconds),
        )
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        try:
            answer = await connection.handle_async_request(
                httpcore2.Request(
                    "GET",
                    httpcore2.URL(
                        scheme=url.scheme.encode(),
                        host=url.host.encode(),
                        port=url.port,
                        target=url.target.encode(),
                    ),
                    headers=[(b"Host", url.authority.encode()), *headers],
                    extensions={"timeout": {"connect": self._limits.connect_seconds}},
                )
            )
        except BaseException:
            await connection.aclose()
            raise
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, connection, self._limits.max_bytes),
            request=request,
        )

    def _checked(self, url: str) -> PublicURL:
        try:
            return check_url(url, self._allow)
        except ValueError as wrong:
            raise PermissionDenied(f"The URL {wrong}") from None

    async def _addresses(self, url: PublicURL) -> list[str]:
        if url.is_address:
            return [url.host]
        try:
            answers = await self._network.resolve(url.host, url.port)
        except (OSError, UnicodeError):
            raise UpstreamFailed(f"The host {url.host} has no address, or cannot be looked up now") from None
        try:
            return check_answers(answers)
        except ValueError as wrong:
            raise PermissionDenied(f"The host {url.host} {wrong}") from None

    async def _count(self, host: str) -> None:
        verdict = await self._rates.check(host, self._limits.rate)
        if not verdict.allowed:
            raise RateLimited(
                f"{host} was asked too often (at most {self._limits.rate}); try again later",
                details={"limit": self._limits.rate, "resetAt": math.ceil(verdict.reset_at)},
            )


class TooLong(Exception):
    """More bytes of a body came than may."""


class _Body(httpx2.AsyncByteStream):
    """The bytes as they came, at most so many and one chunk; closing it closes the connection."""

    def __init__(self, answer: httpcore2.Response, connection: AsyncHTTPConnection, most: int) -> None:
        self._answer = answer
        self._connection = connection
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._answer.aiter_stream():
            yield chunk
            read += len(chunk)
            if read > self._most:
                raise TooLong

    async def aclose(self) -> None:
        await self._connection.aclose()
