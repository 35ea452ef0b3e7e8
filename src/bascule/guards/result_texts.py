"""The texts of a result, each put through a function: those that a model reads, and those that programs read.

Knows where texts stand in a result; does not know what is done to them. What does not change is not copied, and what
changes is a copy: blocks may be the author's own, served again and again.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from bascule.wire.content import ContentBlock, EmbeddedResource, ResourceContents, ResourceLink, TextContent

Change = Callable[[str], str]
S = TypeVar("S", bound=Struct)

# Possessive and closing at the end of the text: no input makes it look twice at a character.
_LITERAL = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


class Changes(NamedTuple):
    """What is done to each sort of text: `block` to a text block or a text resource, `label` to titles and other short
    ones, `value` to those that programs read: in JSON, URIs and `_meta`."""

    block: Change
    label: Change
    value: Change


def changed_block(block: ContentBlock, changes: Changes) -> ContentBlock:
    """A content block whose texts went through the changes."""
    if isinstance(block, TextContent):
        return changed(block, text=changes.block(block.text), meta=changed_value(block.meta, changes.value))
    if isinstance(block, EmbeddedResource):
        meta = changed_value(block.meta, changes.value)
        return changed(block, resource=changed_contents(block.resource, changes), meta=meta)
    if isinstance(block, ResourceLink):
        return changed(
            block,
            uri=changes.value(block.uri),
            name=changes.label(block.name),
            title=block.title and changes.label(block.title),
            description=block.description and changes.label(block.description),
            meta=changed_value(block.meta, changes.value),
        )
    return changed(block, meta=changed_value(block.meta, changes.value))


def changed_contents(contents: ResourceContents, changes: Changes) -> ResourceContents:
    """A resource's contents whose text went through the changes: JSON stays JSON, any other text is a model's.

    What only says that it is JSON is any other text.
    """
    text = contents.text
    if text:
        is_json = _is_json(contents.mime_type) and _reads(text)
        text = changed_json(text, changes.value) if is_json else changes.block(text)
    meta = changed_value(contents.meta, changes.value)
    return changed(contents, uri=changes.value(contents.uri), text=text, meta=meta)


def changed_json(text: str, change: Change) -> str:
    """A JSON text whose strings and keys went through the change; all else stays as it is, to the last digit.

    Where the change leaves the whole text alone, it is taken to leave alone every string that is written in it without
    escapes: most texts are looked at once, and not string by string. Raises ValueError for a string that is not JSON's.
    """
    is_plain = change(text) == text
    if is_plain and "\\" not in text:
        return text

    def literal(match: re.Match[str]) -> str:
        found = match[0]
        if is_plain and "\\" not in found:
            return found
        value = json.loads(found, strict=False) if "\\" in found else found[1:-1]
        after = change(value)
        return found if after == value else json.dumps(after)

    return _LITERAL.sub(literal, text)


def changed_raw(data: bytes, change: Change) -> bytes:
    """The same for JSON bytes."""
    before = data.decode("utf-8", "replace")
    after = changed_json(before, change)
    return data if after == before else after.encode("utf-8", "replace")


def changed_value(value: Any, change: Change) -> Any:
    """A plain value, or one that is still JSON bytes, whose texts went through the change."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Raw):
        return Raw(changed_raw(bytes(value), change))
    if isinstance(value, dict):
        return {changed_value(key, change): changed_value(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [changed_value(item, change) for item in value]
    return value


def changed(struct: S, **fields: Any) -> S:
    """The struct with these fields; itself where nothing differs."""
    if all(getattr(struct, name) == value for name, value in fields.items()):
        return struct
    return replace(struct, **fields)


def _reads(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return False
    return True


def _is_json(mime_type: str | None) -> bool:
    kind = (mime_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
