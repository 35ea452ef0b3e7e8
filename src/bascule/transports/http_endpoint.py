"""One HTTP endpoint as a client sees it: requests go out, streamed responses come back, failures become our errors.

Knows HTTP and httpx2; knows no message. A redirect is followed only within the origin that the user named, because the
request carries the user's headers. Error texts name the origin and nothing that could be a secret.
Source: RFC 9110; the specification, basic/transports/streamable-http.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx2

from bascule.engine.connection import OnWire
from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, MCPError, ParseError
from bascule.transports.http_watch import PLAIN, hooks

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0

_KEEPALIVE_EXPIRY = 4.0
"""Seconds before an idle connection is dropped: less than the 5 after which common servers drop theirs."""

_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 307, 308})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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
        self._client = httpx2.AsyncClient(
            headers=_checked_headers(headers) if on_wire is None else {**PLAIN, **_checked_headers(headers)},
            timeout=httpx2.Timeout(read_timeout, connect=connect_timeout, pool=None),
            limits=httpx2.Limits(max_connections=100, keepalive_expiry=_KEEPALIVE_EXPIRY),
            trust_env=not _is_loopback(self._url.host),  # no proxy stands between this machine and itself
            verify=self._url.scheme == "https",  # plain HTTP needs no certificates, and reading them takes a while
            event_hooks=None if on_wire is None else hooks(on_wire),
        )
        self._connect_timeout = connect_timeout

    async def send(
        self, method: str, headers: Mapping[str, str], body: bytes | None = None, *, patient: bool = False
    ) -> httpx2.Response:
        """Send one request; returns when the response's head is there. The caller closes the response.

        With `patient` the server may be silent for as long as it likes: the caller keeps the time.
        Raises ConnectionLost, CallTimedOut, or MCPError for a redirect that must not be followed.
        """
        timeout = httpx2.Timeout(None, connect=self._connect_timeout) if patient else httpx2.USE_CLIENT_DEFAULT
        with self.translated():
            for _ in range(_MAX_REDIRECTS + 1):
                request = self._client.build_request(
                    method, self._url, content=body, headers=dict(headers), timeout=timeout
                )
                response = await self._client.send(request, stream=True)
                if response.status_code not in _REDIRECTS:
                    return response
                await response.aclose()
                self._url = self._followed(response)
        code = response.status_code
        raise MCPError(f"The server at {self.origin} redirects in a circle", code=code, status=code)

    async def read(self, response: httpx2.Response, max_bytes: int) -> bytes:
        """The whole body. Raises ParseError when it is larger than `max_bytes`, without reading on."""
        parts: list[bytes] = []
        size = 0
        with self.translated():
            async for part in response.aiter_bytes():
                size += len(part)
                if size > max_bytes:
                    raise ParseError(f"The server at {self.origin} sent a reply of more than {max_bytes} bytes")
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def close(self) -> None:
        """Close all connections; responses that are still read fail with ConnectionLost."""
        await self._client.aclose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the HTTP library's exceptions into ours."""
        try:
            yield
        except httpx2.ConnectTimeout as wrong:
            raise CallTimedOut(
                f"The server at {self.origin} could not be reached within {self._connect_timeout} s"
            ) from wrong
        except httpx2.TimeoutException as wrong:
            raise CallTimedOut(f"The server at {self.origin} was silent for too long") from wrong
        except httpx2.ConnectError as wrong:
            raise ConnectionLost(f"The server at {self.origin} cannot be reached: {wrong}") from wrong
        except (httpx2.HTTPError, httpx2.StreamError) as wrong:
            reason = str(wrong) or type(wrong).__name__
            raise ConnectionLost(f"The connection to the server at {self.origin} was lost: {reason}") from wrong

    def _followed(self, response: httpx2.Response) -> httpx2.URL:
        try:
            target = self._url.join(response.headers.get("location", ""))
        except httpx2.InvalidURL:
            target = httpx2.URL()
        if _origin(target) == self.origin:
            return target
        code = response.status_code
        raise MCPError(
            f"The server at {self.origin} redirects to another origin, {_origin(target)}; use that URL if you trust it",
            code=code,
            status=code,
        )


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _checked_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, ValueError) as wrong:
        raise ConfigError(f"The server's URL is not valid: {wrong}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigError("The server's URL must begin with http:// or https:// and name a host")
    return parsed


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"The header name {name!r} is not valid: letters, digits and hyphens are")
        if not value.isascii() or not value.replace("\t", " ").isprintable():
            raise ConfigError(f"The value of the header {name} must be printable ASCII text on one line")
    return dict(headers)


def _origin(url: httpx2.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return f"{url.scheme}://{host}:{port}"
