"""Bascule's client lists and calls the official SDK's server: over stdio and HTTP, with the era probed and named."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bascule import CallTimedOut, Client, MCPError
from tests.peers.children import left_of, running

SERVER = str(Path(__file__).with_name("official_server.py"))
SPOKEN = {None: "modern", "modern": "modern", "legacy": "legacy"}
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}
TOOLS = ["add", "shout", "weather", "climb", "stall", "was_given_up", "process", "picture", "fail"]
UVICORN = r"Uvicorn running on (http://127\.0\.0\.1:\d+)"
SECONDS = 20

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def http_server(sdk) -> Iterator[str]:
    """The server over HTTP, one for all tests, since it serves both eras at once; its URL."""
    with running([sdk, SERVER, "http"]) as child:
        yield child.says(UVICORN)[1] + "/mcp"


@pytest.fixture(scope="module", params=["stdio", "http"])
def target(request, sdk) -> Any:
    """The server: a command, or a URL."""
    return [sdk, SERVER] if request.param == "stdio" else request.getfixturevalue("http_server")


@pytest.fixture(scope="module", params=list(SPOKEN), ids=str)
def era(request) -> Any:
    """What the client is told of the era."""
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(target, era) -> AsyncIterator[Client]:
    """A client that has asked for log messages where the server takes such a wish, and forgets none of them."""
    logs: asyncio.Queue[Any] = asyncio.Queue()
    async with Client(target, era=era, timeout=SECONDS, on_log=logs.put_nowait) as connected:
        if connected.era == "modern":  # in the other era the SDK's server has no method for it, and sends everything
            await connected.set_log_level("info")
        connected.logs = logs
        yield connected


async def test_they_agree_on_the_era(client, era):
    assert client.era == SPOKEN[era]
    assert client.protocol_version == VERSIONS[client.era]
    assert (client.server.name, client.server.version) == ("official", "4.5.6")
    assert client.instructions == "Ask away."
    await client.ping()


async def test_the_tools_are_listed(client):
    tools = {tool.name: tool for tool in await client.list_tools()}
    assert list(tools) == TOOLS
    assert tools["add"].input_schema["required"] == ["a", "b"]
    assert tools["weather"].title == "Weather"
    assert tools["weather"].output_schema["required"] == ["city", "celsius"]


async def test_the_tools_answer(client):
    assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
    assert (await client.call_tool("shout", {"text": "grüß 🌍"})).content[0].text == "GRÜSS 🌍"
    weather = await client.call_tool("weather", {"city": "Ghent"})
    assert weather.structured_content == {"city": "Ghent", "celsius": 21.5}
    image, word = (await client.call_tool("picture")).content
    assert (image.mime_type, base64.b64decode(image.data)[1:4]) == ("image/png", b"PNG")
    assert word.text == "a picture"


async def test_failures_are_results(client):
    failed = await client.call_tool("fail")
    assert failed.is_error
    assert "The moon is in the wrong phase." in failed.content[0].text
    assert (await client.call_tool("add", {"a": "x"})).is_error
    assert (await client.call_tool("no_such_tool")).is_error  # where the specification asks for an error


async def test_resources_are_listed_and_read(client):
    resources = {resource.uri: resource for resource in await client.list_resources()}
    assert set(resources) == {"note://welcome", "note://bytes"}
    assert [template.uri_template for template in await client.list_resource_templates()] == ["note://people/{name}"]
    (welcome,) = (await client.read_resource("note://welcome")).contents
    assert (welcome.uri, welcome.mime_type, welcome.text) == ("note://welcome", "text/plain", "Welcome.")
    (pixel,) = (await client.read_resource("note://bytes")).contents
    assert base64.b64decode(pixel.blob)[1:4] == b"PNG"
    (ada,) = (await client.read_resource("note://people/Ada")).contents
    assert ada.text == "Ada was here."
    with pytest.raises(MCPError) as missing:
        await client.read_resource("note://nothing")
    assert missing.value.data == {"uri": "note://nothing"}


async def test_a_prompt_is_rendered(client):
    (prompt,) = await client.list_prompts()
    assert [(argument.name, argument.required) for argument in prompt.arguments] == [("code", True), ("tone", False)]
    asked, agreed = (await client.get_prompt("review", {"code": "x = 1"})).messages
    assert (asked.role, asked.content.text) == ("user", "Review this in a kind tone: x = 1")
    assert (agreed.role, agreed.content.text) == ("assistant", "Gladly.")
    with pytest.raises(MCPError):
        await client.get_prompt("review", {})


async def test_progress_comes_before_the_result_and_log_messages_come_too(client):
    heard: list[Any] = []
    result = await client.call_tool("climb", {"steps": 3}, on_progress=lambda *step: heard.append(step))
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
    assert result.content[0].text == "3 steps"
    async with asyncio.timeout(SECONDS):
        messages = [await client.logs.get() for _ in range(3)]
    assert [(message.level, message.logger, message.data) for message in messages] == [
        ("info", "climber", {"step": step}) for step in (1, 2, 3)
    ]


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(client):
    with pytest.raises(CallTimedOut):
        await client.call_tool("stall", timeout=0.5)
    assert (await client.call_tool("was_given_up")).structured_content == {"result": True}


async def test_a_call_that_is_given_up_is_cancelled_at_the_server(client):
    begun = asyncio.Event()
    call = asyncio.create_task(client.call_tool("stall", on_progress=lambda *_: begun.set()))
    async with asyncio.timeout(SECONDS):
        await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await client.call_tool("was_given_up")).structured_content == {"result": True}


async def test_many_calls_at_once_are_told_apart(client):
    results = await asyncio.gather(*(client.call_tool("add", {"a": n, "b": n}) for n in range(50)))
    assert [result.structured_content["result"] for result in results] == [2 * n for n in range(50)]


@pytest.mark.parametrize("wanted", ["modern", "legacy"])
async def test_all_pages_of_a_list_are_found(sdk, wanted):
    async with asyncio.timeout(SECONDS), Client([sdk, SERVER, "pages"], era=wanted) as client:
        tools = await client.list_tools()
    assert [tool.name for tool in tools] == [f"tool-{place}" for place in range(5)]


async def test_nothing_is_left_of_a_server_that_was_started(sdk):
    async with asyncio.timeout(SECONDS), Client([sdk, SERVER]) as client:
        pid = (await client.call_tool("process")).structured_content["result"]
        assert pid in left_of(pid)
    assert left_of(pid) == []
