"""Forms: the fields that a server asks a user to fill in, and the readers of what is typed into them.

Knows the flat schemas of questions; asks nobody and prints nothing. A value that does not fit raises Unfit with a
sentence for the user. What is of a kind that the specification does not have is taken as JSON.
Source: specification 2026-07-28, client/elicitation, "Requested Schema".
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

MAX_FIELDS = 100

_FORMATS = {
    "email": (re.compile(r"[^@\s]+@[^@\s]+"), "an e-mail address, as in ada@example.com"),
    "uri": (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"), "a URI, as in https://example.com"),
}
_DATES: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "a date, as in 2026-12-24"),
    "date-time": (datetime.fromisoformat, "a date and time, as in 2026-12-24T18:00:00Z"),
}
_YES = frozenset({"y", "yes", "true"})
_NO = frozenset({"n", "no", "false"})
_NONE = "-"


class Unfit(ValueError):
    """A value does not fit its field; the sentence says what would."""


class Choice(NamedTuple):
    """One value to choose, and what people call it."""

    value: Any
    title: str


class Field(NamedTuple):
    """One field of a form. `kind` is a JSON type, "choice", "choices", or "any" for what is typed as JSON."""

    name: str
    title: str
    description: str
    kind: str
    required: bool
    choices: tuple[Choice, ...]
    form: dict[str, Any]

    @property
    def has_default(self) -> bool:
        """Whether the schema suggests a value, and one that fits."""
        if "default" not in self.form:
            return False
        try:
            check(self, self.form["default"])
        except Unfit:
            return False
        return True

    @property
    def secret(self) -> bool:
        """Whether the schema says that the value is a secret, which no form should ask for."""
        return self.form.get("format") == "password" or self.form.get("writeOnly") is True


def fields(schema: Any) -> list[Field]:
    """The fields of a form, in the order in which the schema has them."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    wanted = required if isinstance(required, list) else []
    named = list(properties.items()) if isinstance(properties, dict) else []
    return [_field(name, form if isinstance(form, dict) else {}, name in wanted) for name, form in named[:MAX_FIELDS]]


def read(field: Field, text: str) -> Any:
    """The value that was typed. Raises Unfit."""
    return check(field, _READERS.get(field.kind, _read_json)(field, text.strip() if field.kind != "string" else text))


def check(field: Field, value: Any) -> Any:
    """The value, if it fits. Raises Unfit."""
    test = _TESTS.get(field.kind)
    if test is not None:
        test(field, value)
    return value


def check_all(schema: Any, content: Any) -> dict[str, Any]:
    """The content for a form that was not typed. Raises Unfit, which names the field."""
    if not isinstance(content, dict):
        raise Unfit("a form is answered with an object")
    known = {field.name: field for field in fields(schema)}
    for name, value in content.items():
        if name not in known:
            raise Unfit(f"the form has no field {name!r}; it has {', '.join(known) or 'none'}")
        try:
            check(known[name], value)
        except Unfit as wrong:
            raise Unfit(f"{name}: {wrong}") from None
    missing = [name for name, field in known.items() if field.required and name not in content]
    if missing:
        raise Unfit(f"the form needs {', '.join(missing)}")
    return content


