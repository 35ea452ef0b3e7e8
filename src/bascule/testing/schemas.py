"""Two JSON Schemas compared by what they allow: where the second is narrower, wider, or otherwise different.

Pure functions over JSON. Cycles and shared definitions cost nothing twice; what is too tangled is called different
rather than equal. Objects are compared as callers see them: property by property.
"""

from collections.abc import Iterator
from typing import Any

from bascule.testing.constraints import Difference, canonical, constraints, label, telling, types
from bascule.testing.references import ANYTHING, NOTHING, SILENT, References, Schema

MAX_STEPS = 20_000
"""How many pairs of schemas are looked at before the rest is called different."""

MAX_DEPTH = 100

MAX_FOUND = 200
"""How many differences of one pair are told one by one; definitions within definitions can have more than atoms."""

_JUDGED = frozenset(
    "type enum const minimum exclusiveMinimum maximum exclusiveMaximum minLength maxLength minItems maxItems "
    "minProperties maxProperties multipleOf uniqueItems pattern format properties required additionalProperties items "
    "additionalItems prefixItems allOf".split()
)
_OPAQUE = frozenset(
    "$ref $dynamicRef anyOf oneOf not if then else contains minContains maxContains propertyNames patternProperties "
    "dependentRequired dependentSchemas dependencies unevaluatedItems unevaluatedProperties".split()
)
"""Keywords that are not judged: any change of one may break somebody."""

_QUIET = frozenset({"wording", "note"})
_WIDENING = _QUIET | {"wider", "gained", "default"}
_NARROWING = _QUIET | {"narrower", "default"}


def differences(old: Any, new: Any) -> list[Difference]:
    """What has changed from one schema to the other, in a stable order; nothing where both allow the same."""
    if canonical(old) == canonical(new):
        return []
    return _Comparison(old, new).pair(old, new)


