"""Output schemas that were given: served verbatim, checked at declaration, and kept by every structured result."""

import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import UNSET, Raw

from bascule import CallToolResult, Client, Server, TextContent, ToolError
from bascule.errors import DeclarationError
from bascule.server.raw_output import raw_output

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
    "required": ["rows"],
    "additionalProperties": False,
}
GOOD = {"rows": [{"n": 1}]}
SECRET = "hunter2"
WRONG: list[tuple[Any, str]] = [
    ({"rows": [{"n": 1}, {"n": SECRET}]}, "/rows/1/n (type)"),
    ({}, "its root (required)"),
    ({"rows": [], SECRET: SECRET}, "its root (additionalProperties)"),
    ([SECRET], "its root (type)"),
    (SECRET, "its root (type)"),
    (None, "its root (type)"),
]


def render(value: Any, schema: dict[str, Any] = SCHEMA) -> CallToolResult:
    return raw_output(schema, what="tool 'it'").render(value)


def structured(result: CallToolResult) -> Any:
    return json.loads(bytes(result.structured_content))


def failed(value: Any, schema: dict[str, Any] = SCHEMA) -> str:
    with pytest.raises(TypeError) as caught:
        render(value, schema)
    said = str(caught.value)
    assert said.startswith("tool 'it' returned ")
    assert SECRET not in said
    return said


@dataclass
class Table:
    rows: list[dict[str, int]]


def test_what_fits_is_text_and_structured_content() -> None:
    for value in (GOOD, Table([{"n": 1}])):
        result = render(value)
        assert structured(result) == GOOD
        assert json.loads(result.content[0].text) == GOOD
    assert raw_output(SCHEMA, what="").schema is SCHEMA


@pytest.mark.parametrize(("value", "place"), WRONG)
def test_what_does_not_fit_is_named_by_its_place_and_never_shown(value: Any, place: str) -> None:
    assert failed(value) == f"tool 'it' returned a result that does not fit its output schema: {place}"
    built = CallToolResult(content=[TextContent("x")], structured_content=value)
    assert failed(built).endswith(place)


def test_a_result_that_the_function_built_is_held_to_the_schema_too() -> None:
    for content in (GOOD, Raw(b'{"rows":[{"n":1}]}'), Table([{"n": 1}])):
        given = CallToolResult(content=[TextContent("one")], structured_content=content)
        result = render(given)
        assert result.content == [TextContent("one")]
        assert structured(result) == GOOD
        assert result is not given
        assert given.structured_content is content
    assert "without structured content" in failed(CallToolResult(content=[TextContent(SECRET)]))
    assert "cannot be checked" in failed(CallToolResult(content=[], structured_content=Raw(b'{"rows": hunter2')))


def test_results_that_report_an_error_are_not_held_to_it() -> None:
    for content in (UNSET, {"reason": "none"}, None):
        given = CallToolResult(content=[TextContent("no")], structured_content=content, is_error=True)
        result = render(given)
        assert (result.structured_content, result.is_error) == (content, True)
        assert result is not given


def test_what_cannot_be_written_or_takes_too_long_fails_too() -> None:
    assert "cannot be written as JSON" in failed({"rows": object()})
    unique = {"type": "object", "properties": {"v": {"uniqueItems": True}}}
    assert "too large a result to check" in failed({"v": [2**63 - n for n in range(50_000)]}, unique)
    assert "cannot be checked" in failed({"rows": [], "n": Raw(b"9" * 5000)})


def test_a_deep_result_does_not_reach_a_recursive_schema() -> None:
    # The validator's stack grows by a chain of conditions at every level, and where it ends, so does the process.
    chain = {f"d{n}": {"if": {"not": {"not": {"$ref": f"#/$defs/d{n + 1}"}}}, "else": False} for n in range(40)}
    schema = {
        "type": "object",
        "$ref": "#/$defs/d0",
        "$defs": {**chain, "d40": {"properties": {"a": {"$ref": "#/$defs/d0"}}}},
    }
    deep: dict[str, Any] = {}
    for _ in range(127):
        deep = {"a": deep}
    assert structured(render(deep, schema)) == deep
    assert "nests deeper than 128 levels" in failed({"a": deep}, schema)
    assert structured(render({"a": deep}, {"type": "object"})) == {"a": deep}


def test_where_a_recursive_schema_fails_is_not_searched_for() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "n": {"type": "integer"}}}
    assert failed({"left": {"n": SECRET}}, tree).endswith("does not fit its output schema")


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({}, '"type" is "object"'),
        ({"type": "array"}, '"type" is "object"'),
        ({"type": ["object", "null"]}, '"type" is "object"'),
        ([], '"type" is "object"'),
        ({"type": "object", "properties": {"a": {"type": "nothing"}}}, "not usable"),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.invalid/a"}}}, "lies outside the schema"),
        ({"type": "object", "$schema": "https://example.invalid/dialect"}, "not supported"),
        ({"type": "object", "$ref": "#"}, "no check would end"),
    ],
)
def test_an_unusable_output_schema_is_refused_at_declaration(schema: Any, complaint: str) -> None:
    app = Server("t")
    with pytest.raises(DeclarationError) as caught:

        @app.tool(output_schema=schema)
        async def it() -> dict:
            return {}

    assert str(caught.value).startswith("tool 'it': the output schema ")
    assert complaint in str(caught.value)
    assert app.facts.capabilities.tools is None


@pytest.fixture
def app() -> Server:
    app = Server("t")

    @app.tool(output_schema=SCHEMA)
    async def table(kind: str) -> Any:
        if kind == "error":
            raise ToolError("There is no table")
        if kind == "reported":
            return CallToolResult(content=[TextContent("none")], is_error=True)
        if kind == "built":
            return CallToolResult(content=[], structured_content={"rows": SECRET})
        return GOOD if kind == "good" else {"rows": [{"n": SECRET}]}

    @app.tool(output_schema=SCHEMA, task="optional")
    def slowly(kind: str) -> Any:
        return GOOD if kind == "good" else {"rows": [{"n": SECRET}]}

    return app


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_clients_see_the_schema_and_results_that_fit_it(app: Server, era: str) -> None:
    async with Client(app, era=era) as client:
        assert [tool.output_schema for tool in await client.list_tools()] == [SCHEMA, SCHEMA]
        for name in ("table", "slowly"):
            result = await client.call_tool(name, {"kind": "good"})
            assert (result.structured_content, result.is_error) == (GOOD, False)


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize(("name", "kind"), [("table", "wrong"), ("table", "built"), ("slowly", "wrong")])
async def test_a_result_that_does_not_fit_is_the_servers_fault(
    app: Server, era: str, name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with Client(app, era=era) as client:
            result = await client.call_tool(name, {"kind": kind})
    told = result.meta["dev.bascule/error"]
    assert result.is_error
    assert result.structured_content is None
    assert told["code"] == "internal"
    assert told["reference"] in caplog.text
    assert SECRET not in str(result)
    assert f"tool '{name}' returned a result that does not fit its output schema: /rows" in caplog.text
    assert SECRET not in caplog.text


async def test_errors_reach_the_model_as_they_are(app: Server) -> None:
    async with Client(app) as client:
        assert (await client.call_tool("table", {"kind": "error"})).content[0].text == "There is no table"
        assert (await client.call_tool("table", {"kind": "reported"})).content[0].text == "none"
