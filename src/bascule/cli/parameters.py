"""A tool's parameters as a person wants to see them: name, kind, default, read from the tool's input schema.

Pure functions over JSON Schema; only references inside the schema itself are followed.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

_DEPTH = 8
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class Parameter(NamedTuple):
    """One parameter. `kinds` are the JSON types that it takes, none where the schema does not say."""

    name: str
    label: str
    kinds: frozenset[str]
    required: bool
    default: Any
    description: str | None

    def __str__(self) -> str:
        if self.default is not None:
            return f"{self.name}: {self.label} = {_compact(self.default)}"
        return f"{self.name}{'' if self.required else '?'}: {self.label}"


def parameters(schema: dict[str, Any]) -> list[Parameter]:
    """The parameters of an input schema, in the order in which it has them."""
    root = resolved(schema, schema)
    properties, required = root.get("properties"), root.get("required")
    return [
        _parameter(
            name, form if isinstance(form, dict) else {}, schema, isinstance(required, list) and name in required
        )
        for name, form in (properties if isinstance(properties, dict) else {}).items()
    ]


def takes_others(schema: dict[str, Any]) -> bool:
    """Whether the tool may take arguments that its schema does not list."""
    root = resolved(schema, schema)
    combined = {"anyOf", "oneOf", "allOf", "if", "patternProperties", "propertyNames"} & root.keys()
    return bool(combined) or root.get("additionalProperties", False) is not False or "properties" not in root


def _parameter(name: str, form: dict[str, Any], root: dict[str, Any], required: bool) -> Parameter:
    leaves = list(_leaves(form, root, _DEPTH))
    kinds = [_kinds(leaf) for leaf in leaves]
    known = frozenset().union(*kinds) if all(kinds) else frozenset()
    labels = dict.fromkeys(label for leaf in leaves for label in _labels(leaf, root, _DEPTH))
    description = form.get("description")
    return Parameter(
        name,
        " | ".join(labels) or "any",
        known,
        required,
        form.get("default"),
        description if isinstance(description, str) else None,
    )


def _leaves(form: dict[str, Any], root: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """The alternatives that a schema allows, references and unions resolved."""
    form = resolved(form, root)
    parts = form.get("anyOf", form.get("oneOf"))
    if depth and isinstance(parts, list):
        for part in parts:
            yield from _leaves(part if isinstance(part, dict) else {}, root, depth - 1)
    else:
        yield form


def resolved(form: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema that a local reference leads to, or the schema itself."""
    for _ in range(_DEPTH):
        reference = form.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        target: Any = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if key and isinstance(target, dict) else target
        if not isinstance(target, dict):
            return {}
        form = {**target, **{key: value for key, value in form.items() if key != "$ref"}}
    return form


def _kinds(leaf: dict[str, Any]) -> frozenset[str]:
    found = leaf.get("type")
    if isinstance(found, str):
        return frozenset({found})
    if isinstance(found, list):
        return frozenset(kind for kind in found if isinstance(kind, str))
    return frozenset(_KINDS.get(type(option), "null") for option in _options(leaf))


def _options(leaf: dict[str, Any]) -> list[Any]:
    listed = leaf.get("enum", [leaf["const"]] if "const" in leaf else [])
    return listed if isinstance(listed, list) else []


def _labels(leaf: dict[str, Any], root: dict[str, Any], depth: int) -> Iterator[str]:
    options = _options(leaf)
    if options:
        yield from (_compact(option) for option in options)
        return
    for kind in sorted(_kinds(leaf), key=lambda kind: (kind == "null", kind)):
        items = leaf.get("items")
        if kind == "array" and depth and isinstance(items, dict):
            inner = [label for one in _leaves(items, root, depth) for label in _labels(one, root, depth - 1)]
            yield f"[{' | '.join(dict.fromkeys(inner)) or 'any'}]"
        else:
            yield kind


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
