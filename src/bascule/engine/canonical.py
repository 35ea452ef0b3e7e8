"""Canonical calls: one spelling for everything that asks for the same, and a digest of it.

Key order, blanks, escapes and the way in which a number is written (1, 1.0, 1e0) make no difference; nothing else is
taken for the same. Of a key that stands twice the last counts, as for whoever decodes the arguments.
Source: RFC 8785, in what it makes equal; the text itself is ASCII, so that it has a form for every string.
"""

import json
from hashlib import blake2s
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.exchange import Exchange
from bascule.errors import InvalidParams
from bascule.wire.prompts import GetPromptParams
from bascule.wire.resources import ReadResourceParams
from bascule.wire.tools import CallToolParams


class Call(NamedTuple):
    """What a request asks for: a method, the name or URI of a feature, and the arguments, {} where there are none."""

    method: str
    name: str
    arguments: Any

    @property
    def text(self) -> bytes:
        """The arguments in canonical form."""
        return canonical(self.arguments)

    @property
    def digest(self) -> bytes:
        """16 bytes, equal for equal calls only."""
        return blake2s(canonical(list(self)), digest_size=16).digest()


def call_of(exchange: Exchange) -> Call:
    """What a call, a read or a get asks for. Raises InvalidParams for arguments that are not JSON."""
    params = exchange.params
    if isinstance(params, ReadResourceParams):
        return Call(exchange.method, params.uri, {})
    if not isinstance(params, CallToolParams | GetPromptParams):
        return Call(exchange.method, "", {})
    given = params.arguments
    try:
        plain = msgspec.json.decode(given) if isinstance(given, Raw) else given
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise InvalidParams("Invalid params: the arguments are not JSON that can be read") from None
    return Call(exchange.method, params.name, {} if plain is UNSET else _plain(plain))


def canonical(value: Any) -> bytes:
    """A JSON value as ASCII text, its keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """The value with each number written one way (RFC 8785: 1.0 is 1)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
