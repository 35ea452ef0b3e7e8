"""Surfaces compared by meaning: what breaks callers, what does not, and laws that hold for every surface."""

import copy
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.testing import Change, Snapshot, compare


def surface(**parts):
    base = {"snapshot": 1, "server": "s", "capabilities": {"tools": {}}, "tools": [], "resources": []}
    return msgspec.json.decode(
        json.dumps({**base, "resourceTemplates": [], "prompts": [], **parts}).encode(), type=Snapshot
    )


def with_tool(schema=None, **more):
    return surface(tools=[{"name": "t", "inputSchema": schema or {"type": "object"}, **more}])


def props(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


def lines(old, new, **options):
    return [("breaks" if change.breaking else "keeps", str(change)) for change in compare(old, new, **options)]


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
PROMPT = {"name": "p", "arguments": [{"name": "a", "required": True}, {"name": "b"}]}
RESOURCE = {"uri": "r://x", "name": "x", "mimeType": "text/plain"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (with_tool(), surface(), ("breaks", "tool t is gone")),
        (surface(), with_tool(), ("keeps", "tool t is new")),
        (with_tool(props(a=STRING)), with_tool(props()), ("breaks", "tool t: parameter a is gone")),
        (with_tool(props()), with_tool(props(a=STRING)), ("keeps", "tool t: parameter a is new")),
        (with_tool(props()), with_tool(props(["a"], a=STRING)), ("breaks", "tool t: parameter a is new and required")),
        (
            with_tool(props(a=STRING)),
            with_tool(props(["a"], a=STRING)),
            ("breaks", "tool t: parameter a is required now"),
        ),
        (
            with_tool(props(["a"], a=STRING)),
            with_tool(props(a=STRING)),
            ("keeps", "tool t: parameter a is no longer required"),
        ),
        (
            with_tool(props(a=STRING)),
            with_tool(props(a=INTEGER)),
            ("breaks", "tool t: parameter a has the type integer instead of string"),
        ),
        (
            with_tool(props(a={"enum": ["x", "y"]})),
            with_tool(props(a={"enum": ["x"]})),
            ("breaks", 'tool t: parameter a can no longer be "y"'),
        ),
        (
            with_tool(props(a={"enum": ["x"]})),
            with_tool(props(a={"enum": ["x", "y"]})),
            ("keeps", 'tool t: parameter a can be "y" too'),
        ),
        (
            with_tool(props(a={"type": "array", "items": {"maximum": 5}})),
            with_tool(props(a={"type": "array", "items": {"maximum": 4}})),
            ("breaks", "tool t: parameter a[] has the maximum 4 instead of 5"),
        ),
        (
            with_tool(props(a={"default": 1})),
            with_tool(props(a={"default": 2})),
            (
                "breaks",
                "tool t: parameter a has the default 2 instead of 1 (callers who leave it out get something else)",
            ),
        ),
        (
            with_tool({"type": "object"}),
            with_tool({"type": "object", "additionalProperties": False}),
            ("breaks", "tool t: the arguments may have no further names any more"),
        ),
        (with_tool(description="a"), with_tool(description="b"), ("keeps", "tool t has another description")),
        (
            with_tool(props(a={"description": "x"})),
            with_tool(props(a={})),
            ("keeps", "tool t: parameter a has another description"),
        ),
        # results
        (with_tool(outputSchema=props()), with_tool(), ("breaks", "tool t: the output schema is gone")),
        (with_tool(), with_tool(outputSchema=props()), ("keeps", "tool t: the output schema is new")),
        (
            with_tool(outputSchema=props(a=INTEGER)),
            with_tool(outputSchema=props(a={"type": ["integer", "null"]})),
            ("breaks", "tool t: result a has the type integer or null instead of integer"),
        ),
        (
            with_tool(outputSchema=props(a={"type": ["integer", "null"]})),
            with_tool(outputSchema=props(a=INTEGER)),
            ("keeps", "tool t: result a has the type integer instead of integer or null"),
        ),
        (
            with_tool(outputSchema=props(a=INTEGER)),
            with_tool(outputSchema=props()),
            ("breaks", "tool t: result a is gone"),
        ),
        (with_tool(outputSchema=props()), with_tool(outputSchema=props(a={})), ("keeps", "tool t: result a is new")),
        (
            with_tool(outputSchema=props(["a"], a={})),
            with_tool(outputSchema=props(a={})),
            ("breaks", "tool t: result a is no longer required"),
        ),
        (
            with_tool(outputSchema=props(a={})),
            with_tool(outputSchema=props(["a"], a={})),
            ("keeps", "tool t: result a is required now"),
        ),
        (
            with_tool(outputSchema=props(a={"default": 1})),
            with_tool(outputSchema=props(a={"default": 2})),
            ("keeps", "tool t: result a has the default 2 instead of 1"),
        ),
        # annotations
        (
            with_tool(annotations={"readOnlyHint": True}),
            with_tool(annotations={"readOnlyHint": False}),
            (
                "breaks",
                "tool t: readOnlyHint is false instead of true (who ran it unasked because it only reads may now "
                "change something)",
            ),
        ),
        (
            with_tool(annotations={"readOnlyHint": False}),
            with_tool(annotations={"readOnlyHint": True}),
            ("keeps", "tool t: readOnlyHint is true instead of false"),
        ),
        (
            with_tool(annotations={"destructiveHint": False}),
            with_tool(),
            (
                "breaks",
                "tool t: destructiveHint is true instead of false (who ran it because it destroys nothing may now "
                "lose something)",
            ),
        ),
        (
            with_tool(annotations={"idempotentHint": True}),
            with_tool(),
            (
                "breaks",
                "tool t: idempotentHint is false instead of true (who repeats a failed call may now do it twice)",
            ),
        ),
        (
            with_tool(annotations={"openWorldHint": False}),
            with_tool(annotations={"openWorldHint": True}),
            (
                "breaks",
                "tool t: openWorldHint is true instead of false (who trusted that it stays inside may now reach "
                "outside)",
            ),
        ),
        (
            with_tool(annotations={"title": "A"}),
            with_tool(annotations={"title": "B"}),
            ("keeps", "tool t has another title in its annotations"),
        ),
        # tasks
        (
            with_tool(),
            with_tool(execution={"taskSupport": "required"}),
            ("breaks", "tool t: taskSupport is required instead of forbidden"),
        ),
        (
            with_tool(execution={"taskSupport": "optional"}),
            with_tool(),
            ("breaks", "tool t: taskSupport is forbidden instead of optional"),
        ),
        (
            with_tool(execution={"taskSupport": "required"}),
            with_tool(execution={"taskSupport": "optional"}),
            ("keeps", "tool t: taskSupport is optional instead of required"),
        ),
        # resources and templates
        (surface(resources=[RESOURCE]), surface(), ("breaks", "resource r://x is gone")),
        (surface(), surface(resources=[RESOURCE]), ("keeps", "resource r://x is new")),
        (
            surface(resources=[RESOURCE]),
            surface(resources=[{**RESOURCE, "mimeType": "text/html"}]),
            ("breaks", "resource r://x: its type is text/html instead of text/plain"),
        ),
        (
            surface(resources=[{"uri": "r://x", "name": "x"}]),
            surface(resources=[RESOURCE]),
            ("keeps", "resource r://x: its type is text/plain instead of not told"),
        ),
        (
            surface(resources=[RESOURCE]),
            surface(resources=[{**RESOURCE, "name": "y"}]),
            ("keeps", "resource r://x is named 'y' instead of 'x'"),
        ),
        (
            surface(resourceTemplates=[{"uriTemplate": "r://{x}", "name": "x"}]),
            surface(),
            ("breaks", "template r://{x} is gone"),
        ),
        # prompts
        (surface(prompts=[PROMPT]), surface(), ("breaks", "prompt p is gone")),
        (
            surface(prompts=[PROMPT]),
            surface(prompts=[{**PROMPT, "arguments": PROMPT["arguments"][:1]}]),
            ("breaks", "prompt p: parameter b is gone"),
        ),
        (
            surface(prompts=[{**PROMPT, "arguments": PROMPT["arguments"][:1]}]),
            surface(prompts=[PROMPT]),
            ("keeps", "prompt p: parameter b is new"),
        ),
        (
            surface(prompts=[{"name": "p"}]),
            surface(prompts=[{"name": "p", "arguments": [{"name": "a", "required": True}]}]),
            ("breaks", "prompt p: parameter a is new and required"),
        ),
        (
            surface(prompts=[PROMPT]),
            surface(
                prompts=[{**PROMPT, "arguments": [{"name": "a", "required": True}, {"name": "b", "required": True}]}]
            ),
            ("breaks", "prompt p: parameter b is required now"),
        ),
        (
            surface(prompts=[PROMPT]),
            surface(prompts=[{**PROMPT, "arguments": [{"name": "a"}, {"name": "b"}]}]),
            ("keeps", "prompt p: parameter a is no longer required"),
        ),
        # the server
        (surface(), surface(server="z"), ("keeps", "the server is called 'z' instead of 's'")),
        (surface(), surface(capabilities={}), ("breaks", "the capability tools is gone")),
        (surface(), surface(capabilities={"tools": {}, "prompts": {}}), ("keeps", "the capability prompts is new")),
        (
            surface(capabilities={"resources": {"subscribe": True}}),
            surface(capabilities={"resources": {"subscribe": False}}),
            ("breaks", "the capability resources.subscribe is gone"),
        ),
        (
            surface(capabilities={"extensions": {"a/b": {"x": 1}}}),
            surface(capabilities={"extensions": {"a/b": {"x": 2}}}),
            ("keeps", "the capability extensions.a/b.x is 2 instead of 1"),
        ),
    ],
)
def test_each_change_is_told_in_one_line_with_its_verdict(old, new, expected):
    assert lines(old, new) == [expected]


