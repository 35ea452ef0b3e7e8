"""Raw schemas: JSON Schemas that an author wrote, bounded and checked at declaration, and compiled once.

What a schema may be is decided here, and what checking one value may cost. Nothing is ever fetched, and patterns run on
a linear-time engine. Loaded when a tool with such a schema is declared, for the validator is heavy.
Source: specification 2026-07-28, basic/index, "JSON Schema Usage".
"""

from typing import Any, Final, NoReturn

import jsonschema_rs
import msgspec

from bascule.checks.schema_places import DIALECTS, Places, Unresolved
from bascule.checks.schema_steps import MAX_CHAIN, Circular, heaviest, lightest, steps, weight
from bascule.errors import DeclarationError

JSONSchema = dict[str, Any]

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 100
MAX_SUBSCHEMAS: Final = 5000
MAX_STEPS: Final = 50_000
"""How long a schema may be, how deep it may nest, how many subschemas it may have, and how many steps it may take for
each unit of a value's weight."""

MAX_WORK: Final = 20_000_000
"""How many steps checking one value may take: about 0.3 seconds."""

MAX_EXPLAINED: Final = 500
MAX_EXPLANATION: Final = 20_000
"""How many steps for each unit, and in all, a check may take for its errors to be told one by one: collecting them
costs a thousand times more than checking, and has no end where a schema refers to itself."""

MASK: Final = "\x00"
"""Stands for the value in the validator's messages, which would repeat it in full."""


class TooHeavy(Exception):
    """A value that would take more than MAX_WORK steps to check."""


class RawSchema:
    """A schema, ready to check values.

    Raises DeclarationError for a schema without "type": "object" at its root (but for one that is not `rooted` there),
    and for one that is no JSON, not valid, too large, too costly, of an unknown dialect, or in need of a document from
    elsewhere.
    """

    def __init__(self, given: Any, *, what: str, part: str, rooted: bool = True) -> None:
        self._named = f"{what}: the {part}"
        if not isinstance(given, dict) or (rooted and given.get("type") != "object"):
            raise DeclarationError(f'{self._named} must be a dict whose "type" is "object"')
        form = self._plain(given)
        places = Places(form)
        self._check_places(places)
        self._steps, self.recursive = self._counted(places, form)
        """Whether it refers to itself, so that the validator goes as deep as a value does."""
        self._explains = not self.recursive and self._steps <= MAX_EXPLAINED
        self._unique = any(place.get("uniqueItems") is True for place in places.all)
        self._light = lightest(MAX_WORK // self._steps, unique=self._unique)
        self._validator = self._compiled(form)

    def fits(self, value: Any, data: bytes) -> bool:
        """Whether a value fits, whose JSON text is given too. Raises TooHeavy, ValueError and RecursionError."""
        if len(data) > self._light and self._is_heavy(value, data):
            raise TooHeavy
        return self._validator.is_valid(value)

    def errors(self, value: Any) -> list[jsonschema_rs.ValidationError] | None:
        """What is wrong with a value; None where telling could take too long."""
        most = MAX_EXPLANATION // self._steps
        if not self._explains or weight(value, most, unique=self._unique) > most:
            return None
        return list(self._validator.iter_errors(value))

    def _is_heavy(self, value: Any, data: bytes) -> bool:
        most = MAX_WORK // self._steps
        return heaviest(data, unique=self._unique) > most < weight(value, most, unique=self._unique)

    def _plain(self, given: JSONSchema) -> JSONSchema:
        """A copy made of nothing but JSON. Its size is known first: what is given may hold one part a million times."""
        self._check_size(given)
        try:
            data = msgspec.json.encode(given)
            form: JSONSchema = msgspec.json.decode(data)
        except (TypeError, ValueError, ArithmeticError, RecursionError) as wrong:
            self._refuse(f"cannot be written as JSON: {wrong}")
        if len(data) > MAX_BYTES:
            self._refuse_size()
        return form

    def _check_size(self, given: JSONSchema) -> None:
        level: list[Any] = [given]
        size = depth = 0
        while level:
            depth += 1
            size += sum(map(_size, level))
            if size > MAX_BYTES:
                self._refuse_size()
            inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, _HOLDERS)]
            level = [part for values in inner for part in values]
            if level and depth > MAX_DEPTH:
                self._refuse(
                    f"nests deeper than {MAX_DEPTH} levels, which clients may refuse to read; move inner parts to $defs"
                )

    def _check_places(self, places: Places) -> None:
        if len(places.all) > MAX_SUBSCHEMAS:
            self._refuse(f"has more than {MAX_SUBSCHEMAS} subschemas; define once, under $defs, what repeats")
        if (dialect := places.unknown_dialect()) is not None:
            self._refuse(
                f"is of the dialect {dialect[:200]!r}, which is not supported; leave $schema out for 2020-12, or name "
                f"one of {', '.join(DIALECTS)}"
            )

    def _counted(self, places: Places, form: JSONSchema) -> tuple[int, bool]:
        try:
            count, recursive = steps(places, form)
        except Unresolved as wrong:
            self._refuse(
                f"is not usable: {str(wrong)[:200]} lies outside the schema, and nothing is fetched; put what it "
                "refers to under $defs"
            )
        except Circular:
            self._refuse(
                "refers to itself without going into the value, so that no check would end; refer to it from below "
                "properties or items"
            )
        except RecursionError:
            self._refuse(f"leads through more than {MAX_CHAIN} subschemas in a row; shorten the chain of references")
        if count > MAX_STEPS:
            self._refuse(
                f"may take more than {MAX_STEPS} steps for one place of a value, since what is combined (allOf, anyOf, "
                "oneOf, not, $ref) multiplies; combine less, and give a union that is used often one definition"
            )
        return count, recursive

    def _compiled(self, form: JSONSchema) -> jsonschema_rs.Validator:
        try:
            return jsonschema_rs.validator_for(
                form, retriever=_nothing, pattern_options=jsonschema_rs.RegexOptions(), mask=MASK
            )
        except (ValueError, TypeError, RecursionError) as error:
            message = str(getattr(error, "message", error)).replace(MASK, "").strip()
            self._refuse(f"is not usable: {message}")

    def _refuse_size(self) -> NoReturn:
        self._refuse(f"is longer than {MAX_BYTES} bytes, which every client would have to read; shorten or split it")

    def _refuse(self, why: str) -> NoReturn:
        raise DeclarationError(f"{self._named} {why}") from None


_HOLDERS = (dict, list, tuple, set, frozenset)


def _size(part: Any) -> int:
    """About the bytes of a value's JSON text, what it holds aside."""
    if isinstance(part, dict):
        return 2 + sum(4 + len(name) if isinstance(name, str) else 4 for name in part)
    return 1 + (len(part) if isinstance(part, (str, bytes, list, tuple, set, frozenset)) else 0)


def _nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} lies outside the schema; put what it refers to under $defs")
