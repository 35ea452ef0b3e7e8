"""The credential in a request's head: `Authorization: Bearer …` or `X-API-Key: …`, one of them.

Never the query: URLs end up in logs, histories and Referer headers.
Source: RFC 6750, 2.1, 2.3 and 3.1; RFC 9110, 11.4.
"""

import re
from collections.abc import Mapping

from bascule.errors import InvalidRequest, Unauthenticated

AUTHORIZATION = "authorization"
API_KEY = "x-api-key"

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[^ \t].*)", re.DOTALL)


def credential(headers: Mapping[str, str]) -> str:
    """What a request shows, as it came: nothing is known of it yet.

    Raises Unauthenticated where there is none, and InvalidRequest where there are two that differ: whoever stands
    between client and server may have gone by the other.
    """
    shown = _header(headers, API_KEY)
    authorization = _header(headers, AUTHORIZATION)
    if authorization is None:
        if not shown:
            raise Unauthenticated("This server asks for an API key: send it as Authorization: Bearer, or as X-API-Key")
        return shown
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise Unauthenticated("The Authorization header is not of the form Bearer and a key; send the key in that way")
    token = found["token"]
    if shown is not None and shown != token:
        raise InvalidRequest("Invalid request: Authorization and X-API-Key differ; send one of them")
    return token


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """A header without the white space around it, which some parsers leave there (RFC 9110, 5.5)."""
    value = headers.get(name)
    return None if value is None else value.strip(" \t")
