"""JSON-RPC 2.0: the one decoder and the one encoder. Everything that enters or leaves as bytes passes here.

Knows bytes and frames; knows no method and no protocol date. The doorway checks what the JSON library leaves open:
UTF-8 in skipped parts, depth of nesting, integers that no peer can read back, lone surrogates on the way out.
Parameters and results stay `Raw`: whoever knows their shape decodes them, once.
Source: JSON-RPC 2.0; specification 2026-07-28, basic/index, "Messages".
"""

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.errors import InvalidRequest, MCPError, ParseError

RequestId = str | int

MAX_DEPTH = 128
"""How deep arrays and objects may nest; deeper messages are refused as unparsable."""

_LONG = 16 * 1024

MAX_BATCH = 100
"""How many messages a batch may hold."""

MAX_BATCH_BYTES = 1024 * 1024
"""How long a batch may be."""

# Possessive and closing at the end of the text: no input makes it look twice at a byte.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{\]}]")


class ErrorObject(Struct, omit_defaults=True):
    """The `error` of a response."""

    code: int
    message: str
    data: Any = UNSET


class Frame(Struct):
    """One JSON-RPC message as received, of any kind; `None` as `id` means that a null was sent."""

    jsonrpc: str = ""
    id: RequestId | None | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET


class Request(Struct, tag_field="jsonrpc", tag="2.0"):
    """A request or, with `id` unset, a notification, about to be sent."""

    method: str
    params: Any = UNSET
    id: RequestId | UnsetType = UNSET


class Response(Struct, tag_field="jsonrpc", tag="2.0"):
    """A response with a result, about to be sent."""

    id: RequestId
    result: Any


class ErrorResponse(Struct, tag_field="jsonrpc", tag="2.0"):
    """A response with an error; `id` is unset, or null, where the request's could not be read."""

    error: ErrorObject
    id: RequestId | UnsetType | None = UNSET


class _Identified(Struct):
    id: Any = UNSET


_decode_frame = msgspec.json.Decoder(Frame).decode
_decode_frames = msgspec.json.Decoder(list[Raw]).decode
_decode_id = msgspec.json.Decoder(_Identified).decode
_encode = msgspec.json.Encoder().encode


def decode(data: bytes | bytearray) -> Frame:
    """Read one message.

    Raises ParseError (not JSON, not UTF-8, too deep) or InvalidRequest (JSON, but no message); the error's `data` is
    None and its `request_id`, where one could be read, is set so that the answer can carry it.
    """
    _admit(data)
    try:
        frame = _decode_frame(data)
    except msgspec.ValidationError as wrong:
        raise _with_id(InvalidRequest(f"Invalid request: {wrong}"), data) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as wrong:
        raise ParseError(f"Parse error: {_reason(wrong)}") from None
    _check_kind(frame)
    return frame


def is_batch(data: bytes | bytearray) -> bool:
    """Whether the bytes start a JSON array."""
    first = data[:1]
    return first == b"[" or (first != b"{" and data.lstrip()[:1] == b"[")


def split_batch(data: bytes | bytearray) -> list[bytes]:
    """The messages of a batch, each as bytes. Raises ParseError, or InvalidRequest where it is empty or too large."""
    if len(data) > MAX_BATCH_BYTES:
        raise InvalidRequest(f"Invalid request: a batch may have at most {MAX_BATCH_BYTES} bytes")
    _admit(data)
    try:
        parts = _decode_frames(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as wrong:
        raise ParseError(f"Parse error: {_reason(wrong)}") from None
    if not parts:
        raise InvalidRequest("Invalid request: the batch is empty")
    if len(parts) > MAX_BATCH:
        raise InvalidRequest(f"Invalid request: a batch may hold at most {MAX_BATCH} messages")
    return [bytes(part) for part in parts]


def encode(message: Any) -> bytes:
    """The bytes of one message, on one line. Text that is not valid Unicode is mended with U+FFFD, never dropped."""
    try:
        return _encode(message)
    except UnicodeEncodeError:
        return _encode(_mended(message))


def error_response(error: MCPError, request_id: RequestId | None | UnsetType = UNSET) -> ErrorResponse:
    """The response that carries `error`; without an id where there is none to echo."""
    data = UNSET if error.data is None else error.data
    found = request_id if isinstance(request_id, (str, int)) else error.request_id
    return ErrorResponse(ErrorObject(error.code, error.message, data), UNSET if found is None else found)


def too_deep(data: bytes | bytearray) -> bool:
    """Whether a JSON text nests deeper than MAX_DEPTH."""
    return _may_be_deep(data) and _depth(data) > MAX_DEPTH


def _admit(data: bytes | bytearray) -> None:
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            raise ParseError("Parse error: the message is not valid UTF-8") from None
    if too_deep(data):
        raise ParseError(f"Parse error: the message nests deeper than {MAX_DEPTH} levels")


def _may_be_deep(data: bytes | bytearray) -> bool:
    """Whether there are brackets enough. Counting looks at every byte; finding jumps, which pays in a long message."""
    if len(data) < _LONG:
        return data.count(b"[") + data.count(b"{") > MAX_DEPTH
    left = MAX_DEPTH
    for bracket in (b"[", b"{"):
        at = data.find(bracket)
        while at >= 0 and left >= 0:
            left -= 1
            at = data.find(bracket, at + 1)
    return left < 0


def _depth(data: bytes | bytearray) -> int:
    """The deepest nesting, brackets inside strings not counted."""
    deepest = level = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", data)):
        if bracket[0] in b"[{":
            level += 1
            deepest = max(deepest, level)
        else:
            level -= 1
    return deepest


def _check_kind(frame: Frame) -> None:
    """Refuse what is neither request, notification nor response."""
    if frame.jsonrpc != "2.0":
        raise _marked(InvalidRequest('Invalid request: "jsonrpc" must be "2.0"'), frame.id)
    if frame.method is not UNSET:
        if frame.id is None:
            raise InvalidRequest("Invalid request: the id must be a string or an integer, not null")
        if frame.result is not UNSET or frame.error is not UNSET:
            raise _marked(InvalidRequest("Invalid request: a message cannot be a request and a response"), frame.id)
    elif (frame.result is UNSET) == (frame.error is UNSET):
        raise _marked(InvalidRequest("Invalid request: a message needs a method, a result or an error"), frame.id)


def _with_id(error: MCPError, data: bytes | bytearray) -> MCPError:
    try:
        return _marked(error, _decode_id(data).id)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return error


def _marked(error: MCPError, request_id: Any) -> MCPError:
    if isinstance(request_id, str) or (isinstance(request_id, int) and not isinstance(request_id, bool)):
        error.request_id = request_id
    return error


def _reason(wrong: Exception) -> str:
    if isinstance(wrong, RecursionError):
        return "the message nests too deeply"
    return str(wrong)


def _mended(value: Any) -> Any:
    """The same value with lone surrogates replaced; structs become the dicts that they would be encoded as."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(item) for item in value]
    if isinstance(value, Struct):
        return _mended_struct(value)
    return value


def _mended_struct(value: Struct) -> dict[str, Any]:
    config = value.__struct_config__
    plain: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field else {}
    for name, key in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        item = getattr(value, name)
        if item is not UNSET and not (config.omit_defaults and item is None):
            plain[key] = _mended(item)
    return plain
