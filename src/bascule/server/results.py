"""Results: how what a function returns becomes a tool's result, a resource's contents or a prompt's messages.

Decided from the return annotation at declaration: a type with a JSON form gives an output schema, whose root is always
an object (other values are wrapped as `{"result": ...}`); content blocks, bytes and unknown types give none. Each value
is encoded once: the text block and the structured content share the bytes.
Source: specification 2026-07-28, server/tools, "Tool Result".
"""

import base64
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, NoReturn, get_args, get_origin

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from bascule.errors import DeclarationError
from bascule.server import annotations, schema
from bascule.server.values import encode
from bascule.wire.content import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from bascule.wire.prompts import GetPromptResult, PromptMessage
from bascule.wire.resources import ReadResourceResult
from bascule.wire.tools import CallToolResult, JSONSchema

BINARY = "application/octet-stream"
RESULT_URI = "urn:bascule:result"
"""The URI of bytes that a tool returned and that have no address of their own."""

_BLOCKS = (TextContent, ImageContent, AudioContent, EmbeddedResource, ResourceLink)
_CONTENT = (*_BLOCKS, ResourceContents, CallToolResult)
_BYTES = (bytes, bytearray, memoryview)
_LISTS = (list, tuple, Sequence)
_UNTYPED = (inspect.Signature.empty, Any, object, None, type(None))

_STARTS = {
    "object": b"{",
    "array": b"[",
    "string": b'"',
    "boolean": b"tf",
    "null": b"n",
    "integer": b"-0123456789",
    "number": b"-0123456789n",  # NaN and the infinities are written as null
}

Render = Callable[[Any], CallToolResult]


class Output:
    """How a tool's return value becomes its result.

    `schema` is the output schema, None where the values are not structured or not known. `render` makes the result; it
    raises TypeError, naming the tool, for a value that has no JSON form or another JSON type than was declared.
    """

    __slots__ = ("render", "schema")

    def __init__(self, form: JSONSchema | None, render: Render) -> None:
        self.schema = form
        self.render = render


def output_of(annotation: Any, *, what: str) -> Output:
    """The output for a return annotation (`inspect.Signature.empty` where there is none). Raises DeclarationError."""
    if _is_free(annotation):
        return Output(None, _free(what))
    try:
        form, definitions = _schema_of(annotation)
    except (TypeError, ValueError, NameError, AttributeError, RuntimeError) as error:
        cause = str(error).partition(" - type `")[0].strip().splitlines()[-1:] or [type(error).__name__]
        raise DeclarationError(
            f"{what}: the return annotation {annotation} is not supported: {cause[0].rstrip('.')}. Leave it out, or "
            "return JSON-like values, dataclasses, structs, pydantic models, bytes or content blocks."
        ) from None
    leaves = list(schema.leaves(form, definitions))
    kinds = [schema.types_of(leaf) for leaf in leaves]
    if kinds == [{"object"}] and "anyOf" not in form:
        return Output(schema.rooted(form, definitions), _structured(_starts(kinds), False, what))
    wrapped = {"type": "object", "properties": {"result": form}, "required": ["result"]}
    return Output(schema.rooted(wrapped, definitions), _structured(_starts(kinds), True, what))


def image(data: bytes, mime_type: str = "image/png") -> ImageContent:
    """An image from its bytes."""
    return ImageContent(_base64(data), mime_type)


def audio(data: bytes, mime_type: str = "audio/wav") -> AudioContent:
    """Audio from its bytes."""
    return AudioContent(_base64(data), mime_type)


def resource_result(value: Any, uri: str, mime_type: str | None) -> ReadResourceResult:
    """What a resource function returned, as a result: a whole one as it is, anything else as `resource_contents`.

    The result is a copy, because each era writes its own marks on it. Raises TypeError.
    """
    if not isinstance(value, ReadResourceResult):
        return ReadResourceResult(contents=resource_contents(value, uri, mime_type))
    if not all(isinstance(item, ResourceContents) for item in value.contents):
        raise TypeError(f"the resource {uri} returned a ReadResourceResult whose contents are not ResourceContents")
    return replace(value)


def resource_contents(value: Any, uri: str, mime_type: str | None) -> list[ResourceContents]:
    """What a resource function returned, as contents: text, bytes, contents as they are, anything else as JSON text.

    Raises TypeError for what has no JSON form, and for lists that mix contents with other values.
    """
    if isinstance(value, ResourceContents):
        return [value]
    if isinstance(value, str):
        return [ResourceContents(uri, mime_type or "text/plain", text=value)]
    if isinstance(value, _BYTES):
        return [ResourceContents(uri, mime_type or BINARY, blob=_base64(value))]
    if isinstance(value, (list, tuple)) and any(isinstance(item, ResourceContents) for item in value):
        if not all(isinstance(item, ResourceContents) for item in value):
            raise TypeError(f"the resource {uri} returned a list that mixes ResourceContents with other values")
        return list(value)
    text = encoded(value, f"the resource {uri}").decode()
    return [ResourceContents(uri, mime_type or "application/json", text=text)]


