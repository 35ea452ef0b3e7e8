"""Content blocks and results as a person reads them: text as text, rows as a table, binary data by type and size."""

import base64
import binascii
from typing import Any

import msgspec
from msgspec import UNSET

from bascule.cli.screen import Screen
from bascule.wire.content import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    TextContent,
)
from bascule.wire.tools import CallToolResult

_UNITS = ("bytes", "KiB", "MiB", "GiB")


def show_result(screen: Screen, result: CallToolResult) -> None:
    """Print a tool's result: its rows as a table where it has rows and fields, or its text, or its structure."""
    structured = result.structured_content
    none = structured is None or structured is UNSET
    table = rows_of(structured)
    if table is not None:
        screen.table(*table)
        if isinstance(structured.get("note"), str):
            screen.remark(structured["note"])
        return
    value = structured["result"] if _is_wrapped(structured) else structured
    repeated = [] if none else [block for block in result.content if _repeats(block, structured, value)]
    for block in result.content:
        if block not in repeated:
            screen.text(described(block))
    if isinstance(value, str) and repeated:
        screen.text(value)
    elif not none:
        screen.value(value)


def rows_of(structured: Any) -> tuple[list[str], list[list[Any]]] | None:
    """Column names and rows, where a result has `rows` (lists or objects) and `fields` (names, or objects with one)."""
    if not isinstance(structured, dict):
        return None
    rows, fields = structured.get("rows"), structured.get("fields")
    if not isinstance(rows, list) or not isinstance(fields, list) or not fields:
        return None
    names = [field.get("name") if isinstance(field, dict) else field for field in fields]
    if not all(isinstance(name, str) for name in names):
        return None
    found = [[row.get(name) for name in names] if isinstance(row, dict) else row for row in rows]
    if not all(isinstance(row, list) and len(row) == len(names) for row in found):
        return None
    return [str(name) for name in names], found


def described(block: ContentBlock) -> str:
    """A block as text; what is not text is named with its type and size."""
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent):
        return f"[image, {block.mime_type}, {size(block.data)}]"
    if isinstance(block, AudioContent):
        return f"[audio, {block.mime_type}, {size(block.data)}]"
    if isinstance(block, EmbeddedResource):
        return contents(block.resource)
    kind = f", {block.mime_type}" if block.mime_type else ""
    return f"[link to {block.uri}: {block.title or block.name}{kind}]"


def contents(resource: ResourceContents) -> str:
    """A resource's text, or its address, type and size."""
    if resource.text is not None:
        return resource.text
    return f"[{resource.uri}, {resource.mime_type or 'unknown type'}, {size(resource.blob or '')}]"


def size(data: str) -> str:
    """How much base64 text stands for."""
    try:
        amount: float = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return "not readable"
    power = 0
    while amount >= 1024 and power < len(_UNITS) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.1f} {_UNITS[power]}" if power else f"{amount:.0f} bytes"


def _repeats(block: ContentBlock, structured: Any, value: Any) -> bool:
    """Whether a block is the structured content once more, as text."""
    if not isinstance(block, TextContent):
        return False
    try:
        return block.text == value or msgspec.json.decode(block.text) in (structured, value)
    except msgspec.DecodeError:
        return False


def _is_wrapped(structured: Any) -> bool:
    """Whether structured content is only an envelope for a value that is no object."""
    return isinstance(structured, dict) and list(structured) == ["result"]
