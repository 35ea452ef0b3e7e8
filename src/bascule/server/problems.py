"""What is wrong with arguments, said so that a model can mend it: which argument, what it must be, what came.

Turns the messages of msgspec and pydantic into one form of words. No more than 60 characters of any value are repeated,
and no more than 20 problems are listed.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from bascule.errors import InvalidArguments
from bascule.server.schema import leaves
from bascule.wire.tools import JSONSchema

SHOWN = 60
"""How many characters of a value a message may repeat."""

LISTED = 20
"""How many wrong arguments one message names."""

_KINDS = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a date and time",
    "bytes": "base64 text",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "greater than", "<": "less than", "==": "exactly"}

_PATH = re.compile(r" - at `(?:key` in `)?\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.([^.\[]+)|\[\.\.\.\]")
_EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]+)`, got `\w+`")
_LENGTH = re.compile(r"Expected `(?P<kind>\w+)` (?:of|of at (?P<word>least|most)) length (?P<sign>[<>=]*) ?(?P<n>\d+)")
_BOUND = re.compile(r"Expected `\w+` (?P<sign>[<>]=?) (?P<n>\S+)")
_OTHERS = (
    (re.compile(r"Expected `\w+` that's a multiple of (.+)"), r"must be a multiple of \1"),
    (re.compile(r"Expected `str` matching regex '(.*)'"), r"must match the pattern \1"),
    (re.compile(r"Expected `(\w+)` (with(?:out)?) a timezone component"), r"must be a \1 \2 a time zone"),
    (re.compile(r"Invalid RFC3339 encoded datetime"), "must be a date and time like 2026-01-31T12:00:00Z"),
    (re.compile(r"Invalid RFC3339 encoded date"), "must be a date like 2026-01-31"),
    (re.compile(r"Invalid RFC3339 encoded time"), "must be a time like 12:00:00"),
    (re.compile(r"Invalid ISO8601 duration"), "must be a duration like P1DT2H"),
    (re.compile(r"Invalid UUID"), "must be a UUID"),
    (re.compile(r"Invalid base64 encoded string"), "must be base64 text"),
    (re.compile(r"Invalid decimal string"), "must be a decimal number"),
    (re.compile(r"(?:Integer value|Number|Duration|Timestamp) (?:is )?out of range"), "must be a smaller number"),
    (re.compile(r"JSON is malformed.*|Input data was truncated.*"), "must be valid JSON text"),
)


class Problems:
    """The wrong arguments of one call, collected."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._unlisted = 0

    def add(self, name: str, reason: str) -> None:
        """Note one; those past the limit are only counted."""
        if len(self._reasons) < LISTED:
            self._reasons[clipped(name)] = reason
        else:
            self._unlisted += 1

    def add_unknown(self, name: str, known: tuple[str, ...]) -> None:
        """Note an argument that is no parameter, with the parameter that may have been meant."""
        near = get_close_matches(name[:SHOWN], known, n=1) if len(self._reasons) < LISTED else []
        hint = f' (did you mean "{near[0]}"?)' if near else ""
        self.add(name, f"is not a parameter{hint}")

    def check(self) -> None:
        """Raise InvalidArguments if there are any."""
        if not self._reasons:
            return
        said = [f'"{name}" {reason}' for name, reason in self._reasons.items()]
        if self._unlisted:
            said.append(f"and {self._unlisted} more")
        raise InvalidArguments("Invalid arguments: " + "; ".join(said), details={"arguments": self._reasons})


def reason(error: Exception, value: Any, schema: JSONSchema, definitions: Mapping[str, Any]) -> str:
    """Why a value was refused, as the rest of a sentence that starts with the parameter's name."""
    if isinstance(error, RecursionError):
        return "nests too deeply"
    if hasattr(error, "errors"):
        return _pydantic_reason(error)
    if isinstance(error, UnicodeError):
        return "must be valid Unicode text"
    message = str(error)
    found = _PATH.search(message)
    steps = _steps(found["path"]) if found else []
    return at(steps) + _said(message[: found.start()] if found else message, value, steps, schema, definitions)


