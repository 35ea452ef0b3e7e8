"""What tools, resources, prompts, their caching hints and log messages must be, in the stateless era."""

from base64 import b64decode

import httpx2
import jsonschema_rs
import pytest

from bascule import Client, DeclarationError, Server
from tests.messages import META, PREFIX
from tests.requirements.conftest import Door
from tests.serving import serving

LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}


def lists_of(door):
    return {key: door.ask(method).json()["result"][key] for key, method in LISTS.items()}


def test_what_a_server_offers_is_declared_and_listed(door):
    declared = door.ask("server/discover").json()["result"]["capabilities"]
    assert {"tools", "prompts", "resources", "logging"} <= set(declared)
    listed = lists_of(door)
    assert {tool["name"] for tool in listed["tools"]} == {"add", "speak", "blocks", "fails"}
    assert [prompt["name"] for prompt in listed["prompts"]] == ["brief"]
    assert [resource["uri"] for resource in listed["resources"]] == ["cfg://a"]
    assert [template["uriTemplate"] for template in listed["resourceTemplates"]] == ["row://{id}"]


def test_lists_are_the_same_on_every_connection_and_after_any_request(door):
    before = lists_of(door)
    door.call("add", {"a": 1, "b": 2})
    door.call("nobody")
    door.ask("resources/read", {"uri": "row://1"})
    with httpx2.Client(timeout=10) as other:
        assert lists_of(Door(door.url, other)) == before
    assert lists_of(door) == before


def test_the_schema_of_every_tool_is_an_object(door):
    for tool in door.ask("tools/list").json()["result"]["tools"]:
        assert tool["inputSchema"]["type"] == "object"
        jsonschema_rs.meta.validate(tool["inputSchema"])


def test_structured_results_conform_to_their_schema(door):
    tools = {tool["name"]: tool for tool in door.ask("tools/list").json()["result"]["tools"]}
    for name, arguments in {"add": {"a": 1, "b": 2}, "speak": {}}.items():
        result = door.call(name, arguments).json()["result"]
        assert jsonschema_rs.is_valid(tools[name]["outputSchema"], result["structuredContent"])


async def test_schemas_without_a_dialect_are_2020_12():
    app = Server("t")
    pair = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False}

    @app.tool(input_schema={"type": "object", "properties": {"pair": pair}})
    async def take(arguments: dict) -> str:
        return "taken"

    async with Client(app) as client:
        assert not (await client.call_tool("take", {"pair": [1, "x"]})).is_error
        for wrong in (["x", 1], [1, "x", 2]):
            assert (await client.call_tool("take", {"pair": wrong})).is_error


def test_a_dialect_that_is_not_supported_is_refused_by_its_name():
    schema = {"$schema": "https://example.invalid/dialect", "type": "object"}
    with pytest.raises(DeclarationError, match=r"example\.invalid/dialect"):

        @Server("t").tool(input_schema=schema)
        async def take(arguments: dict) -> str:
            return "taken"


def test_binary_blocks_are_base64_with_a_mime_type(door):
    image, audio, _ = door.call("blocks").json()["result"]["content"]
    assert (image["type"], image["mimeType"], b64decode(image["data"], validate=True)) == (
        "image",
        "image/png",
        b"\x00\x01",
    )
    assert (audio["type"], audio["mimeType"], b64decode(audio["data"], validate=True)) == (
        "audio",
        "audio/wav",
        b"\x00\x01",
    )


def test_embedded_resources_have_uri_type_and_content(door):
    embedded = door.call("blocks").json()["result"]["content"][2]
    assert embedded == {
        "type": "resource",
        "resource": {"uri": "cfg://a", "mimeType": "text/plain", "text": "x"},
    }


def test_a_missing_resource_is_an_error_and_never_empty_contents(door):
    for uri in ("cfg://none", "row://x", "nothing:"):
        body = door.ask("resources/read", {"uri": uri}).json()
        assert (body["error"]["code"], "result" in body) == (-32602, False)


def test_every_cacheable_result_has_its_hints(door):
    answers = [door.ask(method) for method in ("server/discover", *LISTS.values())]
    answers.append(door.ask("resources/read", {"uri": "cfg://a"}))
    for answer in answers:
        result = answer.json()["result"]
        assert type(result["ttlMs"]) is int
        assert result["ttlMs"] >= 0
        assert result["cacheScope"] in {"public", "private"}


def test_a_negative_lifetime_is_refused():
    with pytest.raises(DeclarationError, match="cache_ttl_ms"):
        Server("t", cache_ttl_ms=-1)


@pytest.mark.parametrize("scope", ["public", "private"])
def test_all_pages_of_a_list_have_one_scope(scope):
    app = Server("t", page_size=1, cache_scope=scope)
    for name in "abc":
        app.tool(name=name)(lambda: 1)
    seen, cursor = [], None
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        while len(seen) < 3:
            result = Door(running.url, http).ask("tools/list", {"cursor": cursor} if cursor else {}).json()["result"]
            seen.append(result["cacheScope"])
            cursor = result.get("nextCursor")
    assert (seen, cursor) == ([scope] * 3, None)


def test_log_messages_come_only_on_the_stream_of_the_request_that_asked(door, messages):
    asked = door.call("speak", meta={**META, PREFIX + "logLevel": "info"}, id="asked")
    assert [message.get("method") for message in messages(asked)] == ["notifications/message", None]
    with_progress = messages(door.call("speak", meta={**META, "progressToken": 1}))
    assert "notifications/message" not in [message.get("method") for message in with_progress]
    assert door.call("speak").headers["content-type"] == "application/json"
