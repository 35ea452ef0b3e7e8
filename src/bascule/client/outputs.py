"""What tools give back: structured results held against the schema that the tool was listed with, and made into types.

Knows tools and values; does not know how they travel. The validator is loaded with the first schema that is needed, and
a schema that could cost too much to check, or needs a document from elsewhere, is not used: nothing is ever fetched.
Source: specification 2026-07-28, server/tools, "Output Schema".
"""

import logging
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from bascule.errors import DeclarationError, MCPError, ToolError
from bascule.late import late
from bascule.wire.content import TextContent
from bascule.wire.jsonrpc import encode
from bascule.wire.tools import CallToolResult, Tool

T = TypeVar("T")

log = logging.getLogger("bascule")

_PYDANTIC = "__get_pydantic_core_schema__"
_WRAPPED = {"result"}


class KnownTools:
    """What the tools that a server has listed say of themselves."""

    def __init__(self) -> None:
        self._given: dict[str, bytes] = {}
        self._ready: dict[str, Any] = {}
        self.repeatable: set[str] = set()
        """Those that may be called twice: they say that they read only, or that once more changes nothing."""

    def learn(self, tools: Iterable[Tool]) -> None:
        """Believe this of these tools from now on, whatever is done to them later."""
        for tool in tools:
            self.repeatable.discard(tool.name)
            self._given.pop(tool.name, None)
            self._ready.pop(tool.name, None)
            hints = tool.annotations
            if hints is not None and (hints.read_only_hint or hints.idempotent_hint):
                self.repeatable.add(tool.name)
            if isinstance(tool.output_schema, dict):
                self._given[tool.name] = encode(tool.output_schema)

    def check(self, name: str, result: CallToolResult) -> None:
        """Raise MCPError for a result that does not fit the schema its tool was listed with; a failure need not."""
        given = self._given.get(name)
        if given is None or result.is_error:
            return
        schema = self._schema(name, given)
        value = result.structured_content
        if schema is None:
            return
        if value is None:
            raise MCPError(f"The server's result of the tool {name!r} has none of the structure that the tool promises")
        try:
            fits = schema.fits(value, msgspec.json.encode(value))
        except Exception as wrong:
            log.warning("the result of the tool %r could not be checked: %s", name, type(wrong).__name__)
            return
        if not fits:
            raise MCPError(f"The server's result of the tool {name!r} does not fit the output schema of the tool")

    def _schema(self, name: str, given: bytes) -> Any:
        """The schema, compiled; None for one that cannot be used."""
        if name not in self._ready:
            try:
                self._ready[name] = late("bascule.checks.json_schema:RawSchema")(
                    msgspec.json.decode(given), what=f"tool {name[:200]!r}", part="output schema", rooted=False
                )
            except DeclarationError as wrong:
                log.warning("results are not checked: %s", wrong)
                self._ready[name] = None
        return self._ready[name]


def into(kind: type[T], name: str, result: CallToolResult) -> T:
    """What a tool gave back, as a type: its structured content, or that without the wrapping of a single value.

    Raises ToolError with the tool's own words where it failed, MCPError for what does not fit the type.
    """
    if result.is_error:
        words = [block.text for block in result.content if isinstance(block, TextContent)]
        raise ToolError("\n".join(words) or f"The tool {name!r} failed and did not say why")
    value = result.structured_content
    if value is None:
        value = _said(kind, name, result)
    reason: Exception | None = None
    for candidate in (value, value["result"]) if isinstance(value, dict) and value.keys() == _WRAPPED else (value,):
        try:
            made: T = _made(kind, candidate)
            return made
        except (msgspec.ValidationError, ValueError, TypeError) as wrong:
            reason = wrong
    shown = getattr(kind, "__name__", str(kind))
    raise MCPError(f"The server's result of the tool {name!r} is no {shown}: {reason}")


def _said(kind: Any, name: str, result: CallToolResult) -> Any:
    """What a result without structure says in its only text: the text, or the JSON in it."""
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if len(texts) != 1:
        raise MCPError(f"The server's result of the tool {name!r} has no structured content to make a value of")
    if kind is str:
        return texts[0]
    try:
        return msgspec.json.decode(texts[0])
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise MCPError(
            f"The server's result of the tool {name!r} has no structured content, and its text is no JSON"
        ) from None


def _made(kind: Any, value: Any) -> Any:
    if hasattr(kind, _PYDANTIC):
        return sys.modules["pydantic"].TypeAdapter(kind).validate_python(value)
    return msgspec.convert(value, kind)
