"""Content blocks that a revision does not know yet, said in those that it does; nothing is dropped.

Audio came with 2025-03-26, resource links with 2025-06-18.
Source: the schemas of those revisions, `CallToolResult` and `PromptMessage`.
"""

from collections.abc import Mapping

from bascule.wire.content import (
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from bascule.wire.prompts import GetPromptResult, PromptMessage
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

_UNKNOWN: Mapping[str, tuple[type, ...]] = {
    "2024-11-05": (AudioContent, ResourceLink),
    "2025-03-26": (ResourceLink,),
}


def said_in(version: str, result: Result) -> None:
    """Replace the blocks of a result that `version` does not know, in place."""
    unknown = _UNKNOWN.get(version)
    if unknown is None:
        return
    if isinstance(result, CallToolResult):
        result.content = [_known(block, unknown) for block in result.content]
    elif isinstance(result, GetPromptResult):
        result.messages = [PromptMessage(one.role, _known(one.content, unknown)) for one in result.messages]


def _known(block: ContentBlock, unknown: tuple[type, ...]) -> ContentBlock:
    if not isinstance(block, unknown):
        return block
    if isinstance(block, AudioContent):
        return EmbeddedResource(ResourceContents("urn:bascule:audio", block.mime_type, blob=block.data))
    if isinstance(block, ResourceLink):
        return TextContent(
            ": ".join(part for part in (block.title or block.name, block.description, block.uri) if part)
        )
    return block
