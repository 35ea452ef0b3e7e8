"""Forms: what a user is asked to fill in, from a Python type or a JSON Schema, and the reader of what comes back.

A form is flat: an object of texts, numbers, yes-or-no and choices, as clients can show it. Whatever else is refused
when the question is put together, by a sentence that names the field.
Source: specification 2026-07-28, client/elicitation, "Requested Schema"; schema, `PrimitiveSchemaDefinition`.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta

from bascule.errors import DeclarationError
from bascule.server import annotations, schema
from bascule.server.values import from_json
from bascule.wire.tools import JSONSchema

FIELD = "value"
"""The name of the only field of a form that asks for one value."""

_FORMATS = {"email": r"^[^@\s]+@[^@\s]+$", "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$"}
_DATES = {"date": date, "date-time": datetime}
_NUMBERS: Mapping[str, type] = {"integer": int, "number": float}
_LIMITS = {"minLength": "min_length", "maxLength": "max_length", "minimum": "ge", "maximum": "le"}
_ITEMS = {"minItems": "min_length", "maxItems": "max_length"}
_KEPT = frozenset(
    "type title description default enum enumNames oneOf items format minLength maxLength minimum maximum minItems "
    "maxItems".split()
)


class Form(NamedTuple):
    """A form: its schema, and how its fields are read, raising ValidationError or ValueError for a wrong one."""

    schema: JSONSchema
    read: Callable[[Any], Any]


def form_of(wanted: Any) -> Form:
    """The form for a JSON Schema (fields come back as a dict) or for a type. Raises DeclarationError."""
    if isinstance(wanted, dict):
        return _of_schema(wanted)
    try:
        return _of_type(wanted)
    except TypeError as error:
        if isinstance(error, DeclarationError):
            raise
        raise DeclarationError(f"Nobody can fill in a form for {wanted!r}: {error}") from None


def _of_schema(wanted: JSONSchema) -> Form:
    properties = wanted.get("properties", {})
    if wanted.get("type", "object") != "object" or not properties:
        raise DeclarationError("A form's schema must be an object with properties")
    required = set(wanted.get("required", ()))
    fields = [
        (f"f{at}", _type_of(name, form), msgspec.field(name=name, **({} if name in required else {"default": UNSET})))
        for at, (name, form) in enumerate(properties.items())
    ]
    kind = msgspec.defstruct("Form", fields, kw_only=True)

    def read(content: Any) -> Any:
        msgspec.convert(content, kind)
        return {name: content[name] for name in properties if name in content}

    return Form(wanted, read)


def _type_of(name: str, form: JSONSchema) -> Any:
    """The type that a field's schema means. Raises DeclarationError."""
    kind: Any = form.get("type")
    if choices := _choices(form):
        return Literal[choices]
    if kind == "string":
        return _text(form)
    if kind in _NUMBERS:
        return Annotated[_NUMBERS[kind], Meta(**_limits(form, _LIMITS))]
    if kind == "boolean":
        return bool
    if kind == "array" and (choices := _choices(form.get("items", {}))):
        return Annotated[list[Literal[choices]], Meta(**_limits(form, _ITEMS))]  # type: ignore[valid-type]
    raise DeclarationError(f"The form's field {name!r} must be a text, a number, a boolean or a choice of texts")


def _text(form: JSONSchema) -> Any:
    dated = _DATES.get(form.get("format", ""))
    if dated is not None:
        return dated
    pattern = _FORMATS.get(form.get("format", ""))
    limits = _limits(form, _LIMITS)
    return Annotated[str, Meta(**limits, pattern=pattern) if pattern else Meta(**limits)]


def _limits(form: JSONSchema, names: Mapping[str, str]) -> dict[str, Any]:
    return {names[key]: value for key, value in form.items() if key in names}


def _choices(form: JSONSchema) -> tuple[str, ...]:
    titled = form.get("oneOf", form.get("anyOf"))
    found = [option.get("const") for option in titled] if titled else form.get("enum", [])
    return tuple(found) if found and all(isinstance(option, str) for option in found) else ()


@lru_cache(maxsize=256)
def _of_type(wanted: Any) -> Form:
    reading = annotations.read(wanted)
    read: Callable[[Any], Any]
    if reading.foreign:
        adapter = schema.adapter_of(reading.annotation)
        form, definitions = schema.of_adapter(adapter, "validation", {}, "Form")
        read = adapter.validate_python
    else:
        (form,), definitions = schema.of_types([reading.annotation])

        def read(content: Any) -> Any:
            return msgspec.convert(content, reading.annotation, dec_hook=from_json)

    root = schema.rooted(form, definitions)
    if "properties" in root:
        return Form(_flat(root, definitions), read)
    single = {"type": "object", "properties": {FIELD: {**root, **reading.notes}}, "required": [FIELD]}
    return Form(_flat(single, definitions), lambda content: read(content[FIELD]))


def _flat(root: JSONSchema, definitions: JSONSchema) -> JSONSchema:
    """The schema with each field as clients know them, and nothing that they do not know."""
    properties = {name: _primitive(name, form, definitions) for name, form in root["properties"].items()}
    flat: JSONSchema = {"type": "object", "properties": properties}
    if required := root.get("required"):
        flat["required"] = list(required)
    return flat


def _primitive(name: str, form: JSONSchema, definitions: JSONSchema) -> JSONSchema:
    options = [part for part in form.get("anyOf", [form]) if part.get("type") != "null"]
    if len(options) != 1:
        raise DeclarationError(f"The form's field {name!r} must be of one kind")
    found = schema.rooted(options[0], definitions)
    plain = {**found, **{key: value for key, value in form.items() if key != "anyOf"}}
    plain = {key: value for key, value in plain.items() if key in _KEPT}
    if plain.get("format") not in (None, *_FORMATS, *_DATES):
        del plain["format"]
    if "enum" in plain:
        plain.setdefault("type", "string")
    if "items" in plain:
        items = schema.rooted(plain["items"], definitions)
        plain["items"] = {"type": "string", "enum": items.get("enum", [])}
    if plain.get("default", "") is None:
        del plain["default"]
    _type_of(name, plain)
    return plain
