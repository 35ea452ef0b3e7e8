"""Results of tools whose output schema was given: the schema is served verbatim, and every result must fit it.

What does not fit is the server's fault: the caller is told a reference and the log the tool and the place, neither of
them the value. Results that report an error are not held to the schema.
Source: specification 2026-07-28, server/tools, "Output Schema".
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from bascule.checks.json_schema import RawSchema, TooHeavy
from bascule.server.argument import FAULTS
from bascule.server.results import Output, encoded
from bascule.wire.content import TextContent
from bascule.wire.jsonrpc import MAX_DEPTH, too_deep
from bascule.wire.tools import CallToolResult, JSONSchema


def raw_output(form: JSONSchema, *, what: str) -> Output:
    """The output of a tool with this schema, whose root is an object in every revision up to 2025-11-25, and so here.

    Raises DeclarationError for a schema that cannot be used. What `render` raises is a TypeError that names the tool.
    """
    schema = RawSchema(form, what=what, part="output schema")

    def render(value: Any) -> CallToolResult:
        if not isinstance(value, CallToolResult):
            data = _fitting(value, schema, what)
            return CallToolResult(content=[TextContent(data.decode())], structured_content=Raw(data))
        if value.is_error:
            return replace(value)
        if value.structured_content is UNSET:
            raise TypeError(f"{what} returned a result without structured content, which its output schema asks for")
        return replace(value, structured_content=Raw(_fitting(value.structured_content, schema, what)))

    return Output(form, render)


def _fitting(value: Any, schema: RawSchema, what: str) -> bytes:
    """The JSON bytes of a value. Raises TypeError for one that does not fit."""
    data = encoded(value, what)
    if schema.recursive and too_deep(data):
        raise TypeError(f"{what} returned a result that nests deeper than {MAX_DEPTH} levels")
    try:
        plain = msgspec.json.decode(data)
        if schema.fits(plain, data):
            return data
        place = _place(schema, plain)
    except TooHeavy:
        raise TypeError(f"{what} returned too large a result to check against its output schema") from None
    except FAULTS:
        raise TypeError(f"{what} returned a result that cannot be checked against its output schema") from None
    raise TypeError(f"{what} returned a result that does not fit its output schema{place}")


def _place(schema: RawSchema, value: Any) -> str:
    """Where a value does not fit first, and by which keyword, where that can be told."""
    errors = schema.errors(value)
    if not errors:
        return ""
    steps = "".join(f"/{step}" for step in errors[0].instance_path)[:200]
    return f": {steps or 'its root'} ({errors[0].kind.name})"
