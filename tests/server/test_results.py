"""Results: what a function returns, as a tool's result, a resource's contents or a prompt's messages."""

import dataclasses
import datetime
import decimal
import enum
import inspect
import json
import pathlib
import uuid
from typing import Annotated, Any, Optional, TypedDict

import jsonschema_rs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct

from bascule.errors import DeclarationError
from bascule.server import results
from bascule.server.results import output_of, prompt_messages, prompt_result, resource_contents, resource_result
from bascule.wire import jsonrpc
from bascule.wire.content import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from bascule.wire.prompts import GetPromptResult, PromptMessage
from bascule.wire.resources import ReadResourceResult
from bascule.wire.tools import CallToolResult

EMPTY = inspect.Signature.empty


class Colour(enum.Enum):
    RED = "red"


class Row(Struct):
    name: str
    parent: Optional["Row"] = None


@dataclasses.dataclass
class Point:
    x: int


@dataclasses.dataclass
class Line:
    length: float


class Movie(TypedDict):
    title: str


class User(pydantic.BaseModel):
    name: str = pydantic.Field(alias="userName")
    home: pathlib.PurePosixPath = pathlib.PurePosixPath("home")


def sent(annotation: Any, value: Any) -> dict[str, Any]:
    """The result as it goes over the wire, checked against its own output schema."""
    output = output_of(annotation, what="tool 'it'")
    found: dict[str, Any] = json.loads(jsonrpc.encode(output.render(value)))
    if output.schema is not None:
        assert output.schema["type"] == "object"
        jsonschema_rs.meta.validate(output.schema)
        jsonschema_rs.validator_for(output.schema).validate(found["structuredContent"])
    return found


def texts(result: dict[str, Any]) -> list[str]:
    return [block["text"] for block in result["content"]]


@pytest.mark.parametrize(
    ("annotation", "value", "text", "structured"),
    [
        (int, 3, "3", 3),
        (float, 1.5, "1.5", 1.5),
        (float, 2, "2", 2),
        (bool, True, "true", True),
        (str, 'say "hi"', 'say "hi"', 'say "hi"'),
        (str, "", "", ""),
        (list[int], [1, 2], "[1,2]", [1, 2]),
        (tuple[int, str], (1, "a"), '[1,"a"]', [1, "a"]),
        (set[int], {1}, "[1]", [1]),
        (list[Point], [Point(1)], '[{"x":1}]', [{"x": 1}]),
        (int | None, 3, "3", 3),
        (Colour, Colour.RED, '"red"', "red"),
        (decimal.Decimal, decimal.Decimal("1.50"), '"1.50"', "1.50"),
        (datetime.date, datetime.date(2026, 1, 31), '"2026-01-31"', "2026-01-31"),
        (pathlib.Path, pathlib.Path("a/b"), '"a/b"', "a/b"),
        (list[User], [User(userName="A")], '[{"userName":"A","home":"home"}]', [{"userName": "A", "home": "home"}]),
        (Point | Line, Line(2.0), '{"length":2.0}', {"length": 2.0}),
        (dict[str, int] | None, {"a": 1}, '{"a":1}', {"a": 1}),
        (int, 2**80, str(2**80), 2**80),
    ],
)
def test_values_that_are_no_objects_are_wrapped(annotation: Any, value: Any, text: str, structured: Any) -> None:
    found = sent(annotation, value)
    assert texts(found) == [text]
    assert found["structuredContent"] == {"result": structured}


@pytest.mark.parametrize(
    ("annotation", "value", "structured"),
    [
        (dict[str, int], {"a": 1}, {"a": 1}),
        (dict[int, int], {1: 1}, {"1": 1}),
        (dict, {"a": [None]}, {"a": [None]}),
        (Row, Row("a", Row("b")), {"name": "a", "parent": {"name": "b", "parent": None}}),
        (Point, Point(1), {"x": 1}),
        (Annotated[Point, "A point"], Point(1), {"x": 1}),
        (Movie, {"title": "M"}, {"title": "M"}),
        (User, User(userName="A"), {"userName": "A", "home": "home"}),
    ],
)
def test_objects_are_the_structured_content_themselves(annotation: Any, value: Any, structured: Any) -> None:
    found = sent(annotation, value)
    assert found["structuredContent"] == structured
    assert json.loads(texts(found)[0]) == structured