def test_strict_makes_wording_break_and_nothing_else():
    old, new = with_tool(props(a={"title": "x"}), description="a"), with_tool(props(a={}, b={}), description="b")
    assert lines(old, new, strict=True) == [
        ("breaks", "tool t has another description"),
        ("breaks", "tool t: parameter a has another title"),
        ("keeps", "tool t: parameter b is new"),
    ]


def test_programs_read_the_kind():
    assert compare(with_tool(props(a={})), with_tool(props()))[0] == Change(
        True, "tool t: parameter a", "removed", "is gone"
    )


NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.one_of(
    st.sampled_from([{}, STRING, INTEGER, {"type": "number"}, {"type": "null"}, {"type": ["string", "null"]}, True]),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-3, 3)}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["x", "y", 1, None]), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"$ref": st.sampled_from(["#", "#/$defs/d", "#/$defs/e"])}),
    st.fixed_dictionaries(
        {"type": st.just("string"), "default": st.text(max_size=2), "description": st.text(max_size=2)}
    ),
)


def objects(inner):
    return st.builds(
        lambda properties, required: {
            "type": "object",
            "properties": properties,
            "required": sorted(required & properties.keys()),
        },
        st.dictionaries(NAMES, inner, max_size=3),
        st.sets(NAMES),
    )


FORMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"allOf": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
    ),
    max_leaves=8,
)
SCHEMAS = st.builds(lambda root, d, e: {**root, "$defs": {"d": d, "e": e}}, objects(FORMS), FORMS, FORMS)


def shuffled(schema):
    """The same schema in other objects and another order."""
    if isinstance(schema, dict):
        return {key: shuffled(schema[key]) for key in reversed(schema)}
    return [shuffled(one) for one in schema] if isinstance(schema, list) else schema


@given(SCHEMAS, SCHEMAS)
def test_a_surface_compared_with_itself_has_not_changed(schema, output):
    old = with_tool(schema, outputSchema=output)
    assert compare(old, copy.deepcopy(old)) == []
    assert compare(old, with_tool(shuffled(schema), outputSchema=shuffled(output))) == []


@given(SCHEMAS)
def test_the_comparison_itself_finds_a_schema_equal_to_itself(schema):
    """Without the short cut for equal texts: the other title is all that it finds."""
    assert {change.kind for change in compare(with_tool(schema), with_tool({**schema, "title": "other"}))} <= {
        "wording"
    }


@given(SCHEMAS, FORMS)
def test_adding_an_optional_parameter_is_never_breaking(schema, form):
    new = copy.deepcopy(schema)
    new["properties"]["added"] = form
    changes = compare(with_tool(schema), with_tool(new))
    assert ("tool t: parameter added", "added") in {(change.place, change.kind) for change in changes}
    assert not [change for change in changes if change.breaking]


@given(SCHEMAS, FORMS, st.booleans())
def test_removing_a_parameter_is_always_breaking(schema, form, required):
    old = copy.deepcopy(schema)
    old["properties"]["removed"] = form
    old["required"] = [*schema["required"], *(["removed"] if required else [])]
    changes = compare(with_tool(old), with_tool(schema))
    assert ("tool t: parameter removed", True) in {(change.place, change.breaking) for change in changes}


@given(SCHEMAS, FORMS)
def test_a_new_required_parameter_is_always_breaking(schema, form):
    new = copy.deepcopy(schema)
    new["properties"]["added"] = form
    new["required"] = [*schema["required"], "added"]
    changes = compare(with_tool(schema), with_tool(new))
    assert ("tool t: parameter added", True) in {(change.place, change.breaking) for change in changes}


@given(SCHEMAS, SCHEMAS)
def test_any_two_schemas_can_be_compared_and_what_comes_one_way_goes_the_other(old, new):
    def names(before, after, kind):
        changes = compare(with_tool(before), with_tool(after))
        return {change.place for change in changes if change.kind == kind and change.place.split()[-1].isalpha()}

    assert names(old, new, "added") == names(new, old, "removed")
