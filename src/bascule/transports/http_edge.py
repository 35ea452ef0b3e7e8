"""The HTTP edge: who may knock at all. Host, Origin, CORS, sizes. Credentials come after it.

Checked before a byte of the body is read. Allowed is loopback, the public URL and what the settings name; nothing is
derived from the request itself, so a rebound DNS name stays outside.
Source: specification 2026-07-28, basic/transports/streamable-http, "Security & Endpoint"; Fetch standard, "CORS".
"""

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from bascule.engine.settings import HttpSettings
from bascule.errors import ConfigError, NotAdmitted
from bascule.transports.http_headers import Headers, RawHeaders, Receive

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_MEMORY = 1024
_METHODS = b"POST, GET, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "x-api-key",
)
_EXPOSED = b"Mcp-Session-Id, WWW-Authenticate, Retry-After"


class Edge:
    """Lets requests in or refuses them, by the settings of one endpoint."""

    def __init__(self, settings: HttpSettings) -> None:
        self._hosts = [pattern.lower() for pattern in settings.allowed_hosts]
        self._origins = [pattern.lower() for pattern in settings.allowed_origins]
        self._public_hosts, self._public_origins = _public(settings.public_url)
        self._known_hosts: set[str] = set()
        self._cors: dict[str, RawHeaders] = {}

    def admit(self, headers: Headers) -> RawHeaders:
        """The CORS headers for the answer, none for a request without Origin. Raises NotAdmitted."""
        host = headers.get("host", "")
        if host not in self._known_hosts:
            self._check_host(host)
        origin = headers.get("origin")
        if origin is None:
            return []
        known = self._cors.get(origin)
        return self._check_origin(origin) if known is None else known

    def preflight(self, headers: Headers, methods: bytes = _METHODS) -> RawHeaders:
        """The answer to a CORS preflight: methods and headers that a browser may send. Raises NotAdmitted."""
        cors = self.admit(headers)
        asked = headers.get("access-control-request-headers", "").lower().replace(" ", "").split(",")
        allowed = [name for name in asked if name in _REQUEST_HEADERS or name.startswith("mcp-param-")]
        return [
            *cors,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", ", ".join(allowed or _REQUEST_HEADERS).encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]

    def _check_host(self, host: str) -> None:
        text = host.lower()
        name = _without_port(text)
        known = name in _LOOPBACK or text in self._public_hosts
        if not known and not any(_matches(pattern, text, name) for pattern in self._hosts):
            raise NotAdmitted(
                f"The host {text[:100]!r} is not served here; add it to allowed_hosts in the server's [http] settings",
                status=421,
            )
        if len(self._known_hosts) < _MEMORY:
            self._known_hosts.add(host)

    def _check_origin(self, origin: str) -> RawHeaders:
        text = origin.lower()
        scheme, _, netloc = text.partition("://")
        local = scheme in ("http", "https") and _without_port(netloc) in _LOOPBACK
        known = local or text in self._public_origins
        if not known and not any(_matches(pattern, text, text) for pattern in self._origins):
            raise NotAdmitted(
                f"The origin {text[:100]!r} may not call this server; "
                "add it to allowed_origins in the server's [http] settings",
                status=403,
            )
        cors = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]
        if len(self._cors) < _MEMORY:
            self._cors[origin] = cors
        return cors


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body. Raises NotAdmitted: (413) as soon as it is known to be longer than `limit` bytes, and where the
    client went away, who will not read that."""
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > limit:
        raise too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= limit:
        return body
    chunks = [body]
    size = len(body)
    while message["type"] == "http.request" and message.get("more_body", False):
        if size > limit:
            break
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if message["type"] != "http.request":
        raise NotAdmitted("The client went away", status=400)
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


def _public(url: str | None) -> tuple[list[str], list[str]]:
    """The Host and Origin headers of clients that use the public URL; both spellings of a default port.

    Raises ConfigError for a URL that is none.
    """
    if url is None:
        return [], []
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    if default is None or not parts.hostname:
        raise ConfigError("The setting public_url in [http] must begin with http:// or https:// and name a host")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    named = [f"{name}:{parts.port or default}"]
    if parts.port in (None, default):
        named.append(name)
    return named, [f"{parts.scheme}://{host}" for host in named]


def too_large(limit: int) -> NotAdmitted:
    """The refusal (413) of a body of more than `limit` bytes."""
    return NotAdmitted(f"The request is larger than {limit} bytes", status=413)


def _without_port(netloc: str) -> str:
    name, separator, port = netloc.rpartition(":")
    return name if separator and port.isdigit() else netloc


def _matches(pattern: str, text: str, name: str) -> bool:
    if pattern in (text, name):
        return True
    return "[" not in pattern and (fnmatchcase(text, pattern) or fnmatchcase(name, pattern))
