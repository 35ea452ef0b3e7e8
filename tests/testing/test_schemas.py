"""Schemas compared by what they allow: each difference by kind and direction, references and cycles included."""

import pytest

from bascule.testing.schemas import MAX_DEPTH, differences


def said(old, new):
    return [(".".join(one.path), one.kind, one.direction) for one in differences(old, new)]


def prop(form, **more):
    return {"type": "object", "properties": {"a": form}, **more}


STRING, INTEGER, NUMBER, NULL = ({"type": kind} for kind in ("string", "integer", "number", "null"))
TAGGED = [{"type": "object", "properties": {"tag": {"const": tag}}, "required": ["tag"]} for tag in "xyz"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # types
        (INTEGER, NUMBER, [("", "type", "wider")]),
        (NUMBER, INTEGER, [("", "type", "narrower")]),
        (STRING, INTEGER, [("", "type", "other")]),
        ({"type": "string", "minLength": 3}, INTEGER, [("", "type", "other")]),
        (STRING, {}, [("", "type", "wider")]),
        (STRING, {"type": ["string", "null"]}, [("", "type", "wider")]),
        ({"type": ["string", "null"]}, {"type": ["null", "string"]}, []),
        (True, {}, []),
        (False, {}, [("", "type", "wider")]),
        (STRING, False, [("", "type", "narrower")]),
        # values
        ({"enum": ["a", "b"]}, {"enum": ["b", "a"]}, []),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, [("", "enum", "narrower")]),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, [("", "enum", "wider")]),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, [("", "enum", "narrower"), ("", "enum", "wider")]),
        ({"const": "a"}, {"enum": ["a"]}, []),
        ({"enum": [1]}, {"enum": [1.0]}, []),
        ({"enum": [1]}, {"enum": [True]}, [("", "type", "other")]),
        (STRING, {"type": "string", "enum": ["a"]}, [("", "enum", "narrower")]),
        ({"const": "a"}, STRING, [("", "enum", "wider")]),
        # ranges
        ({"minimum": 1}, {"minimum": 2}, [("", "range", "narrower")]),
        ({"minimum": 1}, {"minimum": 0}, [("", "range", "wider")]),
        ({"minimum": 1}, {"exclusiveMinimum": 1}, [("", "range", "narrower")]),
        ({"maximum": 1}, {"exclusiveMaximum": 1}, [("", "range", "narrower")]),
        ({"maximum": 5}, {}, [("", "range", "wider")]),
        ({"maxLength": 5}, {"maxLength": 4}, [("", "range", "narrower")]),
        ({}, {"minLength": 0}, []),
        ({}, {"minItems": 1}, [("", "range", "narrower")]),
        ({"maxItems": 1}, {"maxItems": 2}, [("", "range", "wider")]),
        ({"minProperties": 2}, {"minProperties": 1}, [("", "range", "wider")]),
        ({"multipleOf": 2}, {"multipleOf": 4}, [("", "range", "narrower")]),
        ({"multipleOf": 4}, {"multipleOf": 2}, [("", "range", "wider")]),
        ({"multipleOf": 4}, {"multipleOf": 3}, [("", "range", "other")]),
        ({}, {"multipleOf": 3}, [("", "range", "narrower")]),
        ({"multipleOf": 3}, {}, [("", "range", "wider")]),
        ({"uniqueItems": True}, {}, [("", "range", "wider")]),
        ({"uniqueItems": False}, {"uniqueItems": True}, [("", "range", "narrower")]),
        # patterns
        ({}, {"pattern": "a"}, [("", "pattern", "narrower")]),
        ({"pattern": "a"}, {}, [("", "pattern", "wider")]),
        ({"pattern": "a"}, {"pattern": "b"}, [("", "pattern", "other")]),
        ({"format": "date"}, {"format": "time"}, [("", "pattern", "other")]),
        # what is told
        ({"default": 1}, {"default": 2}, [("", "default", "default")]),
        ({"default": 1}, {}, [("", "default", "default")]),
        ({}, {"default": None}, [("", "note", "note")]),
        ({"description": "a"}, {"description": "b"}, [("", "wording", "wording")]),
        ({"title": "a"}, {}, [("", "wording", "wording")]),
        ({"x-mcp-header": "A"}, {"x-mcp-header": "B"}, [("", "note", "note")]),
        ({"examples": [1]}, {"$comment": "x"}, []),
        # properties
        (prop(STRING), prop(STRING), []),
        (prop(STRING), {"type": "object"}, [("a", "removed", "lost")]),
        ({"type": "object"}, prop(STRING), [("a", "added", "gained")]),
        ({"type": "object"}, prop(STRING, required=["a"]), [("a", "added", "narrower")]),
        (prop(STRING), prop(STRING, required=["a"]), [("a", "required", "narrower")]),
        (prop(STRING, required=["a"]), prop(STRING), [("a", "required", "wider")]),
        (prop({"type": "string", "default": "x"}), prop(STRING, required=["a"]), [("a", "required", "narrower")]),
        (prop(prop(STRING)), prop(prop(INTEGER)), [("a.a", "type", "other")]),
        ({"type": "object"}, {"type": "object", "required": ["z"]}, [("z", "required", "narrower")]),
        # further properties
        ({"type": "object"}, {"additionalProperties": False, "type": "object"}, [("", "further", "narrower")]),
        ({"additionalProperties": False}, {}, [("", "further", "gained")]),
        ({"additionalProperties": INTEGER}, {"additionalProperties": False}, [("", "further", "lost")]),
        ({"additionalProperties": INTEGER}, {"additionalProperties": NUMBER}, [("*", "type", "wider")]),
        # items
        ({"items": INTEGER}, {"items": STRING}, [("[]", "type", "other")]),
        ({"items": INTEGER}, {}, [("[]", "type", "wider")]),
        ({"prefixItems": [INTEGER, STRING]}, {"prefixItems": [INTEGER, INTEGER]}, [("[1]", "type", "other")]),
        ({"prefixItems": [INTEGER]}, {"prefixItems": [INTEGER, STRING]}, [("[1]", "type", "narrower")]),
        ({"items": [INTEGER]}, {"prefixItems": [INTEGER]}, []),
        # alternatives
        (INTEGER, {"anyOf": [INTEGER, NULL]}, [("", "alternative", "wider")]),
        ({"anyOf": [INTEGER, NULL]}, INTEGER, [("", "alternative", "narrower")]),
        ({"anyOf": [INTEGER, NULL]}, {"anyOf": [NULL, INTEGER]}, []),
        ({"anyOf": [STRING, NULL]}, {"type": ["string", "null"]}, []),
        ({"anyOf": [STRING, NULL]}, {"oneOf": [STRING, NULL]}, []),
        ({"anyOf": [INTEGER, STRING]}, {"anyOf": [NUMBER, STRING]}, [("", "type", "wider")]),
        ({"anyOf": [INTEGER, NUMBER]}, {"anyOf": [NUMBER]}, []),
        ({"anyOf": TAGGED[:2]}, {"anyOf": TAGGED}, [("", "alternative", "wider")]),
        ({"anyOf": TAGGED}, {"anyOf": TAGGED[1:]}, [("", "alternative", "narrower")]),
        (
            {"anyOf": [INTEGER, NULL], "default": 1},
            {"anyOf": [INTEGER, NULL], "default": 2},
            [("", "default", "default")],
        ),
        (
            {"anyOf": [INTEGER, NULL], "default": None},
            {"type": "integer", "default": 3, "description": "x"},
            [("", "wording", "wording"), ("", "default", "default"), ("", "alternative", "narrower")],
        ),
        ({"minimum": 1}, {"minimum": 1, "anyOf": [INTEGER]}, [("", "condition", "narrower")]),
        ({"minimum": 1, "anyOf": [INTEGER]}, {"minimum": 2}, [("", "range", "narrower"), ("", "condition", "wider")]),
        # conditions
        ({"allOf": [INTEGER]}, INTEGER, []),
        ({"allOf": [prop(STRING)], "description": "x"}, {**prop(STRING), "description": "x"}, []),
        ({"allOf": [{"minimum": 1}, {"minimum": 2}]}, {"allOf": [{"minimum": 1}]}, None),
        (
            {"allOf": [{"minimum": 1}, {"minimum": 2}]},
            {"allOf": [{"minimum": 1}, {"minimum": 3}]},
            [("", "range", "narrower")],
        ),
        # what is not judged
        ({"not": STRING}, {"not": STRING, "title": "x"}, [("", "wording", "wording")]),
        ({"not": STRING}, {"not": INTEGER}, [("", "unjudged", "other")]),
        ({"patternProperties": {"a": STRING}}, {"patternProperties": {"a": INTEGER}}, [("", "unjudged", "other")]),
        ({"dependentRequired": {"a": ["b"]}}, {"dependentRequired": {"a": ["c"]}}, [("", "unjudged", "other")]),
        ({}, {"if": STRING}, [("", "unjudged", "other")]),
        # what is no schema
        ({"properties": 1, "required": True, "enum": 5, "anyOf": {}}, {"properties": [], "required": [1]}, None),
        (5, {}, []),
    ],
)
def test_each_difference_has_its_kind_and_direction(old, new, expected):
    found = said(old, new)
    assert found == expected if expected is not None else isinstance(found, list)