class _Comparison:
    """Compares the schemas of two roots, every pair of them once."""

    def __init__(self, old: Any, new: Any) -> None:
        self._old = References(old)
        self._new = References(new)
        self._known: dict[tuple[int, int], list[Difference]] = {}
        self._open: list[tuple[int, int]] = []
        self._assumed: set[tuple[int, int]] = set()
        self._steps = 0

    def pair(self, old: Any, new: Any) -> list[Difference]:
        """The differences of two schemas. A pair that is being looked at further up counts as equal: what differs in it
        is told there."""
        before, after = self._old.resolved(old), self._new.resolved(new)
        if before is ANYTHING and after is ANYTHING:
            return []
        key = (id(before), id(after))
        if key in self._known:
            return self._known[key]
        if key in self._open:
            self._assumed.add(key)
            return []
        self._steps += 1
        if self._steps > MAX_STEPS or len(self._open) >= MAX_DEPTH:
            return [Difference((), "tangled", "other", "is too tangled to be compared")]
        self._open.append(key)
        found = _bounded([*telling(before, after), *self._shape(before, after)])
        self._open.pop()
        self._assumed.discard(key)
        if not self._assumed:
            self._known[key] = found
        return found

    def _shape(self, old: Schema, new: Schema) -> Iterator[Difference]:
        if NOTHING in (old, new):
            if old != new:
                wider = old == NOTHING
                text = "takes a value now" if wider else "takes no value any more"
                yield Difference((), "type", "wider" if wider else "narrower", text)
            return
        (old_base, old_parts), (new_base, new_parts) = _split(old), _split(new)
        if old_parts is None and new_parts is None:
            yield from self._keywords(old, new)
        elif (old_parts is None or _says_nothing(old_base)) and (new_parts is None or _says_nothing(new_base)):
            yield from self._alternatives(old_parts or _by_type(old), new_parts or _by_type(new))
        else:
            yield from self._keywords(old_base, new_base)
            if old_parts is not None and new_parts is not None:
                yield from self._alternatives(old_parts, new_parts)
            elif new_parts is not None:
                yield Difference((), "condition", "narrower", "has alternatives to choose from now")
            else:
                yield Difference((), "condition", "wider", "has no alternatives to choose from any more")

    def _keywords(self, old: Schema, new: Schema) -> Iterator[Difference]:
        yield from constraints(old, new)
        if not types(old) & types(new):
            return
        yield from self._properties(old, new)
        yield from self._further_properties(old, new)
        yield from self._items(old, new)
        yield from self._conditions(old, new)
        yield from self._others(old, new)

    def _properties(self, old: Schema, new: Schema) -> Iterator[Difference]:
        before, after = _mapping(old, "properties"), _mapping(new, "properties")
        needed_before, needed_after = _required(old), _required(new)
        for name in sorted(before.keys() | after.keys() | needed_before | needed_after):
            needed = name in needed_after and name not in needed_before
            if name in before and name not in after and name not in needed_after:
                yield Difference((name,), "removed", "lost", "is gone")
            elif name in after and name not in before and name not in needed_before:
                text = "is new and required" if needed else "is new"
                yield Difference((name,), "added", "narrower" if needed else "gained", text)
            else:
                inner = self.pair(before.get(name, ANYTHING), after.get(name, ANYTHING))
                yield from _below(name, (one for one in inner if not (needed and one.at("default"))))
                if needed:
                    yield Difference((name,), "required", "narrower", "is required now")
                elif name in needed_before and name not in needed_after:
                    yield Difference((name,), "required", "wider", "is no longer required")

    def _further_properties(self, old: Schema, new: Schema) -> Iterator[Difference]:
        """Names that the schema does not list; that more of them may come breaks nobody, as a new name does not."""
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if before is False and after is not False:
            yield Difference((), "further", "gained", "may have further names now")
        elif before is not False and after is False:
            typed = isinstance(before, dict) and bool(before)
            yield Difference((), "further", "lost" if typed else "narrower", "may have no further names any more")
        else:
            yield from _below("*", self.pair(before, after))

    def _items(self, old: Schema, new: Schema) -> Iterator[Difference]:
        (before, rest_before), (after, rest_after) = _tuple(old), _tuple(new)
        for place in range(max(len(before), len(after))):
            one = before[place] if place < len(before) else rest_before
            other = after[place] if place < len(after) else rest_after
            yield from _below(f"[{place}]", self.pair(one, other))
        yield from _below("[]", self.pair(rest_before, rest_after))

    def _conditions(self, old: Schema, new: Schema) -> Iterator[Difference]:
        before, after = _listing(old, "allOf"), _listing(new, "allOf")
        for one, other in zip(before, after, strict=False):
            yield from self.pair(one, other)
        if len(after) > len(before):
            yield Difference((), "condition", "narrower", "has a further condition (allOf)")
        elif len(after) < len(before):
            yield Difference((), "condition", "wider", "has a condition less (allOf)")

    def _others(self, old: Schema, new: Schema) -> Iterator[Difference]:
        """Keywords that are not understood: a change of one that says what is valid counts as any change."""
        for keyword in sorted((old.keys() | new.keys()) - _JUDGED - SILENT):
            if keyword in _OPAQUE:
                if keyword not in old or keyword not in new or self._differ(old[keyword], new[keyword]):
                    yield Difference((), "unjudged", "other", f"has another {keyword!r}, which may exclude values")
            elif canonical(old.get(keyword)) != canonical(new.get(keyword)):
                yield Difference((), "note", "note", f"has another {keyword!r}")

    def _differ(self, old: Any, new: Any) -> bool:
        """Whether two values of a keyword say different things: schemas, schemas by name, or plain values."""
        if not isinstance(old, dict | bool) or not isinstance(new, dict | bool):
            return canonical(old) != canonical(new)
        if isinstance(old, dict) and isinstance(new, dict) and _by_name(old) and _by_name(new):
            return old.keys() != new.keys() or any(self._differ(old[name], new[name]) for name in old)
        return any(one.direction not in _QUIET for one in self.pair(old, new))

    def _alternatives(self, olds: list[Any], news: list[Any]) -> Iterator[Difference]:
        """Alternatives stand in no order: each old one is paired with the new one that comes nearest to it.

        First with those that allow the same, then with those that allow more, then with those of the same type.
        """
        before, after = [self._old.resolved(one) for one in olds], [self._new.resolved(one) for one in news]
        unmatched, left = list(before), list(after)
        for near in (self._same, self._widened, _related):
            for old in list(unmatched):
                new = next((one for one in left if near(old, one)), None)
                if new is not None:
                    unmatched = [one for one in unmatched if one is not old]
                    left = [one for one in left if one is not new]
                    yield from self.pair(old, new)
        for old in unmatched:
            if not any(self._widened(old, new) for new in after):
                yield Difference((), "alternative", "narrower", f"can no longer be {label(old)}")
        for new in left:
            if not any(self._within(old, new, _NARROWING) for old in before):
                yield Difference((), "alternative", "wider", f"can be {label(new)} too")

    def _same(self, old: Schema, new: Schema) -> bool:
        return self._within(old, new, _QUIET)

    def _widened(self, old: Schema, new: Schema) -> bool:
        return self._within(old, new, _WIDENING)

    def _within(self, old: Schema, new: Schema, directions: frozenset[str]) -> bool:
        return all(one.direction in directions for one in self.pair(old, new))


