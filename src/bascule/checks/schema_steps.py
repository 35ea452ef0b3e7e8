"""Steps: what checking a value against a JSON Schema can cost, reckoned before the first value comes.

A step is one subschema applied to one place of a value, or work that takes about as long: some 15 nanoseconds. Knows
the places of a schema and how the validator goes through them: it applies what it must, follows a reference each time
that it meets one, and remembers, for objects and lists, what a reference back into what it is doing came to.
"""

import math
import re
from collections import Counter
from typing import Any, Final

from bascule.checks.pattern_steps import pattern_steps
from bascule.checks.schema_places import DIALECT, Part, Places, Schema, parts, walk

MAX_CHAIN: Final = 200
"""How many places may lead to one another in a row, references followed: the validator's stack grows with them."""

CEILING: Final = 10**9
"""Where counting ends."""

_AGAIN: Final = 8
_OF_DIALECT: Final = 500
_OPTIONS: Final = 64
_TEXT: Final = 16
_PART: Final = 12
"""Steps for a reference that the validator remembers, and for the schema of a dialect; texts to choose from, and
characters, that count for one step; steps to compare one part of an object or list."""

_EXACT: Final = 53
_WORD: Final = 63
_ALIKE: Final = 24
_LONG_ALIKE: Final = 100
"""Bits of the integers that a floating-point number can hold, and of those that fit in a signed word; steps to tell two
integers apart that are equal as floating-point numbers, in a word and beyond."""

_LONG = re.compile(rb"\d{16}")

_PLAIN = frozenset({"format", "minLength", "maxLength", "uniqueItems", "multipleOf", "contentEncoding"})


class Circular(Exception):
    """A place of a schema applies itself to the same value, so that no check would end."""


def steps(places: Places, root: Schema) -> tuple[int, bool]:
    """How many steps a schema takes for every unit of a value's weight, at most; and whether it refers to itself.

    That is, of all ways from the root of a value to what is innermost in it, the most that the places on one way take
    together. Raises Circular, Unresolved, and RecursionError for places that lead to one another more than MAX_CHAIN
    deep.
    """
    if walk(places.all[:], places.beside, MAX_CHAIN)[1]:
        raise Circular
    order, repeated = walk([root], lambda place: [*places.beside(place), *_inside(place)], MAX_CHAIN)
    reckoning = _Reckoning(places)
    for place in order:
        reckoning.add(place)
    return min(CEILING, sum(map(reckoning.of, [root, *repeated]))), bool(repeated)


def weight(value: Any, limit: int, *, unique: bool) -> int:
    """The size of a JSON value, counted so that a unit takes one place of a schema no more than its steps.

    Counting ends past the limit. `unique` says that lists are searched for what they hold twice: large integers are
    told apart by comparing those that are equal as floating-point numbers, each with each.
    """
    total = 0
    alike: Counter[float] = Counter()
    waiting = [value]
    while waiting and total <= limit:
        part = waiting.pop()
        total += 1
        if isinstance(part, str):
            total += len(part) // _TEXT
        elif isinstance(part, dict):
            total += len(part) + sum(map(len, part)) // _TEXT
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, int) and part.bit_length() > _EXACT:
            total += _of_integer(part, alike if unique else None)
    return total


def heaviest(data: bytes, *, unique: bool) -> int:
    """The most that a JSON text can weigh: a unit a byte, unless there are long integers in it."""
    size = len(data)
    return size * (22 + size // 8 * unique) if _LONG.search(data) else size


def lightest(most: int, *, unique: bool) -> int:
    """How many bytes a JSON text may have to weigh no more than `most`, whatever integers are in it."""
    return min(most // 44, math.isqrt(4 * most)) if unique else most // 22


def _of_integer(value: int, alike: "Counter[float] | None") -> int:
    """The weight of a long integer: it is converted at each step, and compared with those like it."""
    bits = value.bit_length()
    conversion = bits * bits // 2048
    if alike is None:
        return conversion
    about = math.inf if bits > _WORD + 1 else float(value)
    alike[about] += 1
    return conversion + alike[about] * (conversion + (_LONG_ALIKE if bits > _WORD else _ALIKE))


class _Reckoning:
    """The steps of places, each added after those that it leads to."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._steps: dict[int, int] = {id(DIALECT): _OF_DIALECT}
        self._marks: dict[int, int] = {}

    def of(self, part: Part) -> int:
        """The steps of a place; those of looking it up, where the validator remembers what it came to."""
        return 1 if isinstance(part, bool) else self._steps.get(id(part), _AGAIN)

    def add(self, place: Schema) -> None:
        """Reckon a place. What is unevaluated is found by going once more through what stands beside."""
        if place is DIALECT:
            return
        beside = self._places.beside(place)
        applied = sum(map(self.of, beside))
        rest = sum(map(self.of, _rest(place)))
        names = _length(place.get("patternProperties"))
        marks = 1 + names + applied + rest + sum(self._marks.get(id(part), 0) for part in beside)
        self._marks[id(place)] = min(CEILING, marks)
        inside = max(self._of_object(place), self._of_list(place)) + rest
        again = marks if _rest(place) else 0
        self._steps[id(place)] = min(CEILING, _own(place) + applied + inside + again)

    def _of_object(self, place: Schema) -> int:
        named = parts(place, ("properties",), (), ("additionalProperties",))
        every = parts(place, ("patternProperties",), (), ("propertyNames",))
        patterns = place.get("patternProperties")
        tried = sum(map(pattern_steps, patterns)) if isinstance(patterns, dict) else 0
        return tried + max(map(self.of, named), default=0) + sum(map(self.of, every))

    def _of_list(self, place: Schema) -> int:
        items = parts(place, (), ("prefixItems", "items"), ("items", "additionalItems"))
        return max(map(self.of, items), default=0) + sum(map(self.of, parts(place, (), (), ("contains",))))


def _inside(place: Schema) -> list[Part]:
    """What a place applies to the values inside the one that it is applied to."""
    singles = ("additionalProperties", "propertyNames", "items", "additionalItems", "contains")
    return [*parts(place, ("properties", "patternProperties"), ("prefixItems", "items"), singles), *_rest(place)]


def _rest(place: Schema) -> list[Part]:
    return parts(place, (), (), ("unevaluatedItems", "unevaluatedProperties"))


def _own(place: Schema) -> int:
    """The steps of the keywords that apply nothing."""
    options = place.get("enum")
    found = (
        1 + len(_PLAIN & place.keys()) + _length(place.get("dependentRequired")) + _length(place.get("dependencies"))
    )
    if isinstance(pattern := place.get("pattern"), str):
        found += pattern_steps(pattern)
    if isinstance(options, list):
        words = all(isinstance(option, str) for option in options)
        found += len(options) // _OPTIONS if words else sum(map(_comparison, options))
    return found + (_comparison(place["const"]) if "const" in place else 0)


def _comparison(option: Any) -> int:
    """The steps of comparing a value with this one, which goes from part to part where it has parts."""
    size = weight(option, CEILING, unique=False)
    return _PART * size if isinstance(option, (dict, list)) else size


def _length(value: Any) -> int:
    return len(value) if isinstance(value, dict) else 0