def test_references_are_followed_and_their_names_do_not_matter():
    old = prop({"$ref": "#/$defs/A~1B"}) | {"$defs": {"A/B": {"$ref": "#/$defs/C%25"}, "C%": INTEGER}}
    new = prop({"$ref": "#/definitions/D"}) | {"definitions": {"D": NUMBER}}
    assert said(old, new) == [("a", "type", "wider")]


def test_what_stands_beside_a_reference_counts_too():
    old = prop({"$ref": "#/$defs/A", "description": "x"}) | {"$defs": {"A": {"type": "integer", "minimum": 1}}}
    new = prop({"$ref": "#/$defs/A", "maximum": 5}) | {"$defs": {"A": {"type": "integer", "minimum": 2}}}
    assert said(old, new) == [("a", "wording", "wording"), ("a", "range", "narrower"), ("a", "range", "narrower")]
    both = prop({"$ref": "#/$defs/A", "minimum": 0}) | {"$defs": {"A": {"type": "integer", "minimum": 1}}}
    more = prop({"$ref": "#/$defs/A", "minimum": 0}) | {"$defs": {"A": {"type": "integer", "minimum": 2}}}
    assert said(both, more) == [("a", "range", "narrower")]


@pytest.mark.parametrize("reference", ["http://example.com/a", "#/$defs/none", "#anchor", 5])
def test_a_reference_that_leads_nowhere_is_compared_by_its_text(reference):
    assert said(prop({"$ref": reference}), prop({"$ref": reference}, title="x")) == [("", "wording", "wording")]
    assert said(prop({"$ref": reference}), prop({"$ref": "#/other"})) == [("a", "unjudged", "other")]