def test_schemas_have_an_object_at_their_root() -> None:
    assert output_of(int, what="").schema == {
        "type": "object",
        "properties": {"result": {"type": "integer"}},
        "required": ["result"],
    }
    found = output_of(Row, what="").schema
    assert found is not None
    assert found["type"] == "object"
    assert found["properties"]["parent"]["anyOf"][0] == {"$ref": "#/$defs/Row"}
    assert set(found["$defs"]) == {"Row"}


@pytest.mark.parametrize(
    "annotation", [EMPTY, Any, None, object, list, list[Any], bytes, TextContent, list[str | ImageContent]]
)
def test_what_is_not_known_or_not_structured_has_no_schema(annotation: Any) -> None:
    assert output_of(annotation, what="").schema is None


@pytest.mark.parametrize(
    ("value", "text", "structured"),
    [
        ("a", "a", UNSET),
        (3, "3", UNSET),
        ([1, "a"], '[1,"a"]', UNSET),
        ({"a": 1}, '{"a":1}', {"a": 1}),
        (Point(1), '{"x":1}', {"x": 1}),
        (Row("a"), '{"name":"a","parent":null}', {"name": "a", "parent": None}),
        (User(userName="A"), '{"userName":"A","home":"home"}', {"userName": "A", "home": "home"}),
    ],
)
def test_without_annotation_objects_are_structured_all_the_same(value: Any, text: str, structured: Any) -> None:
    found = sent(EMPTY, value)
    assert texts(found) == [text]
    assert found.get("structuredContent", UNSET) == structured


def test_none_is_empty() -> None:
    assert sent(None, None)["content"] == []
    assert sent(EMPTY, None)["content"] == []
    assert sent(int | None, None) == {"content": [], "structuredContent": {"result": None}}


def test_results_and_blocks_are_passed_through() -> None:
    result = CallToolResult(content=[], is_error=True)
    link = ResourceLink("file:///a", "a")
    for annotation in (EMPTY, int, dict):
        assert output_of(annotation, what="").render(result) == result
    assert output_of(EMPTY, what="").render(link) == CallToolResult(content=[link])
    contents = ResourceContents("a:b", text="x")
    assert output_of(EMPTY, what="").render(contents).content == [EmbeddedResource(contents)]


def test_lists_may_mix_blocks_and_values() -> None:
    picture = results.image(b"png")
    found = output_of(list[Any], what="").render(["a", picture, None, {"b": 1}, b"raw"])
    assert found.structured_content is UNSET
    assert found.content[:3] == [TextContent("a"), ImageContent("cG5n", "image/png"), TextContent('{"b":1}')]
    assert found.content[3] == EmbeddedResource(
        ResourceContents("urn:bascule:result", "application/octet-stream", blob="cmF3")
    )


def test_binary_becomes_base64() -> None:
    assert results.audio(b"wav") == AudioContent("d2F2", "audio/wav")
    assert output_of(bytes, what="").render(b"raw").content == [
        EmbeddedResource(ResourceContents("urn:bascule:result", "application/octet-stream", blob="cmF3"))
    ]
    with pytest.raises(TypeError, match="expected bytes, got str"):
        results.image("text")  # type: ignore[arg-type]


def test_a_value_is_encoded_once() -> None:
    found = output_of(dict[str, int], what="").render({"a": 1})
    assert isinstance(found.structured_content, Raw)
    assert bytes(found.structured_content) == b'{"a":1}'


