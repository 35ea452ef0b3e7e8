"""Servers that go away, are busy, or come back: what is repeated, what is begun anew, and what fails at once."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bascule import Client, Clients, StdioCommand
from bascule.client import session
from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, MCPError
from bascule.transports import sse_client
from tests.client.scripted import Posted, http, legacy, modern, speaking

TOOLS = {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
TEXT = {"content": [{"type": "text", "text": "3"}]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PAUSE", 0.001)


class Flaky:
    """A modern HTTP server that fails so often before it answers, in a way that the test gives."""

    def __init__(self, failures: int, fail: Any) -> None:
        self.left = failures
        self.fail = fail
        self.asked = 0
        self._greet = speaking(modern({"tools/list": TOOLS, "tools/call": TEXT}))

    async def __call__(self, posted: Posted) -> None:
        if posted.message.get("method") == "server/discover":
            await self._greet(posted)
            return
        self.asked += 1
        if self.left:
            self.left -= 1
            await self.fail(posted)
        else:
            await self._greet(posted)


def busy(status: int, **headers: str) -> Any:
    async def fail(posted: Posted) -> None:
        await posted.send(b"no", status, "text/plain", **headers)

    return fail


async def hang_up(posted: Posted) -> None:
    posted.hang_up()


@pytest.mark.parametrize("fail", [busy(429), busy(502), busy(503, Retry_After="0"), busy(504), hang_up])
async def test_what_is_safe_is_repeated(fail: Any) -> None:
    flaky = Flaky(2, fail)
    async with http(flaky) as server, Client(server.url) as client:
        assert [tool.name for tool in await client.list_tools()] == ["x"]
    assert flaky.asked == 3


@pytest.mark.parametrize("fail", [busy(503), hang_up])
async def test_what_may_have_been_carried_out_is_not_repeated(fail: Any) -> None:
    flaky = Flaky(1, fail)
    async with http(flaky) as server, Client(server.url) as client:
        with pytest.raises((MCPError, ConnectionLost)):
            await client.call_tool("x")
    assert flaky.asked == 1


@pytest.mark.parametrize("hints", [{"readOnlyHint": True}, {"idempotentHint": True}])
async def test_a_tool_that_says_so_is_repeated_once_it_is_known(hints: Any) -> None:
    flaky = Flaky(0, hang_up)
    flaky._greet = speaking(
        modern({"tools/list": {"tools": [{**TOOLS["tools"][0], "annotations": hints}]}, "tools/call": TEXT})
    )
    async with http(flaky) as server, Client(server.url) as client:
        flaky.left = 1
        with pytest.raises(ConnectionLost):
            await client.call_tool("x")
        assert [tool.name async for tool in client.iter_tools()] == ["x"]
        flaky.left = 2
        assert (await client.call_tool("x")).content[0].text == "3"


@pytest.mark.parametrize(
    ("failures", "fail", "options", "asked"),
    [
        (9, busy(503), {}, 3),
        (9, busy(503), {"retries": 0}, 1),
        (1, busy(500), {}, 1),
        (1, busy(503, Retry_After="31"), {}, 1),
        (1, busy(503, Retry_After="20"), {"timeout": 5}, 1),
    ],
)
async def test_repeating_has_its_limits(failures: int, fail: Any, options: Any, asked: int) -> None:
    flaky = Flaky(failures, fail)
    async with http(flaky) as server, Client(server.url, **options) as client:
        with pytest.raises(MCPError) as refused:
            await client.list_tools()
    assert flaky.asked == asked
    assert refused.value.status in (500, 503)


async def test_many_servers_are_asked_again_as_often_as_was_said(tmp_path: Path) -> None:
    flaky = Flaky(9, busy(503))
    async with http(flaky) as server:
        (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"a": {"url": server.url}}}))
        once = Clients({"a": server.url}, retries=0)
        more = Clients.from_config(tmp_path / "servers.json", retries=3)
        for clients, asked in ((once, 1), (more, 4)):
            flaky.asked = 0
            async with clients:
                await clients.list_tools()
            assert (flaky.asked, list(clients.failures)) == (asked, ["a"])


async def test_what_took_too_long_is_not_repeated() -> None:
    async def silent(posted: Posted) -> None:
        await posted.gone.wait()

    flaky = Flaky(9, silent)
    async with http(flaky) as server, Client(server.url, timeout=0.05) as client:
        with pytest.raises(CallTimedOut):
            await client.list_tools()
    assert flaky.asked == 1


SERVER = """
import os, sys
from bascule import Server
app = Server("t")

@app.tool
async def number() -> int:
    return os.getpid()

@app.tool
async def forever() -> int:
    import asyncio
    await asyncio.Event().wait()

