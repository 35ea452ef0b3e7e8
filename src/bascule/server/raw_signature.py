"""Signatures from a raw JSON Schema: the schema is served verbatim, and the function takes the arguments as one dict.

What such a schema may be, and what checking the arguments may cost, is decided in `raw_schema`. Loaded when such a tool
is declared.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_origin

import jsonschema_rs
import msgspec
from msgspec import UNSET, Raw, UnsetType

from bascule.checks.json_schema import MASK, RawSchema, TooHeavy
from bascule.errors import DeclarationError, InvalidArguments
from bascule.server.argument import FAULTS, scalar_of, takes_scalar_text
from bascule.server.parameters import Asked, Declared, declaration_of, doc_of, is_coroutine_function
from bascule.server.problems import Problems, at, got
from bascule.server.signature import Parameter
from bascule.wire.tools import JSONSchema

_decode = msgspec.json.Decoder(dict[str, Any] | None).decode


class RawSignature:
    """A function of one dict, and perhaps a context, whose arguments a JSON Schema describes.

    `schema` is the very object that was given. Otherwise as `Signature`. Raises DeclarationError for a schema that is
    not valid, needs a document from elsewhere or does not describe an object, and for a function of other parameters.
    """

    def __init__(self, function: Callable[..., Any], *, schema: JSONSchema, what: str, context_type: type) -> None:
        declaration = declaration_of(function, what, context_type)
        taken = _only_parameter(declaration.parameters, what)
        self._schema = RawSchema(schema, what=what, part="input schema")
        self.schema = schema
        properties = schema.get("properties", {})
        self.description = doc_of(function)
        self.returns = declaration.returns
        self.asked: tuple[Asked, ...] = declaration.asked
        self.provided = declaration.provided
        if self.asked or self.provided:
            raise DeclarationError(
                f"{what}: a function with an input_schema cannot declare questions or dependencies; "
                "use ctx.elicit and ctx.lifespan"
            )
        self.is_async = is_coroutine_function(function)
        self.wants_context = declaration.context is not None
        self.names = frozenset(properties)
        required = schema.get("required", ())
        self.parameters = tuple(_parameter(name, form, name in required) for name, form in properties.items())
        self._function = function
        self._keyword = taken.name if taken.keyword_only else None
        self._context, self._place = declaration.context, declaration.place

    def call(self, raw: Raw | UnsetType, context: Any) -> Any:
        """Decode and validate a JSON object (unset or null: empty) and call the function. Raises InvalidArguments."""
        return self.invoke(self.arguments(raw), context)

    def arguments(self, raw: Raw | UnsetType) -> Any:
        """The validated arguments, for `invoke`. Raises InvalidArguments."""
        data = b"" if raw is UNSET else bytes(raw)
        try:
            values = _decode(data) or {} if data else {}
        except msgspec.ValidationError:
            raise InvalidArguments("Invalid arguments: they must be a JSON object") from None
        except RecursionError:
            raise InvalidArguments("Invalid arguments: they nest too deeply") from None
        except FAULTS:
            raise InvalidArguments("Invalid arguments: they are not valid JSON") from None
        return self._validated(values, data)

    def invoke(self, arguments: Any, context: Any) -> Any:
        """Call the function with what `arguments` returned."""
        positional = [] if self._keyword else [arguments]
        named = {self._keyword: arguments} if self._keyword else {}
        if self._place is not None:
            positional.insert(self._place, context)
        elif self._context is not None:
            named[self._context] = context
        return self._function(*positional, **named)

    def parse(self, values: Mapping[str, str]) -> Any:
        """Arguments given as strings, for `invoke`. Raises InvalidArguments."""
        data = "".join(f"{name} {value} " for name, value in values.items()).encode(errors="replace")
        return self._validated(self._coerced(dict(values)), data)

    def _validated(self, values: dict[str, Any], data: bytes) -> dict[str, Any]:
        try:
            return values if self._schema.fits(values, data) else self._checked(self._coerced(values), data)
        except TooHeavy:
            raise InvalidArguments(
                "Invalid arguments: they are too large to be checked against the tool's input schema; send less at once"
            ) from None
        except UnicodeError:
            raise InvalidArguments("Invalid arguments: they must be valid Unicode text") from None
        except (ValueError, RecursionError):
            raise InvalidArguments("Invalid arguments: they nest too deeply") from None

    def _coerced(self, values: dict[str, Any]) -> dict[str, Any]:
        """The same values, with numbers and booleans for the strings that spell them where no string may stand."""
        return {name: self._coerced_value(name, value) for name, value in values.items()}

    def _coerced_value(self, name: str, value: Any) -> Any:
        form = self.schema.get("properties", {}).get(name)
        if not isinstance(value, str) or not isinstance(form, dict) or "$ref" in form:
            return value
        if not takes_scalar_text(form, {}) or (spelled := scalar_of(value)) is None:
            return value
        try:
            return msgspec.json.decode(spelled)
        except FAULTS:
            return value

    def _name_problems(self, values: dict[str, Any], problems: Problems) -> None:
        """Raise InvalidArguments for arguments that are missing, or unknown where none may be."""
        for name in self.schema.get("required", ()):
            if name not in values:
                problems.add(name, "is required")
        if self.schema.get("additionalProperties") is False and "patternProperties" not in self.schema:
            for name in values.keys() - self.names:
                problems.add_unknown(name, tuple(self.names))
        problems.check()

    def _checked(self, values: dict[str, Any], data: bytes) -> dict[str, Any]:
        if self._schema.fits(values, data):
            return values
        problems = Problems()
        errors = self._schema.errors(values)
        if errors is None:
            self._name_problems(values, problems)
            raise InvalidArguments("Invalid arguments: they do not fit the tool's input schema")
        for error in errors:
            details = error.kind.as_dict()
            if not error.instance_path and error.kind.name == "required":
                problems.add(details["property"], "is required")
            elif not error.instance_path and error.kind.name in ("additionalProperties", "unevaluatedProperties"):
                for name in details["unexpected"]:
                    problems.add_unknown(name, tuple(self.names))
            else:
                name, *steps = error.instance_path or ["arguments"]
                problems.add(str(name), at(steps) + _said(error))
        problems.check()
        return values


def _said(error: jsonschema_rs.ValidationError) -> str:
    message = error.message.replace(MASK, "").strip()
    shown = got(error.instance) if error.instance_path else ""
    words = message[:200]
    return f"{words}{shown}" if words.startswith(("is ", "has ", "does ")) else f"is not valid: {words}"


def _only_parameter(parameters: tuple[Declared, ...], what: str) -> Declared:
    if len(parameters) == 1:
        annotation = parameters[0].annotation
        if annotation is Any or (get_origin(annotation) or annotation) in (dict, Mapping):
            return parameters[0]
    raise DeclarationError(
        f"{what}: a function with a raw JSON Schema takes its arguments as exactly one parameter of type dict, and may "
        "take the context"
    )


def _parameter(name: str, form: Any, required: bool) -> Parameter:
    notes = form if isinstance(form, dict) else {}
    return Parameter(name, required, notes.get("description"), notes.get("title"))
