"""Signatures: a function's parameters as a JSON Schema, and compiled into one decoder from JSON bytes to a call.

The quick way decodes all arguments at once into a struct made for the function. Only when that fails are the arguments
read one by one, to accept what is still acceptable and to name everything that is wrong. Raises DeclarationError for
what cannot be served, InvalidArguments for what a caller sent; no other exception comes from bad input.
"""

import copy
import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET, Raw, Struct, UnsetType

from bascule.errors import DeclarationError, InvalidArguments
from bascule.server import annotations, docstring, schema
from bascule.server.argument import FAULTS, Argument, Wrong
from bascule.server.forms import form_of
from bascule.server.parameters import Declaration, Declared, declaration_of, doc_of, is_coroutine_function
from bascule.server.problems import Problems
from bascule.server.rules import Check, check_of
from bascule.server.values import MARK, encode, from_json
from bascule.wire.tools import JSONSchema

SUPPORTED = (
    "None, bool, int, float, str, bytes, dates and times, UUID, Decimal, Path, enums of strings or of integers, "
    "Literal, list, tuple, set, dict, TypedDict, NamedTuple, dataclasses, msgspec structs, pydantic models, Any, and "
    "unions with at most one kind each of text, list and object"
)

_EMPTY = Raw(b"{}")


class Parameter(Struct, frozen=True):
    """One parameter as a caller sees it."""

    name: str
    required: bool
    description: str | None = None
    title: str | None = None


class Signature:
    """A function's parameters: their JSON Schema, and a compiled way from JSON bytes to a call.

    `call` is `arguments` and then `invoke`; where the function is async, what comes back is still to be awaited. What
    `arguments` and `parse` return means something to `invoke` only. `returns` is the resolved return annotation.
    """

    def __init__(self, function: Callable[..., Any], *, what: str, context_type: type) -> None:
        declaration = declaration_of(function, what, context_type)
        declared = declaration.parameters
        names = [parameter.name for parameter in declared]
        said = docstring.read(doc_of(function), {*names, declaration.context or ""})
        readers = [_compiled(parameter, what) for parameter in declared]
        self.schema, definitions = _schema_of(declared, readers, said.parameters)
        self.description = said.description
        self.returns = declaration.returns
        self.is_async = is_coroutine_function(function)
        self.wants_context = declaration.context is not None
        self.asked = declaration.asked
        self.provided = declaration.provided
        for one in self.asked:
            form_of(one.annotation)
        self.names = frozenset(names)
        properties = self.schema["properties"]
        self.parameters = tuple(
            Parameter(one.name, one.required, *map(properties[one.name].get, ("description", "title")))
            for one in declared
        )
        self._readers = tuple(
            Argument(one.name, one.required, reader.decode, properties[one.name], definitions, reader.rule)
            for one, reader in zip(declared, readers, strict=True)
        )
        self._foreign = tuple((f"p{at}", reader.decode) for at, reader in enumerate(readers) if reader.reading.foreign)
        self._ruled = tuple((f"p{at}", one) for at, one in enumerate(self._readers) if one.rule is not None)
        self._struct = _struct_of(declared, readers)
        self._decode: Callable[[Raw], Any] = msgspec.json.Decoder(self._struct, dec_hook=from_json).decode
        self.invoke: Callable[[Any, Any], Any] = _invoker(function, declaration)

    def call(self, raw: Raw | UnsetType, context: Any) -> Any:
        """Decode a JSON object (unset or null: empty) and call the function. Raises InvalidArguments."""
        return self.invoke(self.arguments(raw), context)

    def arguments(self, raw: Raw | UnsetType) -> Any:
        """The decoded arguments, for `invoke`. Raises InvalidArguments."""
        try:
            arguments = self._decode(_EMPTY if raw is UNSET else raw)
            for field, decode in self._foreign:
                value = getattr(arguments, field)
                if type(value) is Raw:
                    setattr(arguments, field, decode(value))
        except FAULTS:
            pass  # answered below, so that the caller's error does not drag this one along
        else:
            return self._checked(arguments, self._ruled) if self._ruled else arguments
        return self._one_by_one(raw)

    def parse(self, values: Mapping[str, str]) -> Any:
        """Arguments given as strings (a prompt's, a URI's variables), for `invoke`. Raises InvalidArguments."""
        return self._bound(values, Argument.read_text)

    def _one_by_one(self, raw: Raw | UnsetType) -> Any:
        try:
            parts = msgspec.json.decode(_EMPTY if raw is UNSET else raw, type=dict[str, Raw] | None)
        except msgspec.ValidationError:
            raise InvalidArguments("Invalid arguments: they must be a JSON object") from None
        except RecursionError:
            raise InvalidArguments("Invalid arguments: they nest too deeply") from None
        except FAULTS:
            raise InvalidArguments("Invalid arguments: they are not valid JSON") from None
        return self._bound(parts or {}, Argument.read)

    def _bound(self, given: Mapping[str, Any], read: Callable[[Argument, Any], Any]) -> Any:
        problems = Problems()
        values: dict[str, Any] = {}
        for at, argument in enumerate(self._readers):
            if argument.name in given:
                try:
                    values[f"p{at}"] = argument.checked(read(argument, given[argument.name]))
                except Wrong as wrong:
                    problems.add(argument.name, str(wrong))
            elif argument.required:
                problems.add(argument.name, "is required")
        for name in given:
            if name not in self.names:
                problems.add_unknown(name, tuple(self.names))
        problems.check()
        arguments = self._struct(**values)
        return self._checked(arguments, [one for one in self._ruled if one[0] not in values])

    def _checked(self, arguments: Any, ruled: Iterable[tuple[str, Argument]]) -> Any:
        """The arguments as the rules leave them, those by default too. Raises InvalidArguments."""
        problems = Problems()
        for field, argument in ruled:
            try:
                setattr(arguments, field, argument.checked(getattr(arguments, field)))
            except Wrong as wrong:
                problems.add(argument.name, str(wrong))
        problems.check()
        return arguments


