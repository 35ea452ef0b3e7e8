"""JSON Schemas of Python types: made by msgspec or pydantic, then cleared of what tells a model nothing.

Schemas are JSON Schema 2020-12 with local references (`#/$defs/Name`) only. Titles that merely repeat a name, empty
`required` lists and OpenAPI's `discriminator` are taken out; titles that an author wrote stay.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bascule.server.values import schema_of
from bascule.wire.tools import JSONSchema

Mode = Literal["validation", "serialization"]

_MAPS = ("properties", "$defs", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "propertyNames", "if", "then", "else")
_REF = "#/$defs/{name}"


def of_types(kinds: Sequence[Any]) -> tuple[list[JSONSchema], JSONSchema]:
    """The schemas of types that msgspec knows, and the definitions that they refer to."""
    schemas, definitions = msgspec.json.schema_components(kinds, schema_hook=schema_of, ref_template=_REF)
    return [cleaned(schema) for schema in schemas], cleaned({"$defs": definitions})["$defs"]


def of_adapter(adapter: Any, mode: Mode, taken: Mapping[str, Any], prefix: str) -> tuple[JSONSchema, JSONSchema]:
    """The schema of a pydantic TypeAdapter, and its definitions, renamed with `prefix` where a name is taken."""
    schema = adapter.json_schema(mode=mode, ref_template="#/$defs/{model}")
    definitions = schema.get("$defs", {})
    if any(taken.get(name, found) != found for name, found in cleaned({"$defs": definitions})["$defs"].items()):
        schema = adapter.json_schema(mode=mode, ref_template=f"#/$defs/{prefix}.{{model}}")
        definitions = {f"{prefix}.{name}": found for name, found in schema.get("$defs", {}).items()}
    definitions = cleaned({"$defs": definitions})["$defs"]
    schema.pop("$defs", None)
    is_class = "properties" in schema or "enum" in schema
    return cleaned(schema, schema.get("title") if is_class else None), definitions


def adapter_of(annotation: Any) -> Any:
    """A pydantic TypeAdapter for an annotation; only for those that mention pydantic, so it is loaded."""
    return sys.modules["pydantic"].TypeAdapter(annotation)


def rooted(schema: JSONSchema, definitions: JSONSchema) -> JSONSchema:
    """One schema that stands by itself: the definition that it refers to put at its root, the rest under `$defs`."""
    if (target := _target(schema)) is not None:
        schema = {**definitions[target], **{key: value for key, value in schema.items() if key != "$ref"}}
    used = _reachable(schema, definitions)
    return {**schema, "$defs": used} if used else schema


def leaves(schema: JSONSchema, definitions: Mapping[str, Any]) -> Iterator[JSONSchema]:
    """The alternatives that a schema allows, references and unions resolved."""
    seen: set[str] = set()
    waiting = [schema]
    while waiting:
        schema = waiting.pop()
        if (target := _target(schema)) is not None:
            if target not in seen:
                seen.add(target)
                waiting.append(definitions[target])
        elif parts := schema.get("anyOf", schema.get("oneOf")):
            waiting.extend(parts)
        else:
            yield schema


def types_of(leaf: JSONSchema) -> frozenset[str]:
    """The JSON types that a schema without alternatives allows; empty where it does not say."""
    found = leaf.get("type")
    if isinstance(found, str):
        return frozenset({found})
    if isinstance(found, list):
        return frozenset(found)
    options = leaf.get("enum", [leaf["const"]] if "const" in leaf else [])
    return frozenset(_NAMES.get(type(option), "object") for option in options)


def cleaned(schema: JSONSchema, name: str | None = None) -> JSONSchema:
    """A copy without noise; `name` is the key under which the schema stands, or its class's name."""
    kept: JSONSchema = {}
    for key, value in schema.items():
        if key == "discriminator" or (key == "required" and not value):
            continue
        if key == "title" and name is not None and value in (name, _title(name), name.rpartition(".")[2]):
            continue
        kept[key] = _cleaned_part(key, value)
    return kept


def _cleaned_part(key: str, value: Any) -> Any:
    if key in _MAPS and isinstance(value, dict):
        return {name: _cleaned_schema(part, name) for name, part in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [_cleaned_schema(part, None) for part in value]
    if key in _SINGLE:
        return _cleaned_schema(value, None)
    return value


def _cleaned_schema(value: Any, name: str | None) -> Any:
    return cleaned(value, name) if isinstance(value, dict) else value


def _title(name: str) -> str:
    """The title that pydantic makes up for a field."""
    return name.replace("_", " ").title().strip()


def _reachable(schema: JSONSchema, definitions: JSONSchema) -> JSONSchema:
    found: JSONSchema = {}
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            target = _target(part)
            if target in definitions and target not in found:
                found[target] = definitions[target]
                waiting.append(definitions[target])
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return {name: definitions[name] for name in definitions if name in found}


def _target(schema: JSONSchema) -> Any:
    reference = schema.get("$ref")
    return reference.removeprefix("#/$defs/") if isinstance(reference, str) else None


_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", type(None): "null"}