def clipped(text: str) -> str:
    """The text, cut to what a message may repeat."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def got(value: object) -> str:
    """The value in brackets, as JSON, cut short."""
    try:
        return f" (got {clipped(msgspec.json.encode(value).decode())})"
    except (TypeError, ValueError, RecursionError):
        return ""


_MISSING = object()


def _said(
    message: str, value: Any, steps: list[str | int | None], schema: JSONSchema, definitions: Mapping[str, Any]
) -> str:
    found = _reached(value, steps)
    shown = "" if found is _MISSING else got(found)
    if field := re.fullmatch(r"Object missing required field `(.*)`", message):
        return f'lacks the field "{clipped(field[1])}"'
    if field := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        return f'has an unknown field "{clipped(field[1])}"'
    if message.startswith(("Invalid enum value", "Invalid value")):
        return _options(_subschema(schema, steps, definitions), definitions) + shown
    if expected := _EXPECTED.fullmatch(message):
        kinds = expected["kinds"].split(" | ")
        return "must be " + " or ".join(_KINDS.get(kind, f"a {kind}") for kind in kinds) + shown
    if bound := _BOUND.fullmatch(message):
        return f"must be {_BOUNDS[bound['sign']]} {bound['n'].removesuffix('.0')}{shown}"
    if length := _LENGTH.fullmatch(message):
        unit = "characters" if length["kind"] == "str" else "items"
        return f"must have {length['word'] or _BOUNDS.get(length['sign'], 'exactly')} {length['n']} {unit}{shown}"
    for pattern, words in _OTHERS:
        if other := pattern.fullmatch(message):
            return other.expand(words) + shown
    return f"is not valid: {message[:200]}{shown}"


def _options(schema: JSONSchema | None, definitions: Mapping[str, Any]) -> str:
    """What may stand here, as far as the schema tells."""
    found = [] if schema is None else list(leaves(schema, definitions))
    options = [option for leaf in found for option in leaf.get("enum", [])]
    if not options:
        return "must be one of the values that the schema allows"
    listed = ", ".join(msgspec.json.encode(option).decode() for option in options[:LISTED])
    return f"must be one of {listed}" + (", …" if len(options) > LISTED else "")


def _steps(path: str) -> list[str | int | None]:
    """A msgspec path as keys and indexes; None stands for a key that the message does not name."""
    return [int(step[1]) if step[1] else step[2] for step in _STEP.finditer(path)]


def at(steps: Sequence[str | int | None]) -> str:
    """Where in an argument, as the start of a reason; empty for the argument itself."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step or '*'}" for step in steps)
    return f"at {clipped(text.removeprefix('.'))} " if text else ""


def _reached(value: Any, steps: list[str | int | None]) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return _MISSING
    return value


def _subschema(schema: JSONSchema, steps: list[str | int | None], definitions: Mapping[str, Any]) -> JSONSchema | None:
    """The schema at a path, None where the way to it is not plain."""
    for step in steps:
        nodes = [_child(leaf, step) for leaf in leaves(schema, definitions)]
        found = [node for node in nodes if isinstance(node, dict)]
        if not found:
            return None
        schema = {"anyOf": found}
    return schema


def _child(schema: JSONSchema, step: str | int | None) -> Any:
    if isinstance(step, int):
        fixed = schema.get("prefixItems", [])
        return fixed[step] if step < len(fixed) else schema.get("items")
    return schema.get("properties", {}).get(step, schema.get("additionalProperties"))


def _pydantic_reason(error: Any) -> str:
    """Everything that pydantic found, joined."""
    found = error.errors(include_url=False, include_context=False)
    said = [_pydantic_sentence(item) for item in found[:LISTED]]
    return " and ".join(said)


def _pydantic_sentence(item: Mapping[str, Any]) -> str:
    where = at(list(item["loc"]))
    if item["type"] == "missing":
        return f"{where}is required"
    if item["type"] == "json_invalid":
        return "must be valid JSON text"
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if message.startswith("Input should "):
        return f"{where}must {message.removeprefix('Input should ')}{got(item['input'])}"
    return f"{where}is not valid: {message[:200]}{got(item['input'])}"
