"""The standard request headers of the stateless era: what a server checks against the body, and how values are encoded.

`Mcp-Method` names the method, `Mcp-Name` the tool, prompt or resource; intermediaries route on them, so a request whose
headers and body disagree is refused. A value that is not plain ASCII travels as `=?base64?…?=`.
Source: specification 2026-07-28, basic/transports/streamable-http, "Request Metadata".
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from bascule.engine.application import Mirrored
from bascule.errors import HeaderMismatch, InvalidParams
from bascule.wire.jsonrpc import encode
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import RequestParams
from bascule.wire.resources import ReadResourceParams
from bascule.wire.tasks import TaskParams
from bascule.wire.tools import CallToolParams

VERSION = "mcp-protocol-version"
METHOD = "mcp-method"
NAME = "mcp-name"

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_LONGEST_NUMBER = 64
_SAFE = 2**53 - 1
"""The largest integer, up and down, that may be mirrored: JavaScript rounds those beyond."""

_OPEN, _CLOSE = "=?base64?", "?="


def check(headers: Mapping[str, str], method: str, params: RequestParams, version: str) -> None:
    """Raise HeaderMismatch unless the headers repeat what the body says. `headers` has lower-case names."""
    _same(headers, VERSION, "MCP-Protocol-Version", version)
    _same(headers, METHOD, "Mcp-Method", method)
    name = named(params)
    if name is not None:
        given = headers.get(NAME)
        if given is None:
            raise HeaderMismatch("Header mismatch: the Mcp-Name header is missing")
        if not given.isascii() or decode_value(given.strip(" \t"), "Mcp-Name") != name:
            raise HeaderMismatch(f"Header mismatch: the Mcp-Name header {given[:200]!r} is not what the body names")


def check_mirrored(headers: Mapping[str, str], mirrored: Iterable[Mirrored], arguments: Raw | UnsetType) -> None:
    """Raise HeaderMismatch unless the headers repeat the parameters that the tool wants mirrored."""
    values = {} if isinstance(arguments, UnsetType) else _decode_arguments(arguments)
    for header, path in mirrored:
        value = _at(path, values)
        given = headers.get(header)
        if value is None and given is None:
            continue
        shown = "Mcp-Param-" + header.removeprefix("mcp-param-")
        if _is_unsafe(value):
            raise HeaderMismatch(f"Header mismatch: the {shown} header repeats a number beyond {_SAFE} or -{_SAFE}")
        if given is None:
            raise HeaderMismatch(f"Header mismatch: the {shown} header is missing")
        if not given.isascii() or value is None or not _repeats(decode_value(given.strip(" \t"), shown), value):
            raise HeaderMismatch(f"Header mismatch: the {shown} header is not what the body says")


def repeated(mirrored: Iterable[Mirrored], arguments: Any) -> dict[str, str]:
    """The headers that repeat a call's arguments. Raises InvalidParams for a number that may not be mirrored."""
    values = _decode_arguments(Raw(encode(arguments)))
    found: dict[str, str] = {}
    for header, path in mirrored:
        value = _at(path, values)
        if _is_unsafe(value):
            raise InvalidParams(
                f"Invalid params: {'.'.join(path)!r} is mirrored in a header and must be from -{_SAFE} to {_SAFE}"
            )
        if isinstance(value, str | int | float):
            found[header] = encode_value(_text(value))
    return found


def _at(path: Iterable[str], values: Any) -> Any:
    """What stands at a path of keys; None where nothing does."""
    for step in path:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def _is_unsafe(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) > _SAFE


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _decode_arguments(arguments: Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return {}


def _repeats(text: str, value: Any) -> bool:
    """Whether a header's text is a value of the body; numbers are compared as numbers."""
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if isinstance(value, int | float):
        return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None and Decimal(text) == Decimal(value)
    return bool(text == value)


def named(params: RequestParams) -> str | None:
    """What `Mcp-Name` must repeat, or None where the method names nothing."""
    if isinstance(params, (CallToolParams, GetPromptParams)):
        return params.name
    if isinstance(params, ReadResourceParams):
        return params.uri
    if isinstance(params, TaskParams):
        return params.task_id
    return None


def encode_value(value: str) -> str:
    """The header value for `value`: itself where it is plain printable ASCII, otherwise in the base64 form."""
    plain = value.isascii() and value.isprintable() and value == value.strip(" \t")
    if plain and not (value.startswith(_OPEN) and value.endswith(_CLOSE)):
        return value
    return f"{_OPEN}{b64encode(value.encode()).decode()}{_CLOSE}"


def decode_value(value: str, name: str) -> str:
    """The value that a header carries. Raises HeaderMismatch where its base64 form is malformed."""
    if not value.startswith(_OPEN) or not value.endswith(_CLOSE) or len(value) < len(_OPEN) + len(_CLOSE):
        return value
    try:
        return b64decode(value[len(_OPEN) : -len(_CLOSE)], validate=True).decode()
    except (binascii.Error, ValueError):
        raise HeaderMismatch(f"Header mismatch: the {name} header is not valid base64 of UTF-8 text") from None


def _same(headers: Mapping[str, str], header: str, label: str, expected: str) -> None:
    given = headers.get(header)
    if given == expected:
        return
    if given is None:
        raise HeaderMismatch(f"Header mismatch: the {label} header is missing")
    if given.strip(" \t") != expected:
        raise HeaderMismatch(f"Header mismatch: the {label} header says {given[:200]!r}, the body {expected[:200]!r}")