def test_values_that_json_cannot_say_are_mended_or_refused() -> None:
    assert sent(EMPTY, {"a": float("nan"), "b": "\ud800", "c": uuid.UUID(int=1)})["structuredContent"] == {
        "a": None,
        "b": "\ufffd",
        "c": "00000000-0000-0000-0000-000000000001",
    }
    assert sent(str, "a\ud800")["structuredContent"] == {"result": "a\ufffd"}
    for value in (float("nan"), float("inf")):
        with pytest.raises(TypeError, match="no number"):
            output_of(float, what="").render(value)
    loop: list[Any] = []
    loop.append(loop)
    for value in (object(), {(1, 2): 3}, loop, {"a": print}):
        with pytest.raises(TypeError, match=r"tool 'it' returned a .* that cannot be written as JSON"):
            output_of(dict, what="tool 'it'").render(value)


@pytest.mark.parametrize(
    ("annotation", "value"), [(int, "a"), (str, 1), (dict, [1]), (Point, 3), (list[int], {}), (int, None)]
)
def test_a_value_of_another_kind_than_declared_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"tool 'it' returned a .* which its return annotation does not allow"):
        output_of(annotation, what="tool 'it'").render(value)


def test_an_unsupported_return_annotation_is_named_at_declaration() -> None:
    with pytest.raises(DeclarationError, match=r"tool 'it': the return annotation .*complex.* is not supported"):
        output_of(complex, what="tool 'it'")


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5)
    )
)
def test_any_dict_survives_the_wire(value: dict[str, Any]) -> None:
    found = sent(dict[str, Any], value)
    assert json.loads(texts(found)[0]) == found["structuredContent"]


def test_resources_are_text_bytes_or_json() -> None:
    assert resource_contents("a", "x:y", None) == [ResourceContents("x:y", "text/plain", text="a")]
    assert resource_contents(b"a", "x:y", None) == [ResourceContents("x:y", "application/octet-stream", blob="YQ==")]
    assert resource_contents([1], "x:y", None) == [ResourceContents("x:y", "application/json", text="[1]")]
    assert resource_contents(Point(1), "x:y", "text/x") == [ResourceContents("x:y", "text/x", text='{"x":1}')]
    given_contents = [ResourceContents("a:b", text="x"), ResourceContents("a:c", text="y")]
    assert resource_contents(given_contents, "x:y", None) == given_contents
    assert resource_contents(given_contents[0], "x:y", None) == given_contents[:1]
    with pytest.raises(TypeError, match="mixes"):
        resource_contents([given_contents[0], "a"], "x:y", None)
    with pytest.raises(TypeError, match="the resource x:y returned a object that cannot"):
        resource_contents(object(), "x:y", None)


def test_prompts_are_messages() -> None:
    said = PromptMessage("assistant", TextContent("Hello"))
    assert prompt_messages("Hi") == [PromptMessage("user", TextContent("Hi"))]
    assert prompt_messages(said) == [said]
    picture = results.image(b"")
    assert prompt_messages(("Hi", said, picture)) == [
        PromptMessage("user", TextContent("Hi")),
        said,
        PromptMessage("user", picture),
    ]
    for wrong in ({"role": "user"}, 3, [("user", "Hi")], None):
        with pytest.raises(TypeError, match=r"return a str, a content block, a PromptMessage\(role, content\)"):
            prompt_messages(wrong)


def test_a_whole_result_of_a_prompt_is_kept_and_its_messages_are_read_as_ever() -> None:
    given = GetPromptResult(messages=["a"], description="d", meta={"com.example/a": 1})  # type: ignore[list-item]
    found = prompt_result(given)
    assert found is not given, "an era writes its own marks on the result"
    assert (found.messages, found.description, found.meta) == (prompt_messages("a"), "d", {"com.example/a": 1})
    with pytest.raises(TypeError, match="GetPromptResult"):
        prompt_result(GetPromptResult(messages=[5]))  # type: ignore[list-item]


def test_a_whole_result_of_a_resource_is_kept() -> None:
    given = ReadResourceResult(contents=[ResourceContents("a://b", text="c")], ttl_ms=5, meta={"com.example/a": 1})
    found = resource_result(given, "a://b", None)
    assert found == given
    assert found is not given, "an era writes its own marks on the result"
    with pytest.raises(TypeError, match="not ResourceContents"):
        resource_result(ReadResourceResult(contents=["c"]), "a://b", None)  # type: ignore[list-item]