class _Reader(Struct):
    """A parameter's type, compiled by msgspec or pydantic."""

    reading: annotations.Reading
    decode: Callable[[Any], Any]
    adapter: Any
    schema: JSONSchema
    definitions: JSONSchema
    rule: Check | None


def _compiled(parameter: Declared, what: str) -> _Reader:
    """Compile one parameter alone, so that what cannot be served is named."""
    try:
        rule = check_of(parameter.annotation)
        reading = annotations.read(parameter.annotation)
        if reading.foreign:
            adapter = schema.adapter_of(reading.annotation)
            form, definitions = schema.of_adapter(adapter, "validation", {}, parameter.name)
            return _Reader(reading, _foreign_decode(adapter), adapter, form, definitions, rule)
        decode = msgspec.json.Decoder(reading.annotation, dec_hook=from_json).decode
        (form,), definitions = schema.of_types([reading.annotation])
        return _Reader(reading, decode, None, form, definitions, rule)
    except (TypeError, ValueError, NameError, AttributeError, RuntimeError) as error:
        lines = str(error).partition(" - type `")[0].strip().splitlines() or [type(error).__name__]
        cause = lines[-1] if lines[0].startswith("Generating JSON schema") else lines[0]
        raise DeclarationError(
            f"{what}: parameter {parameter.name!r} is declared as {_shown(parameter.annotation)}, which is not "
            f"supported: {cause.rstrip('.')}. Supported are {SUPPORTED}."
        ) from None


def _foreign_decode(adapter: Any) -> Callable[[Any], Any]:
    validate = adapter.validate_json
    return lambda raw: validate(bytes(raw))


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _schema_of(
    declared: tuple[Declared, ...], readers: list[_Reader], said: Mapping[str, str]
) -> tuple[JSONSchema, JSONSchema]:
    """The object schema of all parameters, and its definitions."""
    native = [reader for reader in readers if not reader.reading.foreign]
    forms, definitions = schema.of_types([reader.reading.annotation for reader in native])
    for reader, form in zip(native, forms, strict=True):
        reader.schema = form
    for parameter, reader in zip(declared, readers, strict=True):
        if reader.reading.foreign:
            reader.schema, added = schema.of_adapter(reader.adapter, "validation", definitions, parameter.name)
            definitions |= added
    properties = {
        parameter.name: _property_of(parameter, reader, said.get(parameter.name))
        for parameter, reader in zip(declared, readers, strict=True)
    }
    form = {"type": "object", "properties": properties}
    if required := [parameter.name for parameter in declared if parameter.required]:
        form["required"] = required
    form["additionalProperties"] = False
    if definitions:
        form["$defs"] = definitions
    return form, definitions


