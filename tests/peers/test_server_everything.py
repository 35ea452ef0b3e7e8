"""Bascule's client and the npm package server-everything, which speaks the handshake era: over stdio and HTTP."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from bascule import CallTimedOut, Client, EmbeddedResource, MCPError, ResourceLink
from bascule.transports.spawn import SpawnStream
from tests.peers.children import Child, left_of, running

TOOLS = {
    "echo",
    "get-annotated-message",
    "get-env",
    "get-resource-links",
    "get-resource-reference",
    "get-structured-content",
    "get-sum",
    "get-tiny-image",
    "gzip-file-as-resource",
    "simulate-research-query",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-long-running-operation",
}
PROMPTS = {"simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"}


@contextmanager
def over_http(everything: list[str]) -> Iterator[tuple[Child, str]]:
    """The server over HTTP, and its URL. It takes nothing but a port: one is found that is free."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with running([*everything, "streamableHttp"], {"PORT": str(port)}) as child:
        child.says(f"listening on port {port}")
        yield child, f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module")
def url(everything) -> Iterator[str]:
    """The URL of a server that is there for all tests."""
    with over_http(everything) as (_, url):
        yield url


def choose(request: Any, transport: str) -> Any:
    """The server as the client names it: a command, or a URL."""
    if transport == "stdio":
        return [*request.getfixturevalue("everything"), "stdio"]
    return request.getfixturevalue("url")


@pytest.fixture(params=["stdio", "http"])
def target(request) -> Any:
    return choose(request, request.param)


@asynccontextmanager
async def connected(target: Any, era: Any = None, **options: Any) -> AsyncIterator[Client]:
    """A client, with everything under a time limit."""
    async with asyncio.timeout(30):
        async with Client(target, era=era, timeout=20, **options) as client:
            yield client


@pytest.mark.parametrize("era", [None, "legacy"])
async def test_everything_is_listed_and_called(target, era):
    async with connected(target, era) as client:
        assert (client.era, client.protocol_version) == ("legacy", "2025-11-25")
        assert client.server.name == "mcp-servers/everything"
        assert client.instructions
        await client.ping()
        await the_tools_answer(client)
        await content_of_every_kind_is_understood(client)
        await the_resources_are_read(client)
        await the_prompts_are_rendered(client)


