"""The plain constraints of a JSON Schema compared: types, values, bounds, patterns, defaults; each difference in words.

Pure functions over JSON; no reference is followed here.
Source: JSON Schema Validation 2020-12, 6 and 9.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from bascule.testing.references import Schema

Direction = Literal["narrower", "wider", "gained", "lost", "other", "default", "note", "wording"]
"""`narrower` and `wider`: fewer or more values are valid; `gained` and `lost`: a name came or went; `default`: what
counts when nothing is given; `other`: neither contains the other, or cannot be judged."""

_SHOWN = 60
_ALL = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_WORDS = {"title": "has another title", "description": "has another description"}


class Difference(NamedTuple):
    """One thing that differs: where, what kind of thing, in which direction, and in words (after "it")."""

    path: tuple[str, ...]
    kind: str
    direction: Direction
    text: str

    def at(self, kind: str) -> bool:
        """Whether it is of this kind, and right here."""
        return self.kind == kind and not self.path


def constraints(old: Schema, new: Schema) -> Iterator[Difference]:
    """The differences of what a schema itself allows."""
    yield from _types(old, new)
    if not types(old) & types(new):
        return
    yield from _values(old, new)
    for name, low, names in _LIMITS:
        yield from _limit(name, low, old, new, names)
    yield from _multiple(old, new)
    if bool(old.get("uniqueItems")) != bool(new.get("uniqueItems")):
        narrower = bool(new.get("uniqueItems"))
        text = "must have different items now" if narrower else "may have equal items now"
        yield Difference((), "range", "narrower" if narrower else "wider", text)
    for keyword in ("pattern", "format"):
        yield from _pattern(keyword, old, new)


def telling(old: Schema, new: Schema) -> Iterator[Difference]:
    """The differences of what a schema tells and does not enforce: title, description, default."""
    for keyword, text in _WORDS.items():
        if old.get(keyword) != new.get(keyword):
            yield Difference((), "wording", "wording", text)
    yield from _default(old, new)


def types(schema: Schema) -> frozenset[str]:
    """The JSON types that a schema allows; a number may be an integer."""
    listed = schema.get("type")
    if isinstance(listed, str):
        found = {listed}
    elif isinstance(listed, list):
        found = {kind for kind in listed if isinstance(kind, str)}
    else:
        values = _allowed(schema)
        if values is None:
            return _ALL
        found = {_type(value) for value in values}
    return frozenset(found | {"integer"} if "number" in found else found)


def canonical(value: Any) -> str:
    """JSON that is the same for equal values, whatever their order; 1 and 1.0 are equal, 1 and true are not."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def label(schema: Schema) -> str:
    """What a schema allows, in a word or two."""
    values = _allowed(schema)
    if values is not None:
        return _list(values)
    title = schema.get("title")
    kinds = _shown(types(schema))
    return f"{kinds} {title!r}" if isinstance(title, str) and kinds == "object" else kinds


def _types(old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = types(old), types(new)
    if before == after:
        return
    direction: Direction = "wider" if after > before else "narrower" if after < before else "other"
    yield Difference((), "type", direction, f"has the type {_shown(after)} instead of {_shown(before)}")


def _values(old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = _allowed(old), _allowed(new)
    if before is None and after is None:
        return
    if before is None or after is None:
        if after is not None:
            yield Difference((), "enum", "narrower", f"must be one of {_list(after)} now")
        else:
            yield Difference((), "enum", "wider", f"need not be one of {_list(before or [])} any more")
        return
    known, kept = {canonical(value) for value in before}, {canonical(value) for value in after}
    gone = [value for value in before if canonical(value) not in kept]
    come = [value for value in after if canonical(value) not in known]
    if gone:
        yield Difference((), "enum", "narrower", f"can no longer be {_list(gone)}")
    if come:
        yield Difference((), "enum", "wider", f"can be {_list(come)} too")


_LIMITS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("minimum", True, ("minimum", "exclusiveMinimum")),
    ("maximum", False, ("maximum", "exclusiveMaximum")),
    ("least length", True, ("minLength",)),
    ("greatest length", False, ("maxLength",)),
    ("least number of items", True, ("minItems",)),
    ("greatest number of items", False, ("maxItems",)),
    ("least number of names", True, ("minProperties",)),
    ("greatest number of names", False, ("maxProperties",)),
)
"""What each limit is called, whether it is a lower one, and the keywords for it: inclusive, exclusive."""


def _limit(name: str, low: bool, old: Schema, new: Schema, names: tuple[str, ...]) -> Iterator[Difference]:
    sharper: Callable[..., tuple[float, int]] = max if low else min
    none = (-math.inf, 0) if low else (math.inf, 0)
    if low and not name.startswith("minimum"):
        none = (0, 0)  # a length is never below

    def bound(schema: Schema) -> tuple[float, int]:
        sign = 1 if low else -1
        found = [(schema[key], sign * place) for place, key in enumerate(names) if _is_number(schema.get(key))]
        return sharper([none, *found])

    before, after = bound(old), bound(new)
    if before != after:
        narrower = sharper(before, after) == after
        text = f"has the {name} {_bound(after)} instead of {_bound(before)}"
        yield Difference((), "range", "narrower" if narrower else "wider", text)


def _multiple(old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = old.get("multipleOf"), new.get("multipleOf")
    if before == after:
        return
    if before is None or (_is_number(before) and _is_number(after) and before and after % before == 0):
        yield Difference((), "range", "narrower", f"must be a multiple of {after} now")
    elif after is None or (_is_number(before) and _is_number(after) and after and before % after == 0):
        yield Difference((), "range", "wider", f"need not be a multiple of {before} any more")
    else:
        yield Difference((), "range", "other", f"must be a multiple of {after} instead of {before}")


def _pattern(keyword: str, old: Schema, new: Schema) -> Iterator[Difference]:
    before, after = old.get(keyword), new.get(keyword)
    if before == after:
        return
    if before is None:
        yield Difference((), "pattern", "narrower", f"must have the {keyword} {_json(after)} now")
    elif after is None:
        yield Difference((), "pattern", "wider", f"need not have the {keyword} {_json(before)} any more")
    else:
        text = f"must have the {keyword} {_json(after)} instead of {_json(before)}"
        yield Difference((), "pattern", "other", text)


def _default(old: Schema, new: Schema) -> Iterator[Difference]:
    if "default" not in old and "default" in new:
        yield Difference((), "note", "note", f"has the default {_json(new['default'])} now")
    elif "default" in old and "default" not in new:
        yield Difference((), "default", "default", f"has no default any more, which was {_json(old['default'])}")
    elif canonical(old.get("default")) != canonical(new.get("default")):
        text = f"has the default {_json(new['default'])} instead of {_json(old['default'])}"
        yield Difference((), "default", "default", text)


def _allowed(schema: Schema) -> list[Any] | None:
    """The only values that are valid; None where they are not listed."""
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else None


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return "integer" if isinstance(value, int) else "array" if isinstance(value, list) else "object"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bound(bound: tuple[float, int]) -> str:
    value, exclusive = bound
    if math.isinf(value):
        return "none"
    return f"{_json(value)}{' (itself excluded)' if exclusive else ''}"


def _shown(kinds: frozenset[str]) -> str:
    if kinds >= _ALL:
        return "any"
    narrow = kinds - {"integer"} if "number" in kinds else kinds
    return " or ".join(sorted(narrow, key=lambda kind: (kind == "null", kind))) or "none"


def _list(values: list[Any]) -> str:
    return _cut(", ".join(_json(value) for value in values))


def _json(value: Any) -> str:
    return _cut(canonical(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
