"""Tools from a raw JSON Schema: served verbatim, validated without network, explained like any other."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET, Raw

from bascule import Client, Server
from bascule.errors import DeclarationError, InvalidArguments
from bascule.server.raw_signature import RawSignature

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "pattern": "^[a-z]+$", "description": "Where"},
        "limit": {"type": "integer", "maximum": 10},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city"],
    "additionalProperties": False,
}


class Context:
    """Stands for the server's context."""


def echo(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


def signature(function: Callable[..., Any] = echo, schema: dict[str, Any] = SCHEMA) -> RawSignature:
    return RawSignature(function, schema=schema, what="tool 'it'", context_type=Context)


def declared(schema: dict[str, Any], function: Callable[..., Any] = echo) -> str:
    with pytest.raises(DeclarationError) as caught:
        signature(function, schema)
    return str(caught.value)


def test_the_schema_is_served_as_it_was_given() -> None:
    found = signature()
    assert found.schema is SCHEMA
    assert found.names == {"city", "limit", "tags"}
    assert (found.parameters[0].name, found.parameters[0].required, found.parameters[0].description) == (
        "city",
        True,
        "Where",
    )


def test_the_function_takes_one_dict_and_perhaps_the_context() -> None:
    def before(ctx: Context, arguments: dict[str, Any]) -> Any:
        return ctx, arguments

    def keyword(*, ctx: Context, arguments: dict[str, Any]) -> Any:
        return ctx, arguments

    context, raw = Context(), Raw(b'{"city":"rome"}')
    assert signature().call(raw, None) == {"city": "rome"}
    assert signature(before).call(raw, context) == (context, {"city": "rome"})
    assert signature(keyword).call(raw, context) == (context, {"city": "rome"})
    assert signature(schema={"type": "object"}).call(UNSET, None) == {}
    assert signature(schema={"type": "object"}).call(Raw(b"null"), None) == {}


def test_all_wrong_arguments_are_named_at_once() -> None:
    with pytest.raises(InvalidArguments) as caught:
        signature().call(Raw(b'{"ctiy":"x","limit":11,"tags":["a",1]}'), None)
    assert caught.value.message == (
        'Invalid arguments: "limit" is greater than the maximum of 10 (got 11); "tags" at [1] is not of type "string" '
        '(got 1); "ctiy" is not a parameter (did you mean "city"?); "city" is required'
    )


def test_long_values_are_not_repeated() -> None:
    with pytest.raises(InvalidArguments) as caught:
        signature().call(Raw(b'{"city":"' + b"X" * 5000 + b'"}'), None)
    assert len(caught.value.message) < 200


def test_numbers_sent_as_strings_are_accepted() -> None:
    assert signature().call(Raw(b'{"city":"a","limit":"7"}'), None) == {"city": "a", "limit": 7}
    assert signature().parse({"city": "a", "limit": "7"}) == {"city": "a", "limit": 7}
    with pytest.raises(InvalidArguments, match="limit"):
        signature().call(Raw(b'{"city":"a","limit":"70"}'), None)


def test_deep_values_and_broken_text_are_refused() -> None:
    nested = b'{"limit":"x","tags":' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises(InvalidArguments):
        signature().call(Raw(nested), None)
    with pytest.raises(InvalidArguments, match="Unicode"):
        signature().parse({"city": "\ud800"})


@pytest.mark.parametrize("data", [b"[1]", b"{", b'{"city":"\\ud800"}', b"[" * 100_000, b'{"city":"\xff"}'])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArguments, match="Invalid arguments: they"):
        signature().call(Raw(data), None)


@pytest.mark.parametrize("reference", ["http://example.invalid/a", "https://example.invalid/a", "file:///etc/hostname"])
def test_nothing_is_fetched(reference: str) -> None:
    sentence = declared({"type": "object", "properties": {"a": {"$ref": reference}}})
    assert sentence.startswith("tool 'it': the input schema is not usable")
    assert "lies outside the schema" in sentence


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": "array"},
        {},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"type": "nothing"}}},
        {"type": "object", "properties": {"a": {"pattern": "(a)\\1"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
        {"type": "object", "properties": {"a": {"$ref": "other.json"}}},
    ],
)
def test_an_unusable_schema_is_refused_at_declaration(schema: dict[str, Any]) -> None:
    assert declared(schema).startswith("tool 'it': the input schema ")


def test_a_function_of_other_parameters_is_refused() -> None:
    def none() -> None: ...

    def two(a: dict[str, Any], b: dict[str, Any]) -> None: ...

    def other(a: int) -> None: ...

    for function in (none, two, other):
        assert "exactly one parameter of type dict" in declared(SCHEMA, function)


async def test_a_schema_that_refers_to_itself_cannot_be_made_to_explain_for_ever():
    node = {"$ref": "#/$defs/node"}
    pair = {
        "type": "object",
        "properties": {"l": node, "r": node},
        "required": ["l", "r"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {"tree": node},
        "required": ["tree"],
        "additionalProperties": False,
        "$defs": {"node": {"anyOf": [{"type": "number"}, pair, {**pair, "required": ["l"]}]}},
    }
    app = Server("t")

    @app.tool(input_schema=schema)
    async def measure(arguments: dict) -> str:
        return "measured"

    tree = "no number"
    for _ in range(40):
        tree = {"l": 1, "r": tree}
    async with Client(app) as client, asyncio.timeout(5):
        assert "do not fit" in (await client.call_tool("measure", {"tree": tree})).content[0].text
        assert "tree" in (await client.call_tool("measure", {})).content[0].text
        assert "other" in (await client.call_tool("measure", {"tree": 1, "other": 2})).content[0].text
        assert not (await client.call_tool("measure", {"tree": {"l": 1, "r": {"l": 2, "r": 3}}})).is_error


def test_arguments_that_would_take_too_long_to_check_are_refused_before() -> None:
    tool = signature(schema={"type": "object", "properties": {"ids": {"type": "array", "uniqueItems": True}}})
    few, many = ([2**63 + number for number in range(count)] for count in (100, 100_000))
    assert tool.call(Raw(json.dumps({"ids": few}).encode()), None) == {"ids": few}
    with pytest.raises(InvalidArguments, match="too large to be checked against the tool's input schema"):
        tool.call(Raw(json.dumps({"ids": many}).encode()), None)


def test_many_wrong_arguments_are_not_explained_one_by_one() -> None:
    tool = signature(schema={"type": "object", "properties": {"a": {"items": {"anyOf": [{"type": "null"}]}}}})
    with pytest.raises(InvalidArguments, match="do not fit the tool's input schema"):
        tool.call(Raw(json.dumps({"a": [1] * 200_000}).encode()), None)


async def test_a_client_cannot_hold_up_a_server_with_large_integers():
    app = Server("t")

    @app.tool(input_schema={"type": "object", "properties": {"ids": {"uniqueItems": True}}})
    async def count(arguments: dict) -> int:
        return len(arguments["ids"])

    async with Client(app) as client, asyncio.timeout(5):
        refused = await client.call_tool("count", {"ids": [2**62 + number for number in range(50_000)]})
        assert refused.meta["dev.bascule/error"]["code"] == "invalid_arguments"
        assert (await client.call_tool("count", {"ids": [1, 2**62, 3]})).structured_content == {"result": 3}