async def the_tools_answer(client: Client) -> None:
    tools = {tool.name: tool for tool in await client.list_tools()}
    assert set(tools) == TOOLS
    assert tools["get-sum"].input_schema["required"] == ["a", "b"]
    assert tools["get-structured-content"].output_schema["required"] == ["temperature", "conditions", "humidity"]

    assert (await client.call_tool("echo", {"message": "grüß 🌍"})).content[0].text == "Echo: grüß 🌍"
    assert (await client.call_tool("get-sum", {"a": 2, "b": 0.5})).content[0].text == "The sum of 2 and 0.5 is 2.5."
    weather = await client.call_tool("get-structured-content", {"location": "Chicago"})
    assert weather.structured_content == {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    assert (await client.call_tool("get-sum", {"a": "x"})).is_error
    assert (await client.call_tool("no-such-tool")).is_error

    heard: list[Any] = []
    arguments = {"duration": 0.1, "steps": 4}
    long = await client.call_tool("trigger-long-running-operation", arguments, on_progress=lambda *at: heard.append(at))
    assert heard == [(step, 4, None) for step in (1, 2, 3, 4)]
    assert "completed" in long.content[0].text


async def content_of_every_kind_is_understood(client: Client) -> None:
    _, image, _ = (await client.call_tool("get-tiny-image")).content
    assert (image.mime_type, base64.b64decode(image.data)[1:4]) == ("image/png", b"PNG")
    marked = await client.call_tool("get-annotated-message", {"messageType": "error", "includeImage": True})
    assert (marked.content[0].annotations.priority, marked.content[0].annotations.audience) == (
        1,
        ["user", "assistant"],
    )
    _, *links = (await client.call_tool("get-resource-links", {"count": 3})).content
    assert [type(link) for link in links] == [ResourceLink] * 3
    for link in links:
        assert (await client.read_resource(link.uri)).contents[0].uri == link.uri
    _, embedded, _ = (await client.call_tool("get-resource-reference", {"resourceType": "Blob"})).content
    assert isinstance(embedded, EmbeddedResource)
    assert b"Resource 1" in base64.b64decode(embedded.resource.blob)


async def the_resources_are_read(client: Client) -> None:
    resources = await client.list_resources()
    assert len(resources) >= 7
    for resource in resources[:2]:
        (document,) = (await client.read_resource(resource.uri)).contents
        assert (document.uri, document.mime_type) == (resource.uri, "text/markdown")
        assert document.text.startswith("#")
    templates = {template.name: template.uri_template for template in await client.list_resource_templates()}
    assert templates == {
        "Dynamic Text Resource": "demo://resource/dynamic/text/{resourceId}",
        "Dynamic Blob Resource": "demo://resource/dynamic/blob/{resourceId}",
    }
    (text,) = (await client.read_resource("demo://resource/dynamic/text/7")).contents
    assert text.text.startswith("Resource 7:")
    with pytest.raises(MCPError) as missing:
        await client.read_resource("demo://nothing")
    assert missing.value.code == -32602


async def the_prompts_are_rendered(client: Client) -> None:
    assert {prompt.name for prompt in await client.list_prompts()} == PROMPTS
    (simple,) = (await client.get_prompt("simple-prompt")).messages
    assert (simple.role, simple.content.text) == ("user", "This is a simple prompt without arguments.")
    (weather,) = (await client.get_prompt("args-prompt", {"city": "Ghent", "state": "East Flanders"})).messages
    assert weather.content.text == "What's weather in Ghent, East Flanders?"
    _, embedded = (await client.get_prompt("resource-prompt", {"resourceType": "Text", "resourceId": "2"})).messages
    assert embedded.content.resource.uri == "demo://resource/dynamic/text/2"
    with pytest.raises(MCPError):
        await client.get_prompt("args-prompt", {})


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_what_the_server_says_unasked_arrives(request, transport):
    logs: asyncio.Queue[Any] = asyncio.Queue()
    notices: asyncio.Queue[Any] = asyncio.Queue()
    options = {"on_log": logs.put_nowait, "on_notice": lambda method, _: notices.put_nowait(method)}
    async with connected(choose(request, transport), **options) as client:
        await client.set_log_level("debug")
        await client.call_tool("toggle-simulated-logging")
        try:
            async with asyncio.timeout(3):
                assert "message" in (await logs.get()).data
        finally:
            await client.call_tool("toggle-simulated-logging")
        made = {"name": "a.gz", "data": "data:text/plain,hello", "outputType": "resourceLink"}
        (link,) = (await client.call_tool("gzip-file-as-resource", made)).content
        async with asyncio.timeout(3):
            while await notices.get() != "notifications/resources/list_changed":
                pass
        (zipped,) = (await client.read_resource(link.uri)).contents
    assert base64.b64decode(zipped.blob)[:2] == b"\x1f\x8b"


async def test_a_session_is_ended_when_the_client_closes(everything):
    with over_http(everything) as (server, url):
        async with connected(url) as client:
            await client.ping()
        session = server.says(r"Session initialized with ID: (\S+)")[1]
        server.says(f"Received session termination request for session {session}")


async def test_a_call_that_takes_too_long_is_given_up_and_the_next_is_answered(target):
    async with connected(target) as client:
        with pytest.raises(CallTimedOut):
            await client.call_tool("trigger-long-running-operation", {"duration": 1, "steps": 1}, timeout=0.1)
        assert (await client.call_tool("echo", {"message": "on"})).content[0].text == "Echo: on"


async def test_a_client_that_wants_the_modern_era_is_refused(target):
    with pytest.raises(MCPError):
        async with connected(target, "modern"):
            pytest.fail("it must not connect")


async def test_nothing_is_left_of_a_server_that_was_started(everything, monkeypatch):
    streams: list[SpawnStream] = []
    start = SpawnStream.start

    async def started(self: SpawnStream, *callbacks: Any) -> None:
        await start(self, *callbacks)
        streams.append(self)

    monkeypatch.setattr(SpawnStream, "start", started)
    async with connected([*everything, "stdio"]) as client:
        await client.ping()
        (stream,) = streams
        assert stream.pid in left_of(stream.pid)
    assert left_of(stream.pid) == []
