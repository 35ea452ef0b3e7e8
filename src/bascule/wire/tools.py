"""Tools: their definitions, a call's parameters and its result.

Source: specification 2026-07-28, server/tools.
"""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.content import ContentBlock, Icon, Meta
from bascule.wire.inputs import InputParams
from bascule.wire.results import CacheableResult, Result

JSONSchema = dict[str, Any]


class ToolAnnotations(Struct, rename="camel", omit_defaults=True):
    """Hints on a tool's behaviour; a client must not trust them unless it trusts the server."""

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class ToolExecution(Struct, rename="camel", omit_defaults=True):
    """How a tool may be run: whether a call of it can become a task (2025-11-25 only; absent is "forbidden")."""

    task_support: Literal["forbidden", "optional", "required"] | None = None


class Tool(Struct, rename="camel", omit_defaults=True):
    """A tool as a client sees it. The schemas are JSON Schema 2020-12 and kept as they were given.

    `execution` is read from other servers; those of Bascule do not set it: their tasks are the extension's.
    """

    name: str
    input_schema: JSONSchema
    title: str | None = None
    description: str | None = None
    output_schema: JSONSchema | None = None
    annotations: ToolAnnotations | None = None
    icons: list[Icon] | None = None
    meta: Meta | None = field(default=None, name="_meta")
    execution: ToolExecution | None = None


class CallToolParams(InputParams):
    """Which tool to call, and its arguments, still as JSON bytes."""

    name: str
    arguments: Raw | UnsetType = UNSET


class ListToolsResult(CacheableResult):
    """One page of tools."""

    tools: list[Tool] | Raw
    next_cursor: str | UnsetType = UNSET


class CallToolResult(Result):
    """What a tool gave back: blocks for the model, `structured_content` for programs, `is_error` for a failed call."""

    content: list[ContentBlock]
    structured_content: Any = UNSET
    is_error: bool = False
