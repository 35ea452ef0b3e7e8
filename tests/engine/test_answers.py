"""Answers become the structs of their methods and the exceptions of their codes."""

import math
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw

from bascule.engine.answers import decode_result, received
from bascule.errors import HeaderMismatch, MCPError, MissingCapability, ResourceNotFound, UnsupportedVersion
from bascule.wire.jsonrpc import ErrorObject
from bascule.wire.tools import CallToolResult


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def test_a_result_is_the_struct_of_its_method() -> None:
    result = decode_result("tools/call", raw({"content": [], "isError": True, "unknown": 1}))
    assert result == CallToolResult([], is_error=True)


def test_the_result_of_an_unknown_method_is_plain() -> None:
    assert decode_result("x/y", raw({"a": None})) == {"a": None}


def test_a_page_ends_with_a_missing_or_null_cursor_and_not_with_an_empty_one() -> None:
    pages = [
        decode_result("prompts/list", raw({"prompts": [], **more}))
        for more in ({}, {"nextCursor": None}, {"nextCursor": ""})
    ]
    assert [page.next_cursor for page in pages] == [None, None, ""]


def test_nulls_count_as_nothing_except_in_what_is_not_ours() -> None:
    schema = {"type": "object", "default": None}
    page = decode_result(
        "tools/list", raw({"tools": [{"name": "a", "inputSchema": schema, "title": None}], "_meta": None})
    )
    assert page.tools[0].input_schema == schema
    result = decode_result("tools/call", raw({"content": [], "isError": None, "structuredContent": None}))
    assert (result.structured_content, result.is_error) == (None, False)


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"content": 1}, {"content": [{"type": "?"}]}])
def test_a_malformed_result_is_an_error_that_names_the_method(value: Any) -> None:
    with pytest.raises(MCPError, match="result of tools/call is malformed"):
        decode_result("tools/call", raw(value))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-32020, HeaderMismatch),
        (-32021, MissingCapability),
        (-32022, UnsupportedVersion),
        (-32002, ResourceNotFound),
        (5, MCPError),
    ],
)
def test_every_code_has_its_exception(code: int, kind: type[MCPError]) -> None:
    error = received(ErrorObject(code, "sentence", {"a": 1}), 400)
    assert type(error) is kind
    assert (error.code, error.message, str(error), error.data, error.status) == (
        code,
        "sentence",
        "sentence",
        {"a": 1},
        400,
    )


@pytest.mark.parametrize(
    ("data", "wait"),
    [
        ({"code": "overloaded", "retryAfter": 1.5}, 1.5),
        ({"retryAfter": 0}, 0.0),
        ({"retryAfter": -1}, None),
        ({"retryAfter": 10**400}, None),
        ({"retryAfter": math.inf}, None),
        ({"retryAfter": math.nan}, None),
        ({"retryAfter": "5"}, None),
        ({"retryAfter": None}, None),
        ([1], None),
        (None, None),
        (UNSET, None),
    ],
)
def test_an_error_says_when_to_try_again_where_that_is_a_time(data: Any, wait: float | None) -> None:
    assert received(ErrorObject(503, "busy", data)).retry_after == wait
