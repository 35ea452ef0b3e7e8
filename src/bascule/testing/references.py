"""JSON Schemas with their local references followed.

Pure functions over JSON; nothing is fetched. A reference that leads nowhere, or out of the schema, stays as it is.
Source: JSON Schema 2020-12, 8.2.3; RFC 6901.
"""

from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

ANYTHING: Schema = {}
NOTHING: Schema = {"not": {}}

SILENT = frozenset("$schema $id $anchor $comment $defs definitions examples title description default".split())
"""Keywords that do not say what is valid."""

_HOPS = 100


class References:
    """The schemas inside one root; the same schema always gives the same object, so that cycles can be seen."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[int, tuple[Any, Schema]] = {}

    def resolved(self, schema: Any) -> Schema:
        """The schema as an object, its reference and its single conditions merged into it."""
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        if not isinstance(schema, dict):
            return ANYTHING
        known = self._known.get(id(schema))
        if known is None:
            known = self._known[id(schema)] = (schema, self._merged(schema))  # kept, so that no id is used again
        return known[1]

    def _merged(self, schema: Schema) -> Schema:
        found = schema
        for _ in range(_HOPS):
            if "$ref" in found:
                target = self._target(found["$ref"])
                if target is None:
                    return found
                if found.keys() == {"$ref"}:
                    known = self._known.get(id(target))
                    if known is not None:
                        return known[1]
                    found = target
                else:
                    found = _joined([target, {key: value for key, value in found.items() if key != "$ref"}])
            elif _single(found):
                found = _joined([found["allOf"][0], {key: value for key, value in found.items() if key != "allOf"}])
            else:
                return found
        return ANYTHING  # a ring of references with nothing in it allows everything

    def _target(self, reference: Any) -> Schema | None:
        """The schema that a local reference leads to; None where there is none."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for part in unquote(reference[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        if reference != "#" and "/" not in reference:
            return None
        return self.resolved(found) if isinstance(found, bool) else found if isinstance(found, dict) else None


def _single(schema: Schema) -> bool:
    conditions = schema.get("allOf")
    return isinstance(conditions, list) and len(conditions) == 1 and isinstance(conditions[0], dict)


def _joined(parts: list[Schema]) -> Schema:
    """What satisfies all parts, as one schema: merged where no two say the same thing, else as conditions."""
    first, second = parts
    common = (first.keys() & second.keys()) - SILENT
    if not common:
        return {**first, **second}
    silent = {key: value for key, value in second.items() if key in SILENT}
    return {**silent, "allOf": [first, {key: value for key, value in second.items() if key not in SILENT}]}
