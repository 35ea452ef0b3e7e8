"""What tools give back: held against their schemas, and made into types."""

from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from msgspec import Struct
from pydantic import BaseModel

from bascule import Client, MCPError, ToolError
from bascule.client import client as module
from bascule.client.connect import Openers
from bascule.runtime.caller import Caller
from tests.client.scripted import ScriptedStream, modern

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["city"],
}


class AStruct(Struct):
    city: str
    degrees: float = 0.0


@dataclass
class ADataclass:
    city: str
    degrees: float = 0.0


class ATypedDict(TypedDict):
    city: str


class AModel(BaseModel):
    city: str
    degrees: float = 0.0


def result(structured: Any = None, text: str = "", **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    return {"content": content, **({} if structured is None else {"structuredContent": structured}), **more}


async def called(
    monkeypatch: pytest.MonkeyPatch, given: Any, *, schema: Any = None, listed: bool = True, into: Any = None
) -> Any:
    """What a call gives whose server answers with `given`, and has listed the tool with `schema`."""
    tool = {"name": "x", "inputSchema": {"type": "object"}, **({} if schema is None else {"outputSchema": schema})}
    stream = ScriptedStream(modern({"tools/list": {"tools": [tool]}, "tools/call": given}))
    monkeypatch.setattr(module, "opener", lambda *_, **__: Openers(lambda inbox: Caller(stream, inbox)))
    async with Client("anything") as client:
        if listed:
            await client.list_tools()
        return await client.call_tool("x", into=into)


async def test_a_result_that_fits_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await called(monkeypatch, result({"city": "Ulm"}), schema=SCHEMA)
    assert found.structured_content == {"city": "Ulm"}


@pytest.mark.parametrize("given", [result({"city": 5}), result({"degrees": 1}), result(text="no structure")])
async def test_a_result_that_breaks_the_tools_promise_is_an_error(monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    with pytest.raises(MCPError, match="'x'"):
        await called(monkeypatch, given, schema=SCHEMA)
    await called(monkeypatch, given, schema=SCHEMA, listed=False)  # what is not known is not checked
    await called(monkeypatch, {**given, "isError": True}, schema=SCHEMA)  # a failure promises nothing


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"type": "object", "$schema": "http://example.com/own-dialect"},
        {"$ref": "#"},
        {"type": 5},
    ],
)
async def test_a_schema_that_cannot_be_used_checks_nothing_and_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, schema: Any
) -> None:
    assert await called(monkeypatch, result({"a": 1}), schema=schema)
    assert "results are not checked" in caplog.text


async def test_a_root_that_is_no_object_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await called(monkeypatch, result([1, 2]), schema={"type": "array"})).structured_content == [1, 2]
    with pytest.raises(MCPError):
        await called(monkeypatch, result({"a": 1}), schema={"type": "array"})


@pytest.mark.parametrize("kind", [AStruct, ADataclass, AModel])
async def test_a_result_becomes_a_type(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    made = await called(monkeypatch, result({"city": "Ulm", "degrees": 3.5}), into=kind)
    assert made == kind(city="Ulm", degrees=3.5)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (ATypedDict, result({"city": "Ulm"}), {"city": "Ulm"}),
        (int, result({"result": 7}), 7),
        (list[int], result({"result": [1, 2]}), [1, 2]),
        (dict[str, int], result({"result": 7}), {"result": 7}),
        (str, result(text="just text"), "just text"),
        (list[int], result(text="[1, 2]"), [1, 2]),
    ],
)
async def test_single_values_and_older_servers(
    monkeypatch: pytest.MonkeyPatch, kind: Any, given: Any, value: Any
) -> None:
    assert await called(monkeypatch, given, into=kind) == value


@pytest.mark.parametrize("given", [result({"city": 5}), result({"town": "Ulm"}), result(), result(text="no JSON")])
@pytest.mark.parametrize("kind", [AStruct, AModel])
async def test_what_does_not_fit_a_type_is_an_error(monkeypatch: pytest.MonkeyPatch, given: Any, kind: Any) -> None:
    with pytest.raises(MCPError, match="'x'"):
        await called(monkeypatch, given, into=kind)


async def test_a_failure_is_raised_where_a_type_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolError, match="the lake is frozen"):
        await called(monkeypatch, result(text="the lake is frozen", isError=True), into=AStruct)