def _related(old: Schema, new: Schema) -> bool:
    """Whether two schemas have a type in common."""
    return bool(types(old) & types(new))


def _bounded(found: list[Difference]) -> list[Difference]:
    """The differences, each once; where they are too many, the rest is told by its directions only."""
    distinct = list(dict.fromkeys(found))
    rest = dict.fromkeys(one.direction for one in distinct[MAX_FOUND:])
    return distinct[:MAX_FOUND] + [Difference((), "more", one, "differs in more places") for one in rest]


def _below(name: str, found: Any) -> Iterator[Difference]:
    for one in found:
        yield one._replace(path=(name, *one.path))


def _by_name(value: Schema) -> bool:
    """Whether the value of a keyword holds schemas (or lists) under names of its own, and is no schema itself."""
    return not value.keys() & (_JUDGED | _OPAQUE | SILENT) and all(
        isinstance(one, dict | bool | list) for one in value.values()
    )


def _split(schema: Schema) -> tuple[Schema, list[Any] | None]:
    """A schema without its alternatives, and those."""
    for keyword in ("anyOf", "oneOf"):
        parts = schema.get(keyword)
        if isinstance(parts, list) and parts:
            return {key: value for key, value in schema.items() if key != keyword}, parts
    return schema, None


def _says_nothing(schema: Schema) -> bool:
    return not schema.keys() & (_JUDGED | _OPAQUE)


def _by_type(schema: Schema) -> list[Any]:
    """A schema as alternatives, one for each of its types where it lists several; what it only tells stays outside."""
    bare = {key: value for key, value in schema.items() if key not in SILENT}
    listed = schema.get("type")
    if not isinstance(listed, list) or "enum" in schema or "const" in schema:
        return [bare]
    return [{**bare, "type": one} for one in listed]


def _tuple(schema: Schema) -> tuple[list[Any], Any]:
    """The schemas of an array's first places, and that of the rest; `items` may be a list in older schemas."""
    items = schema.get("items", ANYTHING)
    if isinstance(items, list):
        return items, schema.get("additionalItems", ANYTHING)
    return _listing(schema, "prefixItems"), items


def _listing(schema: Schema, keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _mapping(schema: Schema, keyword: str) -> Schema:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}


def _required(schema: Schema) -> set[str]:
    return {name for name in _listing(schema, "required") if isinstance(name, str)}