def shown(field: Field, value: Any) -> str:
    """A value as the user sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    titles = {choice.value: choice.title for choice in field.choices}
    if field.kind == "choice":
        return titles.get(value, str(value))
    if field.kind == "choices" and isinstance(value, list):
        return ", ".join(titles.get(one, str(one)) for one in value) or "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def hint(field: Field) -> str:
    """What kind of value is wanted, in a few words."""
    low, high = (field.form.get(name) for name in _LIMITS.get(field.kind, ("", "")))
    limits = f"{low} to {high}" if None not in (low, high) else f"at least {low}" if low is not None else ""
    limits = limits or (f"at most {high}" if high is not None else "")
    unit = {"string": " characters", "choices": " of them"}.get(field.kind, "")
    kind = _KINDS.get(field.kind, "JSON")
    known = _FORMATS.get(_format(field)) or _DATES.get(_format(field))
    return f"{known[1] if known and field.kind == 'string' else kind}{f', {limits}{unit}' if limits else ''}"


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "y or n",
    "choice": "a number from the list",
    "choices": f"numbers from the list, with commas; {_NONE} for none",
}
_LIMITS = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "choices": ("minItems", "maxItems"),
}


def _field(name: str, form: dict[str, Any], required: bool) -> Field:
    title, description = form.get("title"), form.get("description")
    items = form.get("items")
    several = form.get("type") == "array" and isinstance(items, dict)
    choices = _choices(items if isinstance(items, dict) and several else form)
    kind = str(form.get("type"))
    if choices:
        kind = "choices" if several else "choice"
    return Field(
        name,
        title if isinstance(title, str) else name,
        description if isinstance(description, str) else "",
        kind if kind in _READERS else "any",
        required,
        choices,
        form,
    )


def _choices(form: dict[str, Any]) -> tuple[Choice, ...]:
    titled = form.get("oneOf", form.get("anyOf"))
    if isinstance(titled, list):
        found = [(one.get("const"), one.get("title")) for one in titled if isinstance(one, dict) and "const" in one]
    else:
        values, names = form.get("enum"), form.get("enumNames")
        values = values if isinstance(values, list) else []
        names = names if isinstance(names, list) and len(names) == len(values) else values
        found = list(zip(values, names, strict=True))
    plain = [(value, title) for value, title in found if isinstance(value, (str, int, float))]
    return tuple(Choice(value, title if isinstance(title, str) else str(value)) for value, title in plain)


def _format(field: Field) -> str:
    return str(field.form.get("format", ""))


def _read_text(_: Field, text: str) -> Any:
    return "" if text == '""' else text


def _read_integer(_: Field, text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        raise Unfit(f"{text!r} is no whole number") from None


def _read_number(_: Field, text: str) -> Any:
    try:
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        raise Unfit(f"{text!r} is no number") from None


def _read_boolean(_: Field, text: str) -> Any:
    word = text.lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise Unfit("answer y or n")


def _read_choice(field: Field, text: str) -> Any:
    if text.isdecimal() and 1 <= int(text) <= len(field.choices):
        return field.choices[int(text) - 1].value
    named = [choice.value for choice in field.choices if text in (choice.value, choice.title)]
    if named:
        return named[0]
    raise Unfit(f"choose a number from 1 to {len(field.choices)}")


def _read_choices(field: Field, text: str) -> Any:
    parts = [] if text == _NONE else [part.strip() for part in text.split(",")]
    if len(parts) == 1 and len(text.split()) > 1 and all(part.isdecimal() for part in text.split()):
        parts = text.split()
    return list(dict.fromkeys(_read_choice(field, part) for part in parts if part))


def _read_json(_: Field, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Unfit("this field takes JSON") from None


_READERS: Mapping[str, Callable[[Field, str], Any]] = {
    "string": _read_text,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "choice": _read_choice,
    "choices": _read_choices,
}


def _test_text(field: Field, value: Any) -> None:
    if not isinstance(value, str):
        raise Unfit("this must be text")
    _test_limits(field, len(value), "characters")
    known = _FORMATS.get(_format(field))
    if known is not None and not known[0].fullmatch(value):
        raise Unfit(f"this must be {known[1]}")
    dated = _DATES.get(_format(field))
    if dated is not None:
        try:
            dated[0](value)
        except ValueError:
            raise Unfit(f"this must be {dated[1]}") from None


def _test_number(field: Field, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Unfit("this must be a number")
    if field.kind == "integer" and value != int(value):
        raise Unfit("this must be a whole number")
    _test_limits(field, value, "")


def _test_boolean(_: Field, value: Any) -> None:
    if not isinstance(value, bool):
        raise Unfit("this must be true or false")


def _test_choice(field: Field, value: Any) -> None:
    if not any(type(value) is type(choice.value) and value == choice.value for choice in field.choices):
        raise Unfit(f"this must be one of {', '.join(str(choice.value) for choice in field.choices)}")


def _test_choices(field: Field, value: Any) -> None:
    if not isinstance(value, list):
        raise Unfit("this must be a list")
    for one in value:
        _test_choice(field, one)
    _test_limits(field, len(value), "of them")


def _test_limits(field: Field, size: float, unit: str) -> None:
    for name, too_far, word in zip(_LIMITS[field.kind], (-1, 1), ("at least", "at most"), strict=True):
        limit = field.form.get(name)
        if isinstance(limit, (int, float)) and (size - limit) * too_far > 0:
            raise Unfit(f"this must be {word} {limit} {unit}".rstrip())


_TESTS: Mapping[str, Callable[[Field, Any], None]] = {
    "string": _test_text,
    "integer": _test_number,
    "number": _test_number,
    "boolean": _test_boolean,
    "choice": _test_choice,
    "choices": _test_choices,
}