def _property_of(parameter: Declared, reader: _Reader, said: str | None) -> JSONSchema:
    notes = dict(reader.reading.notes)
    extra = notes.pop("extra_json_schema", {})
    found = {**reader.schema, **notes, **extra}
    if said and "description" not in found:
        found["description"] = said
    default = parameter.factory() if parameter.factory else parameter.default
    if not parameter.required and default is not UNSET and "default" not in found:
        with_default = _as_json(default)
        if with_default is not UNSET:
            found["default"] = with_default
    return found


def _as_json(default: Any) -> Any:
    """A default as it stands in a schema; UNSET where JSON cannot say it."""
    if isinstance(default, float) and not math.isfinite(default):
        return UNSET
    try:
        return msgspec.json.decode(encode(default))
    except (TypeError, *FAULTS):
        return UNSET


def _struct_of(declared: tuple[Declared, ...], readers: list[_Reader]) -> type[Struct]:
    """A struct with a field for each parameter; the fields' own names collide with nothing."""
    fields: list[tuple[str, Any, Any]] = []
    for at, (parameter, reader) in enumerate(zip(declared, readers, strict=True)):
        kind = Raw if reader.reading.foreign else reader.reading.annotation
        factory = parameter.factory or _copier(parameter.default)
        if factory is not None:
            settings = msgspec.field(name=parameter.name, default_factory=factory)
        else:
            default = NODEFAULT if parameter.required else parameter.default
            settings = msgspec.field(name=parameter.name, default=default)
        fields.append((f"p{at}", kind, settings))
    return msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True, kw_only=True, gc=False)


def _copier(default: Any) -> Callable[[], Any] | None:
    """A factory for a default that a call could change, so that no two calls share one."""
    kind = type(default)
    is_record = isinstance(default, Struct) or dataclasses.is_dataclass(kind) or hasattr(kind, MARK)
    if isinstance(default, (list, dict, set, bytearray)) or (is_record and default is not inspect.Parameter.empty):
        return lambda: copy.deepcopy(default)
    return None


def _invoker(function: Callable[..., Any], declaration: Declaration) -> Callable[[Any, Any], Any]:
    """The quickest way to call the function with a struct of arguments and a context."""
    values_of = msgspec.structs.astuple
    keywords = tuple(one.name for one in declaration.parameters if one.keyword_only)
    count = len(declaration.parameters) - len(keywords)
    context, place = declaration.context, declaration.place
    if declaration.asked or declaration.provided:
        return _given_invoker(function, declaration)
    if not keywords and context is None:
        return lambda arguments, _: function(*values_of(arguments))
    if not keywords and place == 0:
        return lambda arguments, given: function(given, *values_of(arguments))

    def invoke(arguments: Any, given: Any) -> Any:
        values = values_of(arguments)
        named = dict(zip(keywords, values[count:], strict=False))
        if place is not None:
            return function(*values[:place], given, *values[place:count], **named)
        if context is not None:
            named[context] = given
        return function(*values[:count], **named)

    return invoke


def _given_invoker(function: Callable[..., Any], declaration: Declaration) -> Callable[[Any, Any], Any]:
    """The same for a function with questions or dependencies; what is given is the context, and their values."""
    values_of = msgspec.structs.astuple
    names = tuple(one.name for one in declaration.parameters)
    context = declaration.context

    def invoke(arguments: Any, given: Any) -> Any:
        own, values = given
        named = dict(zip(names, values_of(arguments), strict=True)) | values
        if context is not None:
            named[context] = own
        return function(**named)

    return invoke
