"""Fragments: what a message that cannot be read still says of itself. For failures only; nothing that can be read
comes here.

Only what stands at the top of the message counts, and only in its first bytes: a name inside a string or deeper down
is somebody else's data, and must not decide whose call fails. What is not certain is not said.
"""

import re
from typing import NamedTuple

import msgspec

from bascule.wire.jsonrpc import RequestId

LOOKED_AT = 64 * 1024
"""How many bytes are looked at."""

# Possessive, and closed by the end of the text: no input makes it look twice at a byte.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)
_ID = re.compile(rb'\s*:\s*("(?:[^"\\]++|\\.)*+"|-?[0-9]{1,18})\s*[,}]', re.DOTALL)
_COLON = re.compile(rb"\s*:")
_ANSWERS = frozenset({b'"jsonrpc"', b'"result"', b'"error"'})


class Fragment(NamedTuple):
    """`asks`: it is a request or a notification; `answers`: the request that it answers, where that is certain."""

    asks: bool
    answers: RequestId | None


def fragment(data: bytes) -> Fragment:
    """What the beginning of a broken, cut or foreign text says. Never raises."""
    names: set[bytes] = set()
    ids: set[RequestId] = set()
    depth, outermost = 0, b""
    text = data[:LOOKED_AT]
    for token in _TOKENS.finditer(text):
        found = token[0]
        if found in b"[{":
            outermost = outermost if depth else found
            depth += 1
        elif found in b"]}":
            depth = max(depth - 1, 0)
        elif depth == 1 and outermost == b"{" and _COLON.match(text, token.end()):
            names.add(found)
            if found == b'"id"' and (value := _ID.match(text, token.end())):
                ids |= _decoded(value[1])
    asks = b'"method"' in names
    certain = len(ids) == 1 and not asks and not _ANSWERS.isdisjoint(names)
    return Fragment(asks, ids.pop() if certain else None)


def _decoded(value: bytes) -> set[RequestId]:
    try:
        return {msgspec.json.decode(value, type=int | str)}
    except (msgspec.MsgspecError, ValueError):
        return set()
