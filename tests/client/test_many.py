"""The client of many servers: started side by side, failing each by itself, closed in reverse, nothing left behind."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bascule import Clients, Context, ElicitResult, Server, ServerUnavailable
from bascule.client.client import Client
from bascule.errors import BasculeError, CallTimedOut, ConfigError, ConnectionLost, MCPError
from bascule.wire.tools import Tool
from tests.client.scripted import answer, error, http, legacy, modern, speaking

CHILD = str(Path(__file__).parent.parent / "transports" / "child.py")
SECRET = "hunter2-hunter2"
SILENT = "import sys; sys.stdin.read()"


@pytest.fixture
def marker() -> str:
    """What stands in the environment of every process that a test starts, and of those that they start."""
    return f"BASCULE_TEST_{uuid4().hex}"


def child(marker: str, mode: str = "polite") -> dict[str, Any]:
    return {"command": sys.executable, "args": [CHILD, mode], "env": {marker: "1"}}


def program(marker: str, code: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-c", code], "env": {marker: "1"}}


def marked(marker: str) -> list[int]:
    """The processes with the marker in their environment that run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            environment = (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if marker.encode() in environment and state not in {"Z", "X"}:
            found.append(int(process.name))
    return found


async def left(marker: str) -> list[int]:
    """The processes with the marker that still run after five seconds; those that were killed need a moment to end."""
    loop = asyncio.get_running_loop()
    for pid in marked(marker):
        ended = asyncio.Event()
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        loop.add_reader(handle, ended.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 5)
        loop.remove_reader(handle)
        os.close(handle)
    return marked(marker)


Lifespan = Callable[[Server], AbstractAsyncContextManager[None]]


def noting(events: list[str], name: str, fail_at_end: bool = False) -> Lifespan:
    """A lifespan that notes when it begins and ends, and may fail then."""

    @asynccontextmanager
    async def lifespan(_server: Server) -> AsyncIterator[None]:
        events.append(f"open {name}")
        yield
        events.append(f"close {name}")
        if fail_at_end:
            raise OSError(f"{name} does not close")

    return lifespan


@dataclass
class Answered:
    yes: bool


def shop(name: str, lifespan: Lifespan | None = None) -> Server:
    app = Server(name, lifespan=lifespan)

    @app.tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @app.tool
    async def whoami() -> str:
        """Say who this is."""
        return name

    return app


async def said(clients: Clients, server: str, tool: str) -> Any:
    return json.loads((await clients.call_tool(server, tool)).content[0].text)  # type: ignore[union-attr]


class TestUse:
    async def test_servers_of_a_file_are_started_and_used_and_nothing_of_them_is_left(
        self, marker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHILD_MODE", "polite")
        entry = {"command": sys.executable, "args": [CHILD, "${CHILD_MODE}"], "env": {marker: "1"}}
        file = tmp_path / ".vscode" / "mcp.json"
        file.parent.mkdir()
        async with http(speaking(modern({"tools/list": {"tools": []}}))) as server:
            remote = {"type": "http", "url": server.url, "headers": {"X-Key": "${CHILD_MODE}"}}
            off = {"command": "false", "disabled": True}
            document = {
                "servers": {"one": entry, "two": {**entry, "cwd": "${workspaceFolder}"}, "web": remote, "off": off}
            }
            file.write_text("// servers\n" + json.dumps(document))
            async with Clients.from_config(file, timeout=20) as clients:
                assert (list(clients), len(clients), clients.failures) == (["one", "two", "web"], 3, {})
                assert isinstance(clients["one"], Client)
                assert len(marked(marker)) == 2
                assert await said(clients, "one", "pid") != await said(clients, "two", "pid")
                assert await said(clients, "two", "folder") == str(tmp_path)
                assert await clients.list_tools() == {"one": [], "two": [], "web": []}
                with pytest.raises(ServerUnavailable, match="The server 'off' is disabled"):
                    clients["off"]
            assert await left(marker) == []
            assert {posted.headers["x-key"] for posted in server.posted} == {"polite"}

    async def test_tools_are_listed_by_server_named_for_a_model_and_called(self) -> None:
        async with Clients({"left": shop("L"), "right": shop("R")}) as clients:
            with pytest.raises(RuntimeError, match="list_tools"):
                clients.tools()
            listed = await clients.list_tools()
            assert {name: [tool.name for tool in tools] for name, tools in listed.items()} == {
                "left": ["add", "whoami"],
                "right": ["add", "whoami"],
            }
            pairs = clients.tools()
            assert [(server, tool.name) for server, tool in pairs] == [
                ("left", "add"),
                ("left", "whoami"),
                ("right", "add"),
                ("right", "whoami"),
            ]
            assert all(isinstance(tool, Tool) for _, tool in pairs)
            names = clients.tool_names()
            assert set(names) == {"left_add", "left_whoami", "right_add", "right_whoami"}
            assert set(clients.tool_names(prefix="x-{server}-")) == {
                "x-left-add",
                "x-left-whoami",
                "x-right-add",
                "x-right-whoami",
            }
            result = await clients.call_tool(*names["right_whoami"])
            assert result.structured_content == {"result": "R"}
            assert (await clients.call_tool("left", "add", {"a": 1, "b": 2})).structured_content == {"result": 3}

    async def test_what_a_call_may_have_reaches_it(self) -> None:
        app = Server("x")
        steps: list[Any] = []

        @app.tool
        async def work(ctx: Context) -> str:
            """Report."""
            await ctx.report_progress(1, 2, "half")
            return "done"

        @app.tool
        async def stall() -> str:
            """Never end."""
            await asyncio.Event().wait()
            return ""

        async with http(speaking(modern({"tools/call": {"content": []}}))) as server:
            async with Clients({"x": app, "web": server.url}) as clients:
                await clients.call_tool("x", "work", on_progress=lambda *step: steps.append(step))
                with pytest.raises(CallTimedOut):
                    await clients.call_tool("x", "stall", timeout=0.02)
                await clients.call_tool("web", "any", meta={"test/key": 1})
        assert steps == [(1, 2, "half")]
        assert server.posted[-1].message["params"]["_meta"]["test/key"] == 1

    async def test_handlers_and_era_hold_for_all(self) -> None:
        def asking(name: str) -> Server:
            app = Server(name)

            @app.tool
            async def ask(ctx: Context) -> str:
                """Ask."""
                answer = await ctx.elicit("Go on?", Answered)
                return answer.action

            return app

        asked: list[str] = []

        def on_elicit(params: Any) -> ElicitResult:
            asked.append(params.message)
            return ElicitResult("decline")

        servers = {"a": asking("a"), "b": asking("b")}
        async with Clients(servers, on_elicit=on_elicit, era="legacy") as clients:
            assert {client.era for client in clients.values()} == {"legacy"}
            for name in clients:
                await clients.call_tool(name, "ask")
        assert asked == ["Go on?", "Go on?"]

    async def test_it_is_a_mapping_of_those_that_are_connected(self, marker: str) -> None:
        clients = Clients({"a": shop("A"), "gone": program(marker, "raise SystemExit(3)")})
        assert (len(clients), list(clients)) == (0, [])
        async with clients:
            assert "a" in clients
            assert "gone" not in clients
            assert "other" not in clients
            assert clients.get("gone") is None
            assert dict(clients) == {"a": clients["a"]}
            assert repr(clients) == "<Clients: connected ['a'], failed ['gone']>"
        assert len(clients) == 0

    async def test_it_is_used_inside_its_block_and_may_be_entered_again(self) -> None:
        clients = Clients({"a": shop("A")})
        with pytest.raises(RuntimeError, match="not connected"):
            clients["a"]
        for _ in range(2):
            async with clients:
                assert (await clients.call_tool("a", "whoami")).structured_content == {"result": "A"}
                with pytest.raises(RuntimeError, match="connected already"):
                    await clients.__aenter__()
                await clients.call_tool("a", "whoami")
            with pytest.raises(RuntimeError, match="not connected"):
                await clients.list_tools()

    async def test_no_servers_are_no_fault(self) -> None:
        async with Clients({"mcpServers": {}}, strict=True) as clients:
            assert await clients.list_tools() == {}
            with pytest.raises(ServerUnavailable, match="There is no server 'x'; there is none"):
                clients["x"]


class TestFailures:
    async def test_each_failure_is_its_own_and_told_of(self, marker: str, tmp_path: Path) -> None:
        servers = {
            "good": shop("G"),
            "exits": program(marker, "raise SystemExit(3)"),
            "missing": {"command": "/no/such/command"},
            "unset": {"command": "x", "env": {"KEY": "${NO_SUCH_VARIABLE_IS_SET}"}},
            "header": {"url": "http://127.0.0.1:9/", "headers": {"X": "a\nb"}},
            "number": 5,
            "silent": program(marker, SILENT),
            "garbage": program(marker, "print('hello'); import sys; sys.stdin.read()"),
        }
        async with Clients(servers, timeout=0.5) as clients:
            assert list(clients) == ["good"]
            assert set(clients.failures) == set(servers) - {"good"}
            kinds = {name: type(failure) for name, failure in clients.failures.items()}
            assert kinds == {
                "exits": ConnectionLost,
                "missing": ConnectionLost,
                "unset": ConfigError,
                "header": ConfigError,
                "number": TypeError,
                "silent": CallTimedOut,
                "garbage": CallTimedOut,
            }
            for name, failure in clients.failures.items():
                with pytest.raises(ServerUnavailable) as refused:
                    clients[name]
                assert str(refused.value).startswith(f"The server {name!r} c")
                assert str(failure) in str(refused.value)
                assert refused.value.__cause__ is failure
                assert isinstance(refused.value, KeyError)
                assert isinstance(refused.value, BasculeError)
            assert "exit code 3" in str(clients.failures["exits"])
            assert "NO_SUCH_VARIABLE_IS_SET" in str(clients.failures["unset"])
            assert (await clients.call_tool("good", "whoami")).structured_content == {"result": "G"}
        assert await left(marker) == []

    async def test_a_name_that_is_unknown_is_told_with_the_nearest(self) -> None:
        async with Clients({"github": shop("A"), "files": shop("B")}) as clients:
            with pytest.raises(ServerUnavailable, match="^There is no server 'gihub'; did you mean 'github'\\?$"):
                clients["gihub"]
            with pytest.raises(ServerUnavailable, match="There is no server 'zzz'; there is 'github', 'files'$"):
                await clients.call_tool("zzz", "whoami")

    async def test_strict_raises_all_failures_and_leaves_nothing(self, marker: str) -> None:
        events: list[str] = []
        servers = {
            "good": child(marker),
            "memory": shop("M", noting(events, "M")),
            "exits": program(marker, "raise SystemExit(3)"),
            "unset": {"command": "${NO_SUCH_VARIABLE_IS_SET}"},
        }
        with pytest.raises(ExceptionGroup, match="Servers that could not be started: 'unset', 'exits'") as raised:
            async with Clients(servers, strict=True):
                pytest.fail("the block was entered")
        assert {type(one) for one in raised.value.exceptions} == {ConnectionLost, ConfigError}
        assert any("'exits'" in note for one in raised.value.exceptions for note in getattr(one, "__notes__", ()))
        assert events == ["open M", "close M"]
        assert await left(marker) == []

    async def test_a_fault_of_the_file_is_raised_at_once(self, tmp_path: Path) -> None:
        file = tmp_path / "servers.json"
        file.write_text("{'mcpServers': {}}")
        with pytest.raises(ConfigError, match=r"servers\.json is not valid JSON"):
            Clients.from_config(file)
        file.write_text('{"mcpServers": {"command": "npx"}}')
        assert "must be an object" in str(Clients.from_config(file).failures["command"])

    def test_names_must_be_text_and_eras_known(self) -> None:
        with pytest.raises(TypeError, match="names of servers"):
            Clients({1: shop("A")})  # type: ignore[dict-item]
        with pytest.raises(ValueError, match="era must be"):
            Clients({"a": shop("A")}, era="new")  # type: ignore[arg-type]

    async def test_a_server_that_dies_fails_alone(self, marker: str) -> None:
        async with Clients({"good": shop("G"), "dies": child(marker, "fatal")}) as clients:
            with pytest.raises(ConnectionLost):
                await clients.call_tool("dies", "die")
            assert (await clients.call_tool("good", "whoami")).structured_content == {"result": "G"}
        assert await left(marker) == []

    async def test_a_server_that_refuses_to_list_is_left_out_until_it_does(self) -> None:
        refusals = [1]

        def tools(request: Any) -> list[Any]:
            return [error(request, -32603, "not now") if refusals else answer(request, {"tools": []})]

        script = modern({"tools/list": tools})
        async with http(speaking(script)) as server, Clients({"a": shop("A"), "b": server.url}) as clients:
            assert set(await clients.list_tools()) == {"a"}
            assert {name for name, _ in clients.tools()} == {"a"}
            assert isinstance(clients.failures["b"], MCPError)
            assert "b" in clients
            refusals.clear()
            assert (await clients.list_tools())["b"] == []
            assert clients.failures == {}

    async def test_strict_raises_what_refuses_to_list(self) -> None:
        script = modern({"tools/list": lambda request: [error(request, -32603, "not now")]})
        async with http(speaking(script)) as server:
            async with Clients({"a": shop("A"), "b": server.url}, strict=True) as clients:
                with pytest.raises(ExceptionGroup, match="Servers that could not list their tools: 'b'"):
                    await clients.list_tools()

    async def test_a_server_without_tools_has_none(self) -> None:
        plain = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        async with http(speaking(legacy({"initialize": plain}))) as server, Clients({"x": server.url}) as clients:
            assert await clients.list_tools() == {"x": []}
            assert clients.failures == {}


class TestOrder:
    async def test_servers_are_started_side_by_side(self) -> None:
        together = asyncio.Barrier(3)

        @asynccontextmanager
        async def lifespan(_server: Server) -> AsyncIterator[None]:
            async with asyncio.timeout(10):
                await together.wait()  # one after the other would never get past this
            yield

        async with Clients({name: Server(name, lifespan=lifespan) for name in "abc"}) as clients:
            assert len(clients) == 3

    async def test_servers_are_closed_in_reverse_also_where_the_block_raises(self) -> None:
        for raised in (None, ZeroDivisionError, KeyboardInterrupt, asyncio.CancelledError):
            events: list[str] = []
            servers = {name: Server(name, lifespan=noting(events, name)) for name in "abc"}
            try:
                async with Clients(servers):
                    assert sorted(events) == ["open a", "open b", "open c"]
                    if raised is not None:
                        raise raised
            except BaseException as wrong:
                assert type(wrong) is raised
            assert events[3:] == ["close c", "close b", "close a"]

    async def test_one_that_fails_to_close_stops_no_other(self, marker: str) -> None:
        events: list[str] = []
        servers = {
            "first": child(marker),
            "bad": Server("bad", lifespan=noting(events, "bad", fail_at_end=True)),
            "last": Server("last", lifespan=noting(events, "last")),
        }
        with pytest.raises(ExceptionGroup, match="Servers that could not be closed: 'bad'"):
            async with Clients(servers):
                assert len(marked(marker)) == 1
        assert events[2:] == ["close last", "close bad"]
        assert await left(marker) == []

    async def test_what_the_block_raises_is_not_hidden_by_what_closing_raises(self) -> None:
        with pytest.raises(ZeroDivisionError):
            async with Clients({"bad": Server("bad", lifespan=noting([], "bad", fail_at_end=True))}):
                raise ZeroDivisionError


class TestProcesses:
    async def test_no_process_is_left_however_a_server_behaves(self, marker: str) -> None:
        modes = ["polite", "deaf", "parent", "strict"]
        async with Clients({mode: child(marker, mode) for mode in modes}, timeout=20) as clients:
            assert clients.failures == {}
            await clients.call_tool("parent", "grandchild")
            assert len(marked(marker)) == 5
        assert await left(marker) == []

    async def test_no_process_is_left_where_starting_is_cancelled(self, marker: str) -> None:
        """One server runs already, one never answers and has just begun to run."""
        begun = asyncio.Event()
        server = await asyncio.start_server(lambda _reader, writer: (begun.set(), writer.close()), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        knock = f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); {SILENT}"
        clients = Clients({"memory": shop("M"), "good": child(marker), "silent": program(marker, knock)})
        task = asyncio.ensure_future(clients.__aenter__())
        async with server, asyncio.timeout(20):
            await begun.wait()
        assert marked(marker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await left(marker) == []
        assert len(clients) == 0

    async def test_no_process_is_left_where_closing_is_cancelled_again_and_again(self, marker: str) -> None:
        closing = asyncio.Event()

        @asynccontextmanager
        async def lifespan(_server: Server) -> AsyncIterator[None]:
            yield
            closing.set()

        servers = {"one": child(marker), "two": child(marker, "stubborn"), "last": Server("last", lifespan=lifespan)}

        async def use() -> None:
            async with Clients(servers):
                assert len(marked(marker)) == 2

        task = asyncio.ensure_future(use())
        await closing.wait()
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.02)
        assert task.cancelled()
        assert await left(marker) == []

    async def test_a_time_limit_around_the_block_ends_everything(self, marker: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit, Clients({"a": child(marker), "b": child(marker)}):
                assert len(marked(marker)) == 2
                limit.reschedule(asyncio.get_running_loop().time())
                await asyncio.Event().wait()
        assert await left(marker) == []


class TestSecrets:
    async def test_no_secret_is_shown_logged_or_raised(
        self, marker: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("TEST_SECRET", SECRET)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
            refusing = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            env, headers = {"KEY": "${TEST_SECRET}", marker: "1"}, {"Authorization": "Bearer ${TEST_SECRET}"}
            servers = {
                "good": {**child(marker), "env": env},
                "exits": {**program(marker, "raise SystemExit(3)"), "env": env},
                "missing": {"command": "/no/such/command", "args": ["${TEST_SECRET}"], "env": env},
                "name": {"command": "x", "env": {"A=B": "${TEST_SECRET}"}},
                "refused": {"url": refusing, "headers": headers},
                "line": {"url": refusing, "headers": {"Authorization": "${TEST_SECRET}\n"}},
                "port": {"url": "http://127.0.0.1:${TEST_SECRET}/"},
                "wrong": {"command": "x", "args": "${TEST_SECRET}", "apiKey": SECRET},
                "unset": {"command": "x", "env": {"A": "${TEST_SECRET}${NO_SUCH_VARIABLE_IS_SET}"}},
                "nested": {"command": "x", "env": {"A": f"{SECRET}${{${{TEST_SECRET}}}}"}},
            }
            file = tmp_path / "servers.json"
            file.write_text(json.dumps({"mcpServers": servers}))
            shown: list[str] = []
            with caplog.at_level(logging.DEBUG):
                async with Clients.from_config(file, timeout=20) as clients:
                    assert list(clients) == ["good"]
                    assert (await said(clients, "good", "environment"))["KEY"] == SECRET
                    shown += [repr(clients), repr(clients["good"]), repr(dict(clients)), repr(clients.failures)]
                    for name, failure in clients.failures.items():
                        with pytest.raises(ServerUnavailable) as refused:
                            clients[name]
                        shown += [repr(failure), *traceback.format_exception(refused.value)]
                with pytest.raises(ExceptionGroup) as raised:
                    async with Clients.from_config(file, strict=True, timeout=20):
                        pytest.fail("the block was entered")
                shown += [repr(raised.value), *traceback.format_exception(raised.value), caplog.text]
        assert set(clients.failures) == set(servers) - {"good"}
        assert "NO_SUCH_VARIABLE_IS_SET" in "".join(shown)
        assert [text for text in shown if SECRET in text] == []
