"""What a server's answers become: the struct of each method's result, and the exception of each error code.

Knows shapes, no transport and no date. A null where a result should have nothing counts as nothing: many servers send
them. Source: the specification, basic/index, "Responses" and "Error Codes"; server/utilities/pagination.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from bascule.errors import (
    HeaderMismatch,
    InternalError,
    InvalidParams,
    InvalidRequest,
    MCPError,
    MethodNotFound,
    MissingCapability,
    ParseError,
    ResourceNotFound,
    UnsupportedVersion,
)
from bascule.wire.completion import CompleteResult
from bascule.wire.jsonrpc import ErrorObject
from bascule.wire.lifecycle import DiscoverResult, InitializeResult
from bascule.wire.prompts import GetPromptResult, Prompt
from bascule.wire.resources import ReadResourceResult, Resource, ResourceTemplate
from bascule.wire.results import CacheableResult, EmptyResult, Result
from bascule.wire.tools import CallToolResult, Tool


class Page(CacheableResult, kw_only=True):
    """One page of a list; `next_cursor` is None on the last."""

    next_cursor: str | None = None


class ToolsPage(Page, kw_only=True):
    """One page of tools."""

    tools: list[Tool]


class ResourcesPage(Page, kw_only=True):
    """One page of resources."""

    resources: list[Resource]


class TemplatesPage(Page, kw_only=True):
    """One page of resource templates."""

    resource_templates: list[ResourceTemplate]


class PromptsPage(Page, kw_only=True):
    """One page of prompts."""

    prompts: list[Prompt]


_SHAPES: dict[str, type[Result]] = {
    "initialize": InitializeResult,
    "server/discover": DiscoverResult,
    "ping": EmptyResult,
    "logging/setLevel": EmptyResult,
    "tools/list": ToolsPage,
    "tools/call": CallToolResult,
    "resources/list": ResourcesPage,
    "resources/templates/list": TemplatesPage,
    "resources/read": ReadResourceResult,
    "prompts/list": PromptsPage,
    "prompts/get": GetPromptResult,
    "completion/complete": CompleteResult,
}

_DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    method: msgspec.json.Decoder(shape).decode for method, shape in _SHAPES.items()
}

_VERBATIM = frozenset({"structuredContent", "inputSchema", "outputSchema", "_meta"})
"""Where a null is a value of somebody else's and stays."""

_OLD_RESOURCE_NOT_FOUND = -32002

_KINDS: Mapping[int, type[MCPError]] = {
    kind.code: kind
    for kind in (
        ParseError,
        InvalidRequest,
        MethodNotFound,
        InvalidParams,
        InternalError,
        HeaderMismatch,
        MissingCapability,
        UnsupportedVersion,
    )
} | {_OLD_RESOURCE_NOT_FOUND: ResourceNotFound}


_LONGEST_WAIT = 10**9
"""Seconds; more is no time that anybody waits."""


def decode_result(method: str, raw: Raw) -> Any:
    """The result of `method` as its struct, or as plain objects where the method is not known here.

    Raises MCPError where it is malformed.
    """
    decode = _DECODERS.get(method)
    try:
        return msgspec.json.decode(raw) if decode is None else decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError) as wrong:
        reason = wrong
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(raw)), _SHAPES.get(method, Any))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise MCPError(f"The server's result of {method} is malformed: {reason}") from None


def received(error: ErrorObject, status: int = 200) -> MCPError:
    """The exception for an error that came from a server, of the class of its code."""
    kind = _KINDS.get(error.code, MCPError)
    data = None if isinstance(error.data, UnsetType) else error.data
    raised = kind.__new__(kind, error.message)
    MCPError.__init__(raised, error.message, code=error.code, data=data, status=status)
    raised.retry_after = _wait_in(data)
    return raised


def _wait_in(data: Any) -> float | None:
    """The seconds after which a refused request may succeed, where an error says them."""
    wait = data.get("retryAfter") if isinstance(data, dict) else None
    return float(wait) if isinstance(wait, int | float) and 0 <= wait <= _LONGEST_WAIT else None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: item if key in _VERBATIM and item is not None else _without_nulls(item)
            for key, item in value.items()
            if item is not None or key == "structuredContent"
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