def prompt_result(value: Any) -> GetPromptResult:
    """What a prompt function returned, as a result: a whole one with its messages read as `prompt_messages` does.

    The result is a copy, because each era writes its own marks on it. Raises TypeError.
    """
    if isinstance(value, GetPromptResult):
        return replace(value, messages=prompt_messages(value.messages))
    return GetPromptResult(messages=prompt_messages(value))


def prompt_messages(value: Any) -> list[PromptMessage]:
    """What a prompt function returned, as messages: text and content blocks are the user's. Raises TypeError."""
    if isinstance(value, (list, tuple)):
        return [_message(item) for item in value]
    return [_message(value)]


def encoded(value: Any, what: str) -> bytes:
    """The JSON bytes of what a function returned. Raises TypeError, naming `what`, where it has no JSON form."""
    try:
        return encode(value)
    except TypeError as error:
        _unencodable(what, value, error)


def _message(value: Any) -> PromptMessage:
    if isinstance(value, PromptMessage):
        return value
    if isinstance(value, str):
        return PromptMessage("user", TextContent(value))
    if isinstance(value, _BLOCKS):
        return PromptMessage("user", value)
    raise TypeError(
        f"a prompt returned a {type(value).__name__}; return a str, a content block, a PromptMessage(role, content), "
        "a list of these or a GetPromptResult"
    )


def _is_free(annotation: Any) -> bool:
    """Whether the values are content, or not known before they are seen."""
    if annotation in _UNTYPED or annotations.mentions(annotation, _CONTENT):
        return True
    origin = get_origin(annotation) or annotation
    if origin in _LISTS:
        return all(item in (Any, object, Ellipsis) for item in get_args(annotation))
    return any(part in _BYTES or part is Any for part in (origin, *annotations.members(annotation)))


def _schema_of(annotation: Any) -> tuple[JSONSchema, JSONSchema]:
    reading = annotations.read(annotation)
    if reading.foreign:
        form, definitions = schema.of_adapter(schema.adapter_of(reading.annotation), "serialization", {}, "Result")
    else:
        # One by one: values of several dataclasses cannot be told apart when read, but they can be written.
        parts, definitions = schema.of_types(annotations.members(reading.annotation))
        form = parts[0] if len(parts) == 1 else {"anyOf": parts}
    notes = dict(reading.notes)
    extra = notes.pop("extra_json_schema", {})
    return {**form, **notes, **extra}, definitions


def _starts(kinds: Collection[Collection[str]]) -> bytes:
    """The bytes with which the JSON of a value of these types can begin."""
    if not all(kinds):
        return b"".join(_STARTS.values())
    return b"".join(_STARTS[kind] for alternative in kinds for kind in alternative)


def _structured(starts: Collection[int], wraps: bool, what: str) -> Render:
    allowed = frozenset(starts)
    texts = wraps and b'"'[0] in allowed

    def render(value: Any) -> CallToolResult:
        if type(value) is str and texts:
            return CallToolResult(content=[TextContent(value)], structured_content={"result": value})
        if isinstance(value, CallToolResult):
            return replace(value)  # a copy: each era writes its own marks on it
        data = encoded(value, what)
        if data == b"null" and value is not None:
            raise TypeError(f"{what} returned {value!r}, which JSON has no number for")
        if data[0] not in allowed:
            raise TypeError(f"{what} returned a {type(value).__name__}, which its return annotation does not allow")
        content: list[ContentBlock] = []
        if value is not None:
            content.append(TextContent(value if isinstance(value, str) else data.decode()))
        return CallToolResult(content=content, structured_content={"result": Raw(data)} if wraps else Raw(data))

    return render


def _free(what: str) -> Render:
    def render(value: Any) -> CallToolResult:
        if isinstance(value, CallToolResult):
            return replace(value)  # a copy: each era writes its own marks on it
        if isinstance(value, (list, tuple)) and any(isinstance(item, (*_CONTENT, *_BYTES)) for item in value):
            return CallToolResult(content=[_block(item, what)[0] for item in value if item is not None])
        if value is None:
            return CallToolResult(content=[])
        block, structured = _block(value, what)
        return CallToolResult(content=[block], structured_content=structured)

    return render


def _block(value: Any, what: str) -> tuple[ContentBlock, Raw | UnsetType]:
    """One value as one block, and as structured content where its JSON is an object."""
    if isinstance(value, _BLOCKS):
        return value, UNSET
    if isinstance(value, str):
        return TextContent(value), UNSET
    if isinstance(value, _BYTES):
        return EmbeddedResource(ResourceContents(RESULT_URI, BINARY, blob=_base64(value))), UNSET
    if isinstance(value, ResourceContents):
        return EmbeddedResource(value), UNSET
    if isinstance(value, CallToolResult):
        raise TypeError(f"{what} returned a CallToolResult inside a list; return it by itself")
    data = encoded(value, what)
    return TextContent(data.decode()), Raw(data) if data[:1] == b"{" else UNSET


def _unencodable(what: str, value: Any, error: TypeError) -> NoReturn:
    raise TypeError(f"{what} returned a {type(value).__name__} that cannot be written as JSON: {error}") from None


def _base64(data: bytes | bytearray | memoryview) -> str:
    if not isinstance(data, _BYTES):
        raise TypeError(f"expected bytes, got {type(data).__name__}")
    return base64.b64encode(data).decode("ascii")
