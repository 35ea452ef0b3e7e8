"""The fields of forms: how a schema becomes fields, and what may be typed into them."""

import pytest

from bascule.cli.forms import Unfit, check_all, fields, hint, read, shown

COLOURS = [{"const": "#f00", "title": "Red"}, {"const": "#0f0", "title": "Green"}]


def field(form, required=True):
    schema = {"type": "object", "properties": {"f": form}, "required": ["f"] if required else []}
    return fields(schema)[0]


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ({"type": "string"}, " as typed ", " as typed "),
        ({"type": "string"}, '""', ""),
        ({"type": "string", "format": "email"}, "a@b.c", "a@b.c"),
        ({"type": "string", "format": "uri"}, "https://example.com/x", "https://example.com/x"),
        ({"type": "string", "format": "date"}, "2026-07-28", "2026-07-28"),
        ({"type": "string", "format": "date-time"}, "2026-07-28T12:00:00Z", "2026-07-28T12:00:00Z"),
        ({"type": "string", "format": "of-tomorrow"}, "anything", "anything"),
        ({"type": "integer", "minimum": 1}, " 7 ", 7),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "number"}, "2", 2),
        ({"type": "boolean"}, "Y", True),
        ({"type": "boolean"}, "no", False),
        ({"type": "string", "enum": ["a", "b"]}, "2", "b"),
        ({"type": "string", "enum": ["a", "b"]}, "a", "a"),
        ({"type": "string", "enum": ["a", "b"], "enumNames": ["One", "Two"]}, "Two", "b"),
        ({"type": "string", "oneOf": COLOURS}, "1", "#f00"),
        ({"type": "string", "oneOf": COLOURS}, "Green", "#0f0"),
        ({"type": "integer", "enum": [10, 20]}, "2", 20),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, "3, 1,3", ["c", "a"]),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, "1 2", ["a", "b"]),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}}, "-", []),
        ({"type": "array", "items": {"anyOf": COLOURS}}, "Red", ["#f00"]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": ["string", "null"]}, "null", None),
        ({}, "[1]", [1]),
    ],
)
def test_what_is_typed_becomes_the_value_of_its_kind(form, text, value):
    found = read(field(form), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("form", "text", "complaint"),
    [
        ({"type": "string", "minLength": 3}, "ab", "at least 3 characters"),
        ({"type": "string", "maxLength": 3}, "abcd", "at most 3 characters"),
        ({"type": "string", "format": "email"}, "ada", "an e-mail address, as in ada@example.com"),
        ({"type": "string", "format": "uri"}, "example.com", "a URI"),
        ({"type": "string", "format": "date"}, "28.7.2026", "a date, as in 2026-12-24"),
        ({"type": "string", "format": "date-time"}, "noon", "a date and time"),
        ({"type": "integer"}, "1.5", "'1.5' is no whole number"),
        ({"type": "integer", "maximum": 5}, "6", "at most 5"),
        ({"type": "number"}, "many", "'many' is no number"),
        ({"type": "number"}, "nan", "must be a number"),
        ({"type": "number"}, "9" * 5000, "is no number"),
        ({"type": "number", "minimum": 0.5}, "0", "at least 0.5"),
        ({"type": "boolean"}, "perhaps", "answer y or n"),
        ({"type": "string", "enum": ["a", "b"]}, "3", "a number from 1 to 2"),
        ({"type": "string", "enum": ["a", "b"]}, "0", "a number from 1 to 2"),
        ({"type": "array", "minItems": 2, "items": {"enum": ["a", "b"]}}, "1", "at least 2 of them"),
        ({"type": "array", "maxItems": 1, "items": {"enum": ["a", "b"]}}, "1,2", "at most 1 of them"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "1,x", "a number from 1 to 2"),
        ({"type": "object"}, "x", "takes JSON"),
    ],
)
def test_what_does_not_fit_is_told_in_words(form, text, complaint):
    with pytest.raises(Unfit) as told:
        read(field(form), text)
    assert complaint in str(told.value)


def test_fields_keep_their_order_titles_and_defaults():
    schema = {
        "type": "object",
        "properties": {
            "b": {"type": "string", "title": "The B", "description": "About B", "default": "x"},
            "a": {"type": "integer", "default": "no number"},
        },
        "required": ["a"],
    }
    first, second = fields(schema)
    assert (first.name, first.title, first.description, first.required, first.has_default) == (
        *("b", "The B", "About B"),
        False,
        True,
    )
    assert (second.title, second.required, second.has_default) == ("a", True, False)


@pytest.mark.parametrize("schema", [None, [], {}, {"properties": []}, {"properties": {}, "required": "x"}])
def test_a_schema_that_says_nothing_has_no_fields(schema):
    assert fields(schema) == []


def test_a_field_that_is_no_schema_is_taken_as_json():
    assert fields({"properties": {"f": True}})[0].kind == "any"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"type": "string", "minLength": 3}, "text, at least 3 characters"),
        ({"type": "string", "format": "date"}, "a date, as in 2026-12-24"),
        ({"type": "integer", "minimum": 0, "maximum": 9}, "a whole number, 0 to 9"),
        ({"type": "number", "maximum": 9}, "a number, at most 9"),
        ({"type": "boolean"}, "y or n"),
        ({"enum": ["a"]}, "a number from the list"),
        ({"type": "array", "items": {"enum": ["a"]}, "minItems": 1}, "numbers from the list, with commas; - for none"),
    ],
)
def test_a_hint_says_what_is_wanted(form, said):
    assert hint(field(form)).startswith(said)


def test_values_are_shown_as_people_know_them():
    assert shown(field({"type": "boolean"}), False) == "no"
    assert shown(field({"oneOf": COLOURS}), "#0f0") == "Green"
    assert shown(field({"type": "array", "items": {"anyOf": COLOURS}}), ["#f00", "#0f0"]) == "Red, Green"
    assert shown(field({"type": "array", "items": {"anyOf": COLOURS}}), []) == "none"
    assert shown(field({"type": "number"}), 1.5) == "1.5"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([], "is answered with an object"),
        ({"n": 1, "x": 2}, "the form has no field 'x'; it has n, t"),
        ({"n": "1"}, "n: this must be a number"),
        ({"n": True}, "n: this must be a number"),
        ({"t": "a"}, "the form needs n"),
        ({"n": 1, "t": 2}, "t: this must be text"),
    ],
)
def test_content_that_was_not_typed_is_held_to_the_form_too(content, complaint):
    schema = {"properties": {"n": {"type": "number"}, "t": {"type": "string"}}, "required": ["n"]}
    with pytest.raises(Unfit) as told:
        check_all(schema, content)
    assert complaint in str(told.value)
    assert check_all(schema, {"n": 1.5}) == {"n": 1.5}
