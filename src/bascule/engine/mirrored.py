"""Parameters that clients mirror in HTTP headers, so that what stands between can route on them: `x-mcp-header`.

Read from a tool's input schema: by a server at declaration, by a client when it lists tools. Everything that the
specification forbids is refused.
Source: specification 2026-07-28, server/tools, "x-mcp-header"; basic/transports/streamable-http, "Custom Headers".
"""

import re
from collections.abc import Iterator
from typing import Any

from bascule.engine.application import Mirrored
from bascule.errors import DeclarationError
from bascule.wire.tools import JSONSchema

KEY = "x-mcp-header"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KINDS = ("string", "integer", "boolean")


def mirrored_of(schema: JSONSchema, what: str) -> tuple[Mirrored, ...]:
    """The mirrored parameters of a tool. Raises DeclarationError for one that cannot be mirrored."""
    found = list(_reachable(schema, (), what))
    if _count(schema) != len(found):
        raise DeclarationError(f"{what}: {KEY} may stand only on properties reached through properties alone")
    names = [one.header for one in found]
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{what}: two parameters are mirrored in the header {name}; give one another name")
    return tuple(found)


def _reachable(schema: JSONSchema, path: tuple[str, ...], what: str) -> Iterator[Mirrored]:
    properties = schema.get("properties")
    for name, form in properties.items() if isinstance(properties, dict) else ():
        if isinstance(form, dict):
            if KEY in form:
                yield _mirrored(form, (*path, name), what)
            yield from _reachable(form, (*path, name), what)


def _mirrored(form: JSONSchema, path: tuple[str, ...], what: str) -> Mirrored:
    name = form[KEY]
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise DeclarationError(f"{what}: {KEY} of {'.'.join(path)!r} must be a header name: letters, digits, hyphens")
    if form.get("type") not in _KINDS:
        raise DeclarationError(f"{what}: {'.'.join(path)!r} cannot be mirrored: only texts, integers and booleans can")
    return Mirrored(f"mcp-param-{name.lower()}", path)


def _count(value: Any) -> int:
    """How often the annotation stands anywhere, names of properties and plain values aside."""
    if isinstance(value, list):
        return sum(map(_count, value))
    if not isinstance(value, dict):
        return 0
    own = 1 if KEY in value else 0
    return own + sum(
        sum(map(_count, part.values())) if key in _MAPS and isinstance(part, dict) else _count(part)
        for key, part in value.items()
        if key not in _VALUES
    )


_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_VALUES = ("default", "const", "enum", "examples", KEY)
