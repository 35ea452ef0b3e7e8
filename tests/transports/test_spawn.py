"""A server as a child process: it is spoken to, its death is noticed, and nothing of it is ever left behind."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bascule.client.client import Client
from bascule.client.connect import StdioCommand
from bascule.engine.framing import TooLong
from bascule.errors import ConnectionLost
from bascule.transports.spawn import SpawnStream, safe_environment

CHILD = str(Path(__file__).with_name("child.py"))


def command(mode: str) -> list[str]:
    return [sys.executable, CHILD, mode]


async def asked(client: Client, tool: str) -> Any:
    result = await client.call_tool(tool)
    return json.loads(result.content[0].text)  # type: ignore[union-attr]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Wait until a process has ended, five seconds at most."""
    ended = asyncio.Event()
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


class Heard:
    """Listens to a stream, and knows when it has ended."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.cause: Exception | None = None
        self.ended = asyncio.Event()
        self.said = asyncio.Event()

    def on_line(self, line: bytes) -> None:
        self.lines.append(line)
        self.said.set()

    def on_close(self, cause: Exception | None) -> None:
        assert not self.ended.is_set()
        self.cause = cause
        self.ended.set()


async def test_a_command_is_a_server() -> None:
    async with Client(command("polite")) as client:
        assert client.server is not None
        assert client.server.name == "polite"
        assert await client.list_tools() == []
        pid = await asked(client, "number")
    assert not alive(pid)


@pytest.mark.parametrize(
    "target",
    [
        CHILD,
        Path(CHILD),
        f"{CHILD} polite",
        f"{sys.executable} {CHILD}",
        (sys.executable, CHILD),
        StdioCommand(sys.executable, [CHILD]),
    ],
    ids=["file", "path", "file with arguments", "command line", "words", "StdioCommand"],
)
async def test_every_spelling_of_a_command_is_understood(target: Any) -> None:
    async with Client(target) as client:
        await client.ping()


@pytest.mark.parametrize("mode", ["deaf", "stubborn"])
async def test_a_child_that_will_not_end_is_ended(mode: str) -> None:
    heard = Heard()
    stream = SpawnStream(command(mode), exit_grace=0.05)
    await stream.start(heard.on_line, heard.on_close)
    stream.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    await heard.said.wait()
    assert stream.pid is not None
    await stream.close()
    assert not alive(stream.pid)
    await stream.close()


async def test_grandchildren_end_with_the_child() -> None:
    async with Client(command("polite")) as client:
        grandchild = await asked(client, "grandchild")
        assert alive(grandchild)
    await gone(grandchild)


async def test_grandchildren_end_when_the_child_dies() -> None:
    async with Client(command("fatal")) as client:
        grandchild = await asked(client, "grandchild")
        with pytest.raises(ConnectionLost):
            await client.call_tool("die")
        await gone(grandchild)


async def test_a_child_that_dies_fails_the_calls_under_way_at_once() -> None:
    async with Client(command("fatal"), timeout=30) as client:
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionLost, match="exit code 3"):
                await client.call_tool("die")
            await client.ping()


async def test_a_child_that_is_killed_says_by_which_signal() -> None:
    async with Client(command("polite")) as client:
        pid = await asked(client, "number")
        call = asyncio.create_task(client.ping())
        os.kill(pid, signal.SIGKILL)
        outcome = (await asyncio.gather(call, return_exceptions=True))[0]
        assert outcome is None or "signal 9" in str(outcome)


async def test_a_caller_cancelled_in_the_middle_leaves_nothing_behind() -> None:
    numbers: list[int] = []
    inside = asyncio.Event()

    async def use() -> None:
        async with Client(command("stubborn")) as client:
            numbers.append(await asked(client, "number"))
            numbers.append(await asked(client, "grandchild"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await inside.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # again, while it closes
    with pytest.raises(asyncio.CancelledError):
        await task
    for number in numbers:
        await gone(number)


async def test_a_caller_cancelled_while_it_connects_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[SpawnStream] = []
    start = SpawnStream.start

    async def started(self: SpawnStream, *callbacks: Any) -> None:
        await start(self, *callbacks)
        streams.append(self)
        task.cancel()

    async def use() -> None:
        async with Client(command("polite")):
            pytest.fail("it must not connect")

    monkeypatch.setattr(SpawnStream, "start", started)
    task = asyncio.create_task(use())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert streams[0].pid is not None
    await gone(streams[0].pid)


async def test_a_server_that_ends_at_the_probe_is_started_again_and_shaken_hands_with() -> None:
    async with Client(command("strict")) as client:
        assert client.era == "legacy"
        await client.ping()


@pytest.mark.parametrize("words", [["/no/such/program"], [CHILD + "x"], ["/"]])
async def test_a_command_that_cannot_be_started_is_a_clear_error(words: list[str]) -> None:
    with pytest.raises(ConnectionLost, match="cannot be started"):
        async with Client(words):
            pass


async def test_a_folder_that_does_not_exist_is_a_clear_error() -> None:
    with pytest.raises(ConnectionLost, match="cannot be started"):
        async with Client(command("polite"), cwd="/no/such/folder"):
            pass


async def test_the_child_sees_no_secrets_but_what_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_SECRET", "x")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("SHELL", "() { evil; }")
    target = StdioCommand(sys.executable, [CHILD, "polite"], env={"GIVEN": "1", "BOTH": "1"}, cwd="/")
    async with Client(target, env={"BOTH": "2"}, cwd=tmp_path) as client:
        seen = await asked(client, "environment")
        assert await asked(client, "folder") == str(tmp_path)
    assert "MY_SECRET" not in seen
    assert (seen["GIVEN"], seen["BOTH"], seen["LC_TIME"], seen["PATH"]) == ("1", "2", "C", os.environ["PATH"])
    assert "SHELL" not in safe_environment()


async def test_a_line_that_is_too_long_is_marked_and_the_next_is_read() -> None:
    heard = Heard()
    stream = SpawnStream(command("flood"), max_bytes=1000)
    await stream.start(heard.on_line, heard.on_close)
    stream.write(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"flood"}}')
    stream.write(b'{"jsonrpc":"2.0","id":2,"method":"ping"}')
    async with asyncio.timeout(10):
        while len(heard.lines) < 2:
            heard.said.clear()
            await heard.said.wait()
    assert type(heard.lines[0]) is TooLong
    assert json.loads(heard.lines[1])["id"] == 2
    await stream.close()


async def test_the_end_is_told_once_and_nothing_is_written_after_it() -> None:
    heard = Heard()
    stream = SpawnStream([sys.executable, "-c", "print('{}')"])
    await stream.start(heard.on_line, heard.on_close)
    await heard.ended.wait()
    assert heard.lines == [b"{}"]
    assert isinstance(heard.cause, ConnectionLost)
    stream.write(b"{}")
    await stream.drain()
    await stream.close()


async def test_a_large_message_is_written_whole() -> None:
    heard = Heard()
    stream = SpawnStream([sys.executable, "-c", "import sys; print(len(sys.stdin.readline()), flush=True)"])
    await stream.start(heard.on_line, heard.on_close)
    stream.write(b"x" * 5_000_000)
    await stream.drain()
    await heard.ended.wait()
    assert heard.lines == [b"5000001"]
    await stream.close()


@pytest.mark.parametrize(
    "promise",
    [
        test_a_command_is_a_server,
        lambda: test_a_child_that_will_not_end_is_ended("stubborn"),
        test_grandchildren_end_with_the_child,
        test_grandchildren_end_when_the_child_dies,
        test_a_child_that_dies_fails_the_calls_under_way_at_once,
        test_a_caller_cancelled_in_the_middle_leaves_nothing_behind,
        test_a_server_that_ends_at_the_probe_is_started_again_and_shaken_hands_with,
        lambda: test_a_command_that_cannot_be_started_is_a_clear_error(["/no/such/program"]),
        test_a_line_that_is_too_long_is_marked_and_the_next_is_read,
        test_the_end_is_told_once_and_nothing_is_written_after_it,
        test_a_large_message_is_written_whole,
    ],
)
def test_the_same_holds_on_uvloop(promise: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(promise())