app.run()
"""


@pytest.fixture
def command(tmp_path: Any) -> StdioCommand:
    import sys

    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return StdioCommand(sys.executable, [str(path)])


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_that_dies_is_started_again_by_the_next_call(command: StdioCommand, era: Any) -> None:
    async with Client(command, era=era) as client:
        first = (await client.call_tool("number")).structured_content["result"]
        call = asyncio.create_task(client.call_tool("forever"))
        await client.ping()
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            await call
        calls = await asyncio.gather(*(client.call_tool("number") for _ in range(5)))
        numbers = {found.structured_content["result"] for found in calls}
        assert len(numbers) == 1, "one server is started, however many call"
        assert first not in numbers


async def test_a_server_that_cannot_be_started_again_fails_each_call_at_once(command: StdioCommand) -> None:
    async with Client(command, retries=0) as client:
        number = (await client.call_tool("number")).structured_content["result"]
        with open(command.args[0], "w") as script:  # noqa: ASYNC230, PTH123
            script.write("raise SystemExit(5)")
        os.kill(number, signal.SIGKILL)
        async with asyncio.timeout(10):
            for _ in range(2):
                with pytest.raises(ConnectionLost):
                    await client.list_tools()


async def test_the_log_level_is_said_again_to_a_server_that_was_begun_anew(command: StdioCommand) -> None:
    async with Client(command, era="legacy") as client:
        await client.set_log_level("error")
        number = (await client.call_tool("number")).structured_content["result"]
        os.kill(number, signal.SIGKILL)
        sent: list[str] = []
        send = client._session._send

        async def seen(greeting: Any, method: str, *rest: Any) -> Any:
            sent.append(method)
            return await send(greeting, method, *rest)

        client._session._send = seen  # type: ignore[method-assign]
        await client.list_tools()
    assert "logging/setLevel" in sent


async def test_headers_of_one_call_go_with_it_alone() -> None:
    flaky = Flaky(0, hang_up)
    async with http(flaky) as server, Client(server.url) as client:
        await client.call_tool("x", headers={"X-Trace": "1", "Mcp-Method": "forged"})
        await client.call_tool("x")
    with_it, without = [one for one in server.posted if one.message.get("method") == "tools/call"]
    assert with_it.headers["x-trace"] == "1"
    assert with_it.headers["mcp-method"] == "tools/call", "what the protocol says stands"
    assert "x-trace" not in without.headers


async def test_of_many_servers_one_is_called_like_any() -> None:
    flaky = Flaky(0, hang_up)
    async with http(flaky) as server, Clients({"one": server.url}) as clients:
        assert await clients.call_tool("one", "x", into=int, headers={"X-Trace": "1"}) == 3
    (call,) = [one for one in server.posted if one.message.get("method") == "tools/call"]
    assert call.headers["x-trace"] == "1"


async def test_headers_need_something_that_carries_them(command: StdioCommand) -> None:
    async with Client(command) as client:
        with pytest.raises(ConfigError, match="HTTP"):
            await client.call_tool("number", headers={"X-Trace": "1"})


class Older:
    """A server of the transport before Streamable HTTP: a stream at /sse, messages at /messages."""

    def __init__(self, endpoint: str = "/messages?session=1", status: int = 202) -> None:
        self.endpoint = endpoint
        self.status = status
        self.script = legacy({"tools/list": TOOLS, "tools/call": TEXT})
        self.stream: asyncio.Queue[Any] = asyncio.Queue()

    async def __call__(self, posted: Posted) -> None:
        if posted.verb == "GET":
            await posted.events(f"event: endpoint\ndata: {self.endpoint}\n\n".encode(), end=False)
            while (message := await self.stream.get()) is not None:
                await posted.chunk(message)
            posted.hang_up()
        elif posted.path.startswith("/messages"):
            for reply in self.script(posted.message):
                self.stream.put_nowait(reply)
            await posted.send(status=self.status)
        else:
            await posted.send(status=405)


async def test_a_server_of_the_older_transport_is_found_and_spoken_to() -> None:
    older = Older()
    async with http(older) as server, Client(server.url + "/sse", headers={"X-Key": "k"}) as client:
        assert client.era == "legacy"
        assert [tool.name for tool in await client.list_tools()] == ["x"]
        assert (await client.call_tool("x")).content[0].text == "3"
        assert {one.headers.get("x-key") for one in server.posted} == {"k"}
        assert {one.path for one in server.posted if one.verb == "POST"} == {"/mcp/sse", "/messages?session=1"}
        older.stream.put_nowait(None)
        with pytest.raises(ConnectionLost):
            while True:
                await client.call_tool("x")


async def test_a_stream_that_names_no_endpoint_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(posted: Posted) -> None:
        await (posted.events(end=False) if posted.verb == "GET" else posted.send(status=405))

    monkeypatch.setattr(sse_client.SseStream.__init__, "__defaults__", (1.0, 0.05, 1000))
    async with http(silent) as server:
        with pytest.raises(MCPError, match="405"):
            async with Client(server.url, timeout=5):
                pass


async def test_messages_are_sent_to_no_other_origin() -> None:
    async with http(Older("http://elsewhere.example/messages")) as server:
        with pytest.raises(MCPError, match="405"):  # what the newer transport was answered
            async with Client(server.url + "/sse"):
                pass
        assert [one.verb for one in server.posted][-1] == "GET"


async def test_what_is_no_mcp_server_at_all_is_told_by_its_first_refusal() -> None:
    async def nothing(posted: Posted) -> None:
        await posted.send(b"no", 404, "text/plain")

    async with http(nothing) as server:
        with pytest.raises(MCPError, match="404"):
            async with Client(server.url, timeout=5):
                pass
        assert [one.verb for one in server.posted] == ["POST", "POST", "GET"]


async def test_a_refused_message_ends_the_older_connection() -> None:
    async with http(Older(status=500)) as server:
        with pytest.raises(MCPError, match="405"):
            async with Client(server.url + "/sse", timeout=5):
                pass
