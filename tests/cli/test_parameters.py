"""A tool's parameters as a person sees them."""

import pytest

from bascule.cli.parameters import parameters, takes_others


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"type": "string"}, "p?: string"),
        ({"type": "integer", "default": 3}, "p: integer = 3"),
        ({"enum": ["a", "b"], "default": "a"}, 'p: "a" | "b" = "a"'),
        ({"const": 1}, "p?: 1"),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, "p?: null | number"),
        ({"type": ["null", "string"]}, "p?: string | null"),
        ({"type": "array", "items": {"type": ["integer", "string"]}}, "p?: [integer | string]"),
        ({"type": "array"}, "p?: array"),
        ({"$ref": "#/$defs/D"}, "p?: boolean"),
        ({"$ref": "#/$defs/Missing"}, "p?: any"),
        ({"$ref": "https://example.com/x"}, "p?: any"),
        ({"$ref": "#/$defs/Ring"}, "p?: any"),
        ({}, "p?: any"),
        (True, "p?: any"),
    ],
)
def test_a_parameter_shows_name_kind_and_default(form, shown):
    schema = {"properties": {"p": form}, "$defs": {"D": {"type": "boolean"}, "Ring": {"$ref": "#/$defs/Ring"}}}
    assert [str(parameter) for parameter in parameters(schema)] == [shown]


def test_a_required_parameter_has_no_question_mark():
    assert str(parameters({"properties": {"p": {"type": "string"}}, "required": ["p"]})[0]) == "p: string"


@pytest.mark.parametrize("schema", [{}, {"properties": []}, {"properties": {}, "required": "p"}])
def test_a_schema_that_says_little_has_no_parameters(schema):
    assert parameters(schema) == []


def test_a_closed_schema_takes_no_others():
    assert not takes_others({"properties": {"p": {}}, "additionalProperties": False})
    assert takes_others({"properties": {"p": {}}, "additionalProperties": {"type": "string"}})
