"""A request's HTTP headers: read in one pass, and what they say of content type and accepted answers.

Also the names of ASGI's shapes, which every HTTP module here uses.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

from bascule.errors import InvalidRequest, MCPError, NotAdmitted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
Headers = Mapping[str, str]
"""Names in lower case."""

SESSION = "mcp-session-id"
VERSION = "mcp-protocol-version"
LAST_EVENT = "last-event-id"

_JSON = "application/json"
_LONGEST_WAIT = 10**9
_CREDENTIALS = ("authorization", "x-api-key")
_ONCE = ("host", "origin", "authorization", "x-api-key", "content-type", "content-length", "mcp-")


class Accepted(NamedTuple):
    """What forms of answer a client takes."""

    json: bool
    stream: bool


def read_headers(pairs: RawHeaders) -> dict[str, str]:
    """The headers by name. Raises InvalidRequest where one that must be unique is repeated: no two readers would
    agree on it."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    return headers if len(headers) == len(pairs) else _joined(pairs)


def headers_of(error: MCPError) -> RawHeaders:
    """What an error says in headers: what the caller must show, and when to try again."""
    headers: RawHeaders = []
    if error.challenge is not None:
        headers.append((b"www-authenticate", error.challenge.encode("latin-1", "replace")))
    if error.retry_after is not None and 0 <= error.retry_after <= _LONGEST_WAIT:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    return headers


def drop_credentials(headers: dict[str, str]) -> None:
    """Take out what a caller is known by, which is nobody else's business."""
    for name in _CREDENTIALS:
        headers.pop(name, None)


def check_content_type(headers: Headers) -> None:
    """Raise NotAdmitted (415) unless the body is declared as JSON, which a browser form cannot do."""
    given = headers.get("content-type", "")
    if given != _JSON and given.partition(";")[0].strip().lower() != _JSON:
        raise NotAdmitted("The Content-Type must be application/json", status=415)


def accepted(headers: Headers) -> Accepted:
    """What the client takes; without an Accept header, JSON. Raises NotAdmitted (406) where it takes neither."""
    found = _accepted(headers.get("accept", _JSON))
    if not found.json and not found.stream:
        raise NotAdmitted("The Accept header must list application/json and text/event-stream", status=406)
    return found


@lru_cache(maxsize=256)
def _accepted(given: str) -> Accepted:
    kinds = {part.partition(";")[0].strip() for part in given.lower().split(",") if not _refused(part)}
    anything = "*/*" in kinds
    return Accepted(
        json=anything or bool({_JSON, "application/*"} & kinds),
        stream=anything or bool({"text/event-stream", "text/*"} & kinds),
    )


def _refused(part: str) -> bool:
    """Whether a media range has the quality 0, which means "not this"."""
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return value.strip().rstrip("0").rstrip(".") == ""
    return False


def _joined(pairs: RawHeaders) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in joined:
            joined[name] = value
        elif name.startswith(_ONCE):
            raise InvalidRequest(f"Invalid request: the header {name} is repeated")
        else:
            joined[name] += ", " + value
    return joined
