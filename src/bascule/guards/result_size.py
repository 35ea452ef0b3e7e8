"""How large a result is, and what becomes of one that is too large.

Sizes are bytes of UTF-8 text (of links the names and URIs too) and of base64, as they stand in a result's blocks and
in its structured content; each of the two may have `limit` of them. Text blocks are cut, and say so. Whatever a cut
would break (structured content, images, audio, resources, prompts) makes the whole result an error. They are the sizes
of what the author gave, before anything is made visible in it and before its envelope.
"""

from typing import Any, NamedTuple

from msgspec import UNSET, Raw
from msgspec.structs import replace

from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.errors import ResultTooLarge
from bascule.wire.content import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    TextContent,
)
from bascule.wire.jsonrpc import encode
from bascule.wire.prompts import GetPromptResult
from bascule.wire.resources import ReadResourceResult
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

MAX_META = 64 * 1024
"""How long the `_meta` of a result may be, in bytes, where the limit is less: it says what went wrong, too."""

_WIDEST = 4
"""The most bytes that one character takes."""


class Kept(NamedTuple):
    """What is kept of a text block, and how many characters of this block and of later ones are not."""

    block: TextContent
    left_out: int


def size_limit() -> Guard:
    """The guard that holds results to a size and does nothing else to them. Raises ResultTooLarge."""

    def guard(next: Handler, feature: Feature) -> Handler:
        limit = feature.policy.max_result_bytes

        async def sized(exchange: Exchange) -> Result:
            result = await next(exchange)
            return result if is_small(result, limit) else fitting(result, limit)

        return sized

    return guard


def fitting(result: Result, limit: int) -> Result:
    """A result that has the size allowed, the texts of a tool's cut where they must be. Raises ResultTooLarge."""
    if isinstance(result, CallToolResult):
        kept = fitted(result, limit)
        if all(not isinstance(block, Kept) or not block.left_out for block in kept):
            return result
        return replace(result, content=[said(block, limit) if isinstance(block, Kept) else block for block in kept])
    if isinstance(result, ReadResourceResult | GetPromptResult):
        check_whole(result, limit)
    return result


def said(kept: Kept, limit: int) -> TextContent:
    """A text block that says what was cut off."""
    if not kept.left_out:
        return kept.block
    return replace(kept.block, text=kept.block.text + notice(kept.left_out, limit))


def is_small(result: Result, limit: int) -> bool:
    """Whether a tool's result is certainly small enough. A look at lengths; False where that does not tell."""
    if type(result) is not CallToolResult or result.meta is not UNSET:
        return False
    size = 0
    for block in result.content:
        if type(block) is not TextContent:
            return False
        size += len(block.text)
    structured = result.structured_content
    if structured is not UNSET:
        if type(structured) is dict and len(structured) == 1:
            structured = structured.get("result")
        if type(structured) is not Raw and type(structured) is not str:
            return False
        size += len(structured)
    return size * _WIDEST <= limit


def fitted(result: CallToolResult, limit: int) -> list[ContentBlock | Kept]:
    """The blocks of a result that are kept, those of text with what was left out of them.

    Raises ResultTooLarge for what cannot be cut. Structured content is encoded in place, so that it is done once.
    """
    if result.structured_content is not UNSET and result.structured_content is not None:
        data = as_json(result.structured_content)
        check(len(data), limit, "structured content")
        result.structured_content = Raw(data)
    _check_meta(result, limit)
    others = sum(_size(block) for block in result.content if not isinstance(block, TextContent))
    check(others, limit, "images, audio and resources")
    return _cut(result.content, limit - others)


def check_whole(result: ReadResourceResult | GetPromptResult, limit: int) -> None:
    """Raise ResultTooLarge for a resource or prompt that is larger than the limit."""
    _check_meta(result, limit)
    if isinstance(result, ReadResourceResult):
        check(sum(_of_contents(one) for one in result.contents), limit, "contents")
    else:
        check(sum(_size(message.content) for message in result.messages), limit, "messages")


def _check_meta(result: Result, limit: int) -> None:
    if result.meta is not UNSET:
        check(len(as_json(result.meta)), max(limit, MAX_META), "_meta")


def check(size: int, limit: int, what: str) -> None:
    """Raise ResultTooLarge for a part of a result that is larger than the limit."""
    if size > limit:
        raise ResultTooLarge(
            f"The result is too large: {size} bytes of {what}, and {limit} are allowed. Ask for less of it.",
            details={"limit": limit, "size": size},
        )


def notice(left_out: int, limit: int) -> str:
    """What a text block says that was cut."""
    return f"\n[{left_out:,} characters of this result were left out here: it may have {limit:,} bytes at most.]"


def as_json(value: Any) -> bytes:
    """The JSON bytes of structured content."""
    return bytes(value) if type(value) is Raw else encode(value)


def _cut(content: list[ContentBlock], left: int) -> list[ContentBlock | Kept]:
    """The blocks of which there is room for `left` bytes of text; the last that has some says what is missing."""
    kept: list[ContentBlock | Kept] = []
    cut_at = -1
    for block in content:
        if not isinstance(block, TextContent):
            kept.append(block)
        elif cut_at >= 0:
            cut = kept[cut_at]
            assert isinstance(cut, Kept)
            kept[cut_at] = cut._replace(left_out=cut.left_out + len(block.text))
        else:
            size = _bytes(block.text)
            text = block.text if size <= left else _start(block.text, left)
            left -= size
            if left < 0:
                cut_at = len(kept)
            kept.append(Kept(block if text is block.text else _with_text(block, text), len(block.text) - len(text)))
    return kept


def _with_text(block: TextContent, text: str) -> TextContent:
    return TextContent(text, block.annotations, block.meta)


def _start(text: str, size: int) -> str:
    """As many whole characters as have room in `size` bytes."""
    return text[:size] if text.isascii() else text[:size].encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _bytes(text: str | None) -> int:
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _of_contents(contents: ResourceContents) -> int:
    return _bytes(contents.text) + _bytes(contents.blob)


def _size(block: ContentBlock) -> int:
    if isinstance(block, TextContent):
        return _bytes(block.text)
    if isinstance(block, ImageContent | AudioContent):
        return _bytes(block.data)
    if isinstance(block, EmbeddedResource):
        return _of_contents(block.resource) + _bytes(block.resource.uri)
    return sum(map(_bytes, (block.uri, block.name, block.title, block.description)))
