"""Parameters that a header repeats: what may be declared, and what a request must say twice."""

import json
import socket
from base64 import b64encode
from typing import Annotated

import httpx2
import pytest
from msgspec import Meta

from bascule import Client, MCPError, Server
from tests.messages import headers, initialize, legacy, request
from tests.serving import serving


def mirrored(name):
    return Meta(extra_json_schema={"x-mcp-header": name})


@pytest.fixture(scope="module")
def served():
    app = Server("t")

    @app.tool
    async def plain(
        region: Annotated[str, mirrored("Region")] = "",
        count: Annotated[int, mirrored("Count")] = 0,
        dry: Annotated[bool, mirrored("Dry-Run")] = False,
    ) -> str:
        return f"{region} {count} {dry}"

    nested = {"properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}, "type": "object"}

    @app.tool(input_schema={"type": "object", "properties": {"where": nested}})
    async def deep(arguments: dict) -> str:
        return str(arguments)

    with serving(app) as running, httpx2.Client(timeout=10) as http:
        yield running, http, app


def call(served, arguments, extra, tool="plain"):
    running, http, _ = served
    message = request("tools/call", {"name": tool, "arguments": arguments})
    return http.post(running.url, json=message, headers={**headers(message), **extra})


def encoded(text):
    return f"=?base64?{b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ({}, {}),
        ({"region": "eu"}, {"Mcp-Param-Region": "eu"}),
        ({"region": "eu"}, {"mcp-param-REGION": "eu"}),
        ({"region": "Zürich "}, {"Mcp-Param-Region": encoded("Zürich ")}),
        ({"region": ""}, {"Mcp-Param-Region": ""}),
        ({"region": "=?base64?x"}, {"Mcp-Param-Region": "=?base64?x"}),
        ({"count": 42, "dry": True}, {"Mcp-Param-Count": "42.0", "Mcp-Param-Dry-Run": "true"}),
        ({"count": -7}, {"Mcp-Param-Count": "-7"}),
        ({"region": None}, {}),
        ({"count": 2**53 - 1}, {"Mcp-Param-Count": str(2**53 - 1)}),
    ],
)
def test_what_is_said_twice_alike_is_served(served, arguments, extra):
    answer = call(served, arguments, extra)
    assert answer.status_code == 200, answer.text
    assert "error" not in answer.json()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"Mcp-Param-Region": "us"}),
        ({"region": "eu"}, {"Mcp-Param-Region": "EU"}),
        ({"region": "eu"}, {"Mcp-Param-Region": "=?base64?ZXU?="}),
        ({"region": "eu"}, {"Mcp-Param-Region": "=?base64?Z!XU=?="}),
        ({"region": "Zürich"}, {"Mcp-Param-Region": "Zürich".encode()}),
        ({"region": "Zürich"}, {"Mcp-Param-Region": "Zürich".encode("latin-1")}),
        ({}, {"Mcp-Param-Region": "eu"}),
        ({"region": None}, {"Mcp-Param-Region": "null"}),
        ({"count": 42}, {"Mcp-Param-Count": "43"}),
        ({"count": 42}, {"Mcp-Param-Count": "4_2"}),
        ({"count": 42}, {"Mcp-Param-Count": "0x2a"}),
        ({"count": 1}, {"Mcp-Param-Count": "1" + "0" * 100}),
        ({"dry": True}, {"Mcp-Param-Dry-Run": "True"}),
        ({"dry": True}, {"Mcp-Param-Dry-Run": "1"}),
    ],
)
def test_what_differs_is_refused_before_the_tool_runs(served, arguments, extra):
    answer = call(served, arguments, extra)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == -32020


@pytest.mark.parametrize("count", [2**53, 2**53 + 1, -(2**53)])
def test_an_integer_that_a_double_cannot_hold_is_not_mirrored(served, count):
    answer = call(served, {"count": count}, {"Mcp-Param-Count": str(count)})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32020


@pytest.mark.parametrize("character", [b"\x00", b"\x01", b"\r", b"\x7f"])
def test_a_control_character_in_a_header_is_refused(served, character):
    running, _, _ = served
    text = b"eu" + character + b"x"
    message = request("tools/call", {"name": "plain", "arguments": {"region": text.decode()}})
    body = json.dumps(message).encode()
    lines = [b"POST /mcp HTTP/1.1", b"Host: localhost", b"Connection: close", b"Content-Length: %d" % len(body)]
    lines += [f"{name}: {value}".encode() for name, value in headers(message).items()]
    with socket.create_connection(running.address, timeout=10) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Mcp-Param-Region: " + text]) + b"\r\n\r\n" + body)
        assert connection.makefile("rb").readline().split()[1] == b"400"


