"""One argument: from JSON bytes, or from text, to the value that its annotation asks for, or a reason why not.

Works alone, argument by argument; the quick way through all at once is the signature's. Models send numbers and
booleans as strings: those are accepted for int, float and bool parameters, unless a string is itself allowed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.server.problems import reason
from bascule.server.rules import Broken, Check
from bascule.server.schema import leaves, types_of
from bascule.wire.tools import JSONSchema

FAULTS = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""What decoding raises for bad input, msgspec's and pydantic's both."""

_UNREADABLE = object()
_SCALARS = frozenset({"integer", "number", "boolean"})
_LITERAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(rb"-?\d+(?=\.0+$)")


class Wrong(Exception):
    """An argument cannot be accepted; the text completes a sentence that starts with its name."""


class Argument:
    """How one parameter's argument is read. `decode` takes JSON bytes and raises one of FAULTS; `rule` may be None."""

    __slots__ = ("_definitions", "_is_scalar", "decode", "name", "required", "rule", "schema")

    def __init__(
        self,
        name: str,
        required: bool,
        decode: Callable[[Any], Any],
        schema: JSONSchema,
        definitions: Mapping[str, Any],
        rule: Check | None = None,
    ) -> None:
        self.name = name
        self.required = required
        self.decode = decode
        self.schema = schema
        self.rule = rule
        self._definitions = definitions
        self._is_scalar = takes_scalar_text(schema, definitions)

    def read(self, raw: Raw | bytes) -> Any:
        """The value of JSON bytes. Raises Wrong."""
        data = bytes(raw)
        try:
            return self.decode(data)
        except FAULTS as error:
            if self._is_scalar and (spelled := _respelled(data)) is not None:
                return self._second_try(spelled, error, data)
            raise self._wrong(error, data) from None

    def read_text(self, text: str) -> Any:
        """The value of a string, where strings are all that can be sent. Raises Wrong.

        The string itself where the type allows it, otherwise what it spells as JSON.
        """
        try:
            data = msgspec.json.encode(text)
        except UnicodeEncodeError:
            raise Wrong("must be valid Unicode text") from None
        try:
            return self.decode(data)
        except FAULTS as error:
            return self._second_try(scalar_of(text) or text.encode(), error, data)

    def checked(self, value: Any) -> Any:
        """A decoded value as the rules in its type leave it. Raises Wrong."""
        if self.rule is None or value is UNSET:
            return value
        try:
            return self.rule(value)
        except Broken as broken:
            raise Wrong(str(broken)) from None

    def _second_try(self, spelled: bytes, first: Exception, data: bytes) -> Any:
        try:
            return self.decode(spelled)
        except FAULTS as second:
            fits_type = "out of range" in str(second) or ", got `" not in str(second)
            is_scalar = scalar_of(spelled.decode()) is not None
            raise self._wrong(second if is_scalar and fits_type else first, data) from None

    def _wrong(self, error: Exception, data: bytes) -> Wrong:
        try:
            value = msgspec.json.decode(data)
        except FAULTS:
            value = _UNREADABLE
        return Wrong(reason(error, value, self.schema, self._definitions))


def takes_scalar_text(schema: JSONSchema, definitions: Mapping[str, Any]) -> bool:
    """Whether a string that spells a number or boolean may stand for it: no alternative is a string or an enum."""
    found: set[str] = set()
    for leaf in leaves(schema, definitions):
        kinds = types_of(leaf)
        if not kinds or "enum" in leaf or "const" in leaf:
            return False
        found |= kinds
    return "string" not in found and bool(found & _SCALARS)


def scalar_of(text: str) -> bytes | None:
    """The JSON number or boolean that a string spells, None where it spells none."""
    text = text.strip()
    return text.lower().encode() if _LITERAL.fullmatch(text) else None


def _respelled(data: bytes) -> bytes | None:
    """The number or boolean that a JSON string spells; an integer for 5.0; None for anything else."""
    if whole := _WHOLE.match(data):
        return whole[0]
    try:
        return scalar_of(msgspec.json.decode(data, type=str))
    except FAULTS:
        return None
