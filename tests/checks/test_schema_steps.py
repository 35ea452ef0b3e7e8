"""Steps: the bound on what a check can cost holds for any schema and value, in whatever order the validator goes."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.checks.schema_places import Places, parts
from bascule.checks.schema_steps import CEILING, MAX_CHAIN, Circular, heaviest, lightest, steps, weight

NAMES = ("a", "b", "c")
LEAVES = st.sampled_from([{"type": "integer"}, {"minLength": 1}, {"enum": [1, "a", [2]]}, {}, {"pattern": "^a"}])
REFERENCES = st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in NAMES])


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "allOf": several,
            "oneOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "dependentSchemas": named,
            "properties": named,
            "patternProperties": named,
            "additionalProperties": inner,
            "prefixItems": several,
            "items": inner,
            "contains": inner,
        },
    )


FORMS = st.recursive(LEAVES | REFERENCES, larger, max_leaves=8)
VALUES = st.recursive(
    st.sampled_from([1, "a", None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)


class Visits:
    """How many subschemas are applied to a value where nothing is cut short.

    A reference back into what is being compiled is remembered for each list and object, as the validator does; what is
    compiled first is left to chance.
    """

    def __init__(self, root: dict[str, Any], order: random.Random) -> None:
        self._places = Places(root)
        self._order = order
        self._open: set[int] = set()
        self._compiled: set[int] = set()
        self._remembered: set[tuple[int, int]] = set()
        self._seen: set[tuple[int, int]] = set()
        self._compile(root)

    def _compile(self, place: dict[str, Any]) -> None:
        self._open.add(id(place))
        onward = [*self._places.beside(place), *inner(place)]
        self._order.shuffle(onward)
        for part in onward:
            if id(part) in self._open:
                self._remembered.add((id(place), id(part)))
            elif id(part) not in self._compiled:
                self._compile(part)
        self._open.remove(id(place))
        self._compiled.add(id(place))

    def of(self, place: dict[str, Any], value: Any) -> int:
        found = 1 + sum(self._met(place, part, value) for part in self._places.beside(place))
        if isinstance(value, dict):
            for name, item in value.items():
                known = place.get("properties", {}).get(name)
                matched = [part for key, part in place.get("patternProperties", {}).items() if key in name]
                rest = [place["additionalProperties"]] if "additionalProperties" in place else []
                applied = [*([known] if known is not None else []), *matched]
                found += sum(self._met(place, part, item) for part in applied or rest)
        if isinstance(value, list):
            first = place.get("prefixItems", [])
            for index, item in enumerate(value):
                applied = [first[index]] if index < len(first) else parts(place, (), (), ("items",))
                found += sum(self._met(place, part, item) for part in [*applied, *parts(place, (), (), ("contains",))])
        return found

    def _met(self, place: dict[str, Any], part: dict[str, Any], value: Any) -> int:
        key = (id(part), id(value))
        if (id(place), id(part)) in self._remembered and isinstance(value, (dict, list)):
            if key in self._seen:
                return 1
            self._seen.add(key)
        return self.of(part, value)


def inner(place: dict[str, Any]) -> list[Any]:
    singles = ("additionalProperties", "items", "contains")
    return parts(place, ("properties", "patternProperties"), ("prefixItems",), singles)


@settings(max_examples=300)
@given(FORMS, st.fixed_dictionaries(dict.fromkeys(NAMES, FORMS)), VALUES, st.integers())
def test_no_value_takes_more_than_its_weight_in_steps(
    form: dict[str, Any], definitions: dict[str, Any], value: Any, seed: int
) -> None:
    root = json.loads(json.dumps({**form, "$defs": definitions}))
    places = Places(root)
    try:
        bound, _ = steps(places, root)
    except Circular:
        return
    visits = Visits(root, random.Random(seed)).of(root, value)
    assert visits <= bound * weight(value, CEILING, unique=False)


def counted(form: dict[str, Any]) -> tuple[int, bool]:
    return steps(Places(form), form)


def doubled(levels: int, keyword: str = "allOf") -> dict[str, Any]:
    """A schema whose every definition refers twice to the next."""
    defined: dict[str, Any] = {
        f"d{level}": {keyword: [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defined, f"d{levels}": {"type": "integer"}}}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_what_applies_to_the_same_value_adds_up(keyword: str) -> None:
    assert counted(doubled(3, keyword)) == (30, False)
    assert counted(doubled(40, keyword)) == (CEILING, False)


def test_of_properties_and_items_only_one_applies_to_a_value() -> None:
    wide = {"properties": {f"p{number}": {"type": "string"} for number in range(500)}, "items": {}}
    assert counted(wide) == (2, False)
    assert counted({"prefixItems": [{}, {"not": {}}], "items": {}}) == (3, False)
    assert counted({"patternProperties": {"a": {}, "b": {}}})[0] > counted({"patternProperties": {"a": {}}})[0]
    assert counted({"contains": {}, "items": {}}) == (3, False)
    assert counted({"propertyNames": {}, "additionalProperties": {}}) == (3, False)


def test_the_levels_of_a_value_add_up_on_one_way() -> None:
    tower: dict[str, Any] = {}
    for _ in range(30):
        tower = {"contains": tower, "items": {}}
    assert counted(tower) == (61, False)


def test_what_is_unevaluated_goes_through_its_neighbours_again() -> None:
    neighbours = {"allOf": [{"anyOf": [{}, {}]}, {"if": {}, "then": {}}]}
    plain, again = counted(neighbours)[0], counted({**neighbours, "unevaluatedProperties": False})[0]
    assert again > 2 * plain
    nested: dict[str, Any] = {}
    for _ in range(12):
        nested = {"allOf": [{"properties": {"a": nested}}], "unevaluatedProperties": False}
    assert counted(nested)[0] > 2**12


def test_options_count_as_they_are_compared() -> None:
    assert counted({"enum": [str(number) for number in range(640)]})[0] == 11
    assert counted({"enum": [1, *"abc"]})[0] == 5
    assert counted({"enum": [[1, 2], {"a": 1}]})[0] > 50
    assert counted({"const": [0] * 100})[0] > 1000
    assert counted({"dependentRequired": {str(number): [] for number in range(50)}})[0] == 51


def test_a_recursive_schema_is_told_and_each_definition_counts_once() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    found, recursive = counted(tree)
    assert recursive
    assert found < 50
    both = {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{number}"}}} for number in range(12)]}
    assert counted({"$ref": "#/$defs/d0", "$defs": {f"d{number}": both for number in range(12)}})[0] < CEILING
    knot = {
        f"d{number}": {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{other}"}}} for other in range(12)]}
        for number in range(12)
    }
    assert counted({"$ref": "#/$defs/d0", "$defs": knot})[0] > 2**12


@pytest.mark.parametrize(
    "form",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"if": {"$ref": "#"}}}},
        {"$dynamicAnchor": "a", "anyOf": [{"$dynamicRef": "#a"}]},
        {"$recursiveAnchor": True, "oneOf": [{"$recursiveRef": "#"}]},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
        {"$defs": {"unused": {"$ref": "#/$defs/unused"}}},
        {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}},
    ],
)
def test_a_schema_that_applies_itself_to_the_same_value_has_no_end(form: dict[str, Any]) -> None:
    with pytest.raises(Circular):
        counted(form)


def test_a_chain_may_be_only_so_long() -> None:
    def chain(length: int) -> dict[str, Any]:
        defined: dict[str, Any] = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(length - 2)}
        return {"$ref": "#/$defs/d0", "$defs": {**defined, f"d{length - 2}": {}}}

    assert counted(chain(MAX_CHAIN))[0] == MAX_CHAIN
    with pytest.raises(RecursionError):
        counted(chain(MAX_CHAIN + 1))


def test_a_value_weighs_what_it_holds() -> None:
    assert weight([1, {"a": "b"}, [None]], 100, unique=False) == 7
    assert weight("x" * 1600, 1000, unique=False) == 101
    assert weight({"x" * 1600: 1}, 1000, unique=False) == 103
    assert weight([0] * 10**6, 10, unique=False) >= 10


def test_long_integers_weigh_what_they_take_to_convert_and_to_tell_apart() -> None:
    assert weight([10**4000], CEILING, unique=False) > 50_000
    ids = [2**62 + 1024 * number for number in range(1000)]
    alike = [2**62 + number for number in range(1000)]
    assert weight(ids, CEILING, unique=True) < 100_000 < 1_000_000 < weight(alike, CEILING, unique=True)
    assert weight(alike, CEILING, unique=False) < 10_000


@given(st.lists(st.integers() | st.integers(2**63, 2**63 + 99) | st.integers(10**300, 10**300 + 9)), st.booleans())
def test_no_text_holds_more_than_its_heaviest_value(value: list[int], unique: bool) -> None:
    data = json.dumps(value, separators=(",", ":")).encode()
    assert weight(value, CEILING, unique=unique) <= heaviest(data, unique=unique)


@given(st.integers(0, 200_000), st.booleans())
def test_no_light_text_is_too_heavy(most: int, unique: bool) -> None:
    assert heaviest(b"9" * lightest(most, unique=unique), unique=unique) <= most


def test_a_text_without_long_integers_weighs_its_bytes_at_most() -> None:
    assert heaviest(b"[" + b"123456789012345," * 100, unique=True) == 1601
    assert heaviest(b"[1234567890123456]", unique=False) > 18
