"""Bascule's client lists and calls the official SDK's server: over stdio and HTTP, with the era probed and named."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bascule import CallTimedOut, Client, MCPError
from tests.peers.children import left_of, running

SERVER = str(Path(__file__).with_name("official_server.py"))
SPOKEN = {None: "modern", "modern": "modern", "legacy": "legacy"}
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}
TOOLS = ["add", "shout", "weather", "climb", "stall", "was_given_up", "process", "picture", "fail"]
UVICORN = r"Uvicorn running on (http://127\.0\.0\.1:\d+)"


@pytest.fixture(scope="module")
def http_server(sdk) -> Iterator[str]:
    """The server over HTTP, one for all tests, since it serves both eras at once; its URL."""
    with running([sdk, SERVER, "http"]) as child:
        yield child.says(UVICORN)[1] + "/mcp"


@pytest.fixture(params=["stdio", "http"])
def target(request, sdk) -> Any:
    """The server: a command, or a URL."""
    return [sdk, SERVER] if request.param == "stdio" else request.getfixturevalue("http_server")


@pytest.fixture(params=list(SPOKEN), ids=str)
def era(request) -> Any:
    return request.param


@asynccontextmanager
async def connected(target: Any, era: Any, **options: Any) -> AsyncIterator[Client]:
    """A client, with everything under a time limit."""
    async with asyncio.timeout(30):
        async with Client(target, era=era, timeout=20, **options) as client:
            yield client


async def test_everything_is_listed_and_called(target, era):
    async with connected(target, era) as client:
        assert client.era == SPOKEN[era]
        assert client.protocol_version == VERSIONS[client.era]
        assert (client.server.name, client.server.version) == ("official", "4.5.6")
        assert client.instructions == "Ask away."
        await client.ping()
        await the_tools_answer(client)
        await the_resources_are_read(client)
        await the_prompt_is_rendered(client)
        await progress_comes_before_the_result(client)


async def the_tools_answer(client: Client) -> None:
    tools = {tool.name: tool for tool in await client.list_tools()}
    assert list(tools) == TOOLS
    assert tools["add"].input_schema["required"] == ["a", "b"]
    assert tools["weather"].title == "Weather"
    assert tools["weather"].output_schema["required"] == ["city", "celsius"]

    assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
    assert (await client.call_tool("shout", {"text": "grüß 🌍"})).content[0].text == "GRÜSS 🌍"
    weather = await client.call_tool("weather", {"city": "Ghent"})
    assert weather.structured_content == {"city": "Ghent", "celsius": 21.5}
    image, word = (await client.call_tool("picture")).content
    assert (image.mime_type, base64.b64decode(image.data)[1:4]) == ("image/png", b"PNG")
    assert word.text == "a picture"

    failed = await client.call_tool("fail")
    assert failed.is_error
    assert "The moon is in the wrong phase." in failed.content[0].text
    assert (await client.call_tool("add", {"a": "x"})).is_error
    assert (await client.call_tool("no_such_tool")).is_error  # a result, where the specification asks for an error


async def the_resources_are_read(client: Client) -> None:
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


async def the_prompt_is_rendered(client: Client) -> None:
    (prompt,) = await client.list_prompts()
    assert [(argument.name, argument.required) for argument in prompt.arguments] == [("code", True), ("tone", False)]
    asked, agreed = (await client.get_prompt("review", {"code": "x = 1"})).messages
    assert (asked.role, asked.content.text) == ("user", "Review this in a kind tone: x = 1")
    assert (agreed.role, agreed.content.text) == ("assistant", "Gladly.")
    with pytest.raises(MCPError):
        await client.get_prompt("review", {})


async def progress_comes_before_the_result(client: Client) -> None:
    heard: list[Any] = []
    result = await client.call_tool("climb", {"steps": 3}, on_progress=lambda *step: heard.append(step))
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
    assert result.content[0].text == "3 steps"


async def test_log_messages_arrive_where_they_are_asked_for(target, era):
    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with connected(target, era, on_log=heard.put_nowait) as client:
        if client.era == "modern":  # the SDK's server has no method for it in the other era, and sends everything
            await client.set_log_level("info")
        await client.call_tool("climb", {"steps": 2})
        messages = [await heard.get(), await heard.get()]
    assert [(message.level, message.logger, message.data) for message in messages] == [
        ("info", "climber", {"step": 1}),
        ("info", "climber", {"step": 2}),
    ]


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(target, era):
    async with connected(target, era) as client:
        with pytest.raises(CallTimedOut):
            await client.call_tool("stall", timeout=0.5)
        assert (await client.call_tool("was_given_up")).structured_content == {"result": True}


async def test_a_call_that_is_given_up_is_cancelled_at_the_server(target, era):
    async with connected(target, era) as client:
        begun = asyncio.Event()
        call = asyncio.create_task(client.call_tool("stall", on_progress=lambda *_: begun.set()))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.call_tool("was_given_up")).structured_content == {"result": True}


async def test_nothing_is_left_of_a_server_that_was_started(sdk, era):
    async with connected([sdk, SERVER], era) as client:
        pid = (await client.call_tool("process")).structured_content["result"]
        assert pid in left_of(pid)
    assert left_of(pid) == []


async def test_many_calls_at_once_are_told_apart(target, era):
    async with connected(target, era) as client:
        results = await asyncio.gather(*(client.call_tool("add", {"a": n, "b": n}) for n in range(50)))
    assert [result.structured_content["result"] for result in results] == [2 * n for n in range(50)]
