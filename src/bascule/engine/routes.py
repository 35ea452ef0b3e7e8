"""Pages beside the endpoint: what is asked of one, what it answers, and what is served at which path.

    HttpRequest   what a page is asked      Page    answers one method at one path
    HttpResponse  what it answers           Place   what is served at a path: pages by method, or an ASGI application

Shapes and their checks; knows neither servers nor sockets. What a page writes into its answer's head cannot leave its
line, nor say where the answer ends.
Source: RFC 9110, 5.5, 5.6.2, 6.4 and 15; ASGI 3.0, HTTP.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from bascule.engine.exchange import Principal
from bascule.errors import BadRequest
from bascule.wire.jsonrpc import too_deep

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application: it takes scope, receive and send."""

MAX_FIELDS = 1000
"""How many fields a query may have."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NOT_YOURS = frozenset(
    ("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
_BODILESS = (204, 205, 304)
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_JSON = "application/json"


class HttpRequest(Struct, frozen=True, kw_only=True):
    """One request to a page. `headers` have their names in lower case, without the credentials that the server has
    checked; `principal` is who they belong to, `address` where the request came from, `lifespan` what the server's
    lifespan yielded. `method` is HEAD where only the head of a GET is wanted; the body of the answer is dropped then.
    """

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str]
    body: bytes = b""
    principal: Principal
    address: str = ""
    lifespan: Any = None

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query, decoded. Raises BadRequest (400) where one is repeated, because no two readers
        would agree on it (`query_string` has them all), and for more than MAX_FIELDS."""
        try:
            pairs = parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError:
            raise BadRequest(f"The query has more than {MAX_FIELDS} fields") from None
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise BadRequest("A field of the query is repeated")
        return fields

    def json(self) -> Any:
        """The body, read as JSON. Raises BadRequest (400)."""
        if too_deep(self.body):
            raise BadRequest("The body nests too deep")
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadRequest("The body is not JSON") from None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.path}, {len(self.body)} bytes)"  # the rest may hold secrets


class HttpResponse(Struct, frozen=True):
    """What a page answers. A text is sent as UTF-8 plain text, bytes as they are, a dict or list as JSON;
    `content_type` says that it is something else.

    Raises ValueError for a status outside of 200 to 599, a body where the status has none (204, 205, 304), and headers
    that would break out of their line, or that are the server's own: those of framing and of CORS.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.body, str | bytes | dict | list):
            raise TypeError("The body of a page's answer must be a str, bytes, a dict or a list")
        self.head()

    def encoded(self) -> "HttpResponse":
        """The same answer with its body as bytes. Raises TypeError and ValueError for what cannot be encoded."""
        if isinstance(self.body, bytes):
            return self
        body = self.body.encode() if isinstance(self.body, str) else msgspec.json.encode(self.body)
        kind = None if self.status in _BODILESS else self.content_type or _kind(self.body)
        return HttpResponse(body, self.status, self.headers, kind)

    def head(self) -> list[tuple[bytes, bytes]]:
        """The headers as they are sent, with the content type where there is a body. Raises ValueError."""
        if not 200 <= self.status <= 599:
            raise ValueError(f"A page cannot answer with the status {self.status}; it must be from 200 to 599")
        headers = [_header(name, value) for name, value in self.headers.items()]
        if self.status not in _BODILESS:
            headers.append(_pair("content-type", self.content_type or _kind(self.body)))
        elif self.body:
            raise ValueError(f"An answer with the status {self.status} has no body")
        return headers


def _kind(body: Any) -> str:
    return _BYTES if isinstance(body, bytes) else _TEXT if isinstance(body, str) else _JSON


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    lowered = name.lower()
    if lowered in _NOT_YOURS or lowered.startswith("access-control-"):
        raise ValueError(f"The header {lowered} is the server's own; a page cannot set it")
    if lowered == "content-type":
        raise ValueError("Give the content type as content_type=, not among the headers")
    return _pair(lowered, value)


def _pair(name: str, value: str) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError("A header's name must be a token, and its value one line of Latin-1 text")
    return name.encode("ascii"), value.encode("latin-1")


class Page(NamedTuple):
    """What answers one method at one path, given the state of the run. `public`: whether anybody may ask it."""

    answer: Callable[[HttpRequest, Mapping[Any, Any]], Awaitable[HttpResponse]]
    public: bool


class Place(NamedTuple):
    """What is served at a path: `pages` by method, or an application for all that is below it too."""

    path: str
    pages: Mapping[str, Page]
    application: ASGIApp | None = None
    public: bool = False
    """Whether anybody may ask the application, or learn which methods the pages answer."""

    @property
    def methods(self) -> list[str]:
        """The methods that are answered here, in a fixed order."""
        if self.application is not None:
            return ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
        return sorted({*self.pages, "OPTIONS", *(("HEAD",) if "GET" in self.pages else ())})


class Routes(Protocol):
    """What an application serves beside its endpoint."""

    def find(self, path: str) -> Place | None:
        """What is served at a path below the mount root; None where nothing is."""
        ...

    def reserve(self, paths: Collection[str]) -> None:
        """Keep paths for the endpoint, from now on. Raises ConfigError where one is taken."""
        ...