def tree(value):
    node = {"type": "object", "properties": {"value": value, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, NULL]}}}
    return prop({"$ref": "#/$defs/Node"}) | {"$defs": {"Node": node}}


def test_cycles_end_and_their_differences_are_told_once():
    assert said(tree(INTEGER), tree(NUMBER)) == [("a.value", "type", "wider")]
    assert said(tree(INTEGER), tree(STRING)) == [("a.value", "type", "other")]


def test_a_cycle_unrolled_once_is_the_same():
    unrolled = tree(INTEGER)
    unrolled["properties"]["a"] = dict(unrolled["$defs"]["Node"])
    assert said(tree(INTEGER), unrolled) == []


@pytest.mark.parametrize(
    "definitions",
    [
        {"A": {"$ref": "#/$defs/A"}},
        {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A", "title": "x"}},
        {"A": {"allOf": [{"$ref": "#/$defs/A"}]}},
        {"A": {"anyOf": [{"$ref": "#/$defs/A"}, INTEGER]}},
        {"A": {"not": {"$ref": "#/$defs/A"}}},
    ],
)
def test_cycles_of_nothing_but_references_are_survived(definitions):
    looped = prop({"$ref": "#/$defs/A"}) | {"$defs": definitions}
    assert said(looped, {**looped, "title": "x"}) == [("", "wording", "wording")]
    assert isinstance(said(looped, prop(INTEGER)), list)


def test_a_difference_inside_a_cycle_is_not_lost_among_alternatives():
    """A pair that is only tried must not be remembered as equal because it leaned on one that was not."""

    def shape(value):
        inner = {"type": "object", "properties": {"back": {"$ref": "#/$defs/A"}}}
        a = {"type": "object", "properties": {"v": value, "b": {"anyOf": [{"$ref": "#/$defs/B"}, NULL]}}}
        return {
            "type": "object",
            "properties": {"x": {"anyOf": [{"$ref": "#/$defs/A"}, STRING]}, "y": {"$ref": "#/$defs/B"}},
            "$defs": {"A": a, "B": inner},
        }

    found = said(shape(INTEGER), shape(STRING))
    assert ("x.v", "type", "other") in found
    assert ("y.back.v", "type", "other") in found


def test_schemas_that_fan_out_are_compared_in_time():
    def fan(last):
        levels = {f"L{n}": {"anyOf": [prop({"$ref": f"#/$defs/L{n + 1}"}) for _ in range(4)]} for n in range(30)}
        return prop({"$ref": "#/$defs/L0"}) | {"$defs": {**levels, "L30": last}}

    assert [one[1:] for one in said(fan(INTEGER), fan(NUMBER))][-1:] == [("type", "wider")]


def test_what_is_too_deep_is_called_different():
    def deep(last):
        chain = {f"L{n}": prop({"$ref": f"#/$defs/L{n + 1}"}) for n in range(MAX_DEPTH + 10)}
        return {"$ref": "#/$defs/L0", "$defs": {**chain, f"L{MAX_DEPTH + 10}": last}}

    assert [one[1:] for one in said(deep(INTEGER), deep(STRING))] == [("tangled", "other")]


def test_words_say_what_and_instead_of_what():
    def words(old, new):
        return [one.text for one in differences(old, new)]

    assert words(INTEGER, {"type": ["string", "null"]}) == ["has the type string or null instead of integer"]
    assert words({"enum": ["a", "b"]}, {"enum": ["a"]}) == ['can no longer be "b"']
    assert words({"minimum": 1}, {"exclusiveMinimum": 2.5}) == ["has the minimum 2.5 (itself excluded) instead of 1"]
    assert words({}, {"maxLength": 2}) == ["has the greatest length 2 instead of none"]
    assert words({"default": 1}, {"default": [2]}) == ["has the default [2] instead of 1"]
    assert len(words({}, {"default": "x" * 500})[0]) < 100