def test_a_value_deep_inside_is_found(served):
    assert call(served, {"where": {"zone": "a"}}, {"Mcp-Param-Zone": "a"}, "deep").status_code == 200
    assert call(served, {"where": {"zone": "a"}}, {}, "deep").status_code == 400
    assert call(served, {"where": "a"}, {}, "deep").status_code == 200, "the schema refuses it, not the header"


async def test_other_transports_and_the_older_era_need_no_headers(served):
    running, http, app = served
    async with Client(app) as client:
        assert not (await client.call_tool("plain", {"region": "eu"})).is_error
    accept = {"accept": "application/json, text/event-stream"}
    session = http.post(running.url, json=initialize(), headers=accept).headers["mcp-session-id"]
    message = legacy("tools/call", {"name": "plain", "arguments": {"region": "eu"}})
    answer = http.post(running.url, json=message, headers={**accept, "mcp-session-id": session})
    assert "error" not in answer.json()


@pytest.mark.parametrize(
    "form",
    [
        {"type": "string", "x-mcp-header": ""},
        {"type": "string", "x-mcp-header": "a b"},
        {"type": "string", "x-mcp-header": "a:"},
        {"type": "string", "x-mcp-header": "ä"},
        {"type": "string", "x-mcp-header": "a\r\nx"},
        {"type": "string", "x-mcp-header": 5},
        {"type": "number", "x-mcp-header": "A"},
        {"type": "object", "x-mcp-header": "A"},
        {"type": "array", "x-mcp-header": "A"},
        {"type": ["string", "null"], "x-mcp-header": "A"},
        {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}},
        {"anyOf": [{"type": "string", "x-mcp-header": "A"}]},
        {"oneOf": [{"type": "string", "x-mcp-header": "A"}]},
        {"allOf": [{"type": "string", "x-mcp-header": "A"}]},
        {"not": {"type": "string", "x-mcp-header": "A"}},
        {"if": {"type": "string", "x-mcp-header": "A"}},
        {"then": {"type": "string", "x-mcp-header": "A"}},
        {"else": {"type": "string", "x-mcp-header": "A"}},
        {"type": "array", "prefixItems": [{"type": "string", "x-mcp-header": "A"}]},
        {"type": "object", "additionalProperties": {"type": "string", "x-mcp-header": "A"}},
        {"$ref": "#/properties/p/$defs/f", "$defs": {"f": {"type": "string", "x-mcp-header": "A"}}},
        {"type": "string", "x-mcp-header": "Other"},
    ],
)
def test_what_cannot_be_mirrored_is_refused_at_declaration(form):
    app = Server("t")
    schema = {"type": "object", "properties": {"p": form, "q": {"type": "string", "x-mcp-header": "other"}}}
    with pytest.raises(TypeError, match="x-mcp-header|mirrored"):
        app.tool(input_schema=schema, name="bad")(lambda arguments: "")


@pytest.mark.parametrize("count", [2**53, -(2**53), 2**80, 1e300])
def test_a_number_that_others_would_round_is_refused_however_it_is_repeated(served, count):
    for extra in ({}, {"Mcp-Param-Count": str(count)}):
        answer = call(served, {"count": count}, extra)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == -32020
        assert "9007199254740991" in answer.json()["error"]["message"]


@pytest.mark.parametrize("count", [2**53 - 1, -(2**53) + 1])
def test_the_largest_numbers_that_nobody_rounds_are_served(served, count):
    assert "error" not in call(served, {"count": count}, {"Mcp-Param-Count": str(count)}).json()


ARGUMENTS = [
    {},
    {"region": "eu"},
    {"region": "Zürich ", "count": -7, "dry": True},
    {"region": "=?base64?ZXU=?=", "count": 2**53 - 1, "dry": False},
    {"region": "a\r\nb", "count": 42.0},
    {"region": ""},
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("listed", [True, False])
async def test_our_client_repeats_what_a_tool_wants_repeated(served, arguments, listed):
    async with Client(served[0].url) as client:
        if listed:
            await client.list_tools()
        result = await client.call_tool("plain", arguments)
        assert not result.is_error
        given = {"region": "", "count": 0, "dry": False, **arguments}
        assert result.structured_content == {"result": f"{given['region']} {int(given['count'])} {given['dry']}"}
        assert not (await client.call_tool("deep", {"where": {"zone": "ä"}})).is_error


@pytest.mark.parametrize("count", [2**53, -(2**53), 2**80, 9007199254740994.0])
async def test_our_client_sends_no_number_that_others_would_round(served, count):
    async with Client(served[0].url) as client:
        await client.list_tools()
        with pytest.raises(MCPError, match="'count'.*9007199254740991") as refused:
            await client.call_tool("plain", {"count": count})
    assert refused.value.code == -32602
