"""with_faults: each fault on a byte stream as a client meets it."""

import ast
import asyncio
import re
from pathlib import Path

import pytest

from bascule import CallTimedOut, Client, ConfigError, ConnectionLost, MCPError, Server, testing
from bascule.testing import Faults, ManualClock, serve_stdio, with_faults

CALL = "tools/call"

app = Server("on a stream")
calls = []


@app.tool(inline=True)
def add(a: int, b: int) -> int:
    calls.append((a, b))
    return a + b


async def added(client, a, b, within=None):
    return (await client.call_tool("add", {"a": a, "b": b}, timeout=within)).structured_content["result"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_without_faults_everything_passes(era):
    async with with_faults(Client(app, era=era)) as client:
        assert await added(client, 1, 2) == 3


@pytest.mark.parametrize("fault", [{"close_before_answer": True}, {"drop_after": 0}, {"drop_after": 5}])
async def test_a_stream_that_breaks_is_lost_and_the_server_has_worked(fault):
    before = len(calls)
    async with with_faults(Client(app, era="modern"), Faults(**fault, method=CALL)) as client:
        with pytest.raises(ConnectionLost):
            await added(client, 5, 6)
        assert calls[before:] == [(5, 6)]


async def test_counts_go_on_when_the_client_connects_again():
    rule = Faults(close_before_answer=True, method=CALL, nth=(1, 3))
    async with with_faults(Client(app, era="modern"), rule) as client:
        for broken in (True, False, True, False):
            if broken:
                with pytest.raises(ConnectionLost):
                    await added(client, 1, 2)
            else:
                assert await added(client, 1, 2) == 3


async def test_an_answer_that_is_shorter_than_the_limit_passes_whole():
    async with with_faults(Client(app), Faults(drop_after=100_000), Faults(truncate=100_000)) as client:
        assert await added(client, 1, 2) == 3


@pytest.mark.parametrize(
    ("fault", "warnings"),
    [({"truncate": 10}, 1), ({"garbage": b"{]"}, 1), ({"garbage": b"\n?\n!\n"}, 2), ({"truncate": 0}, 0)],
)
async def test_bytes_that_are_no_answer_leave_the_call_without_one_and_harm_no_other(fault, warnings, caplog):
    async with with_faults(Client(app, era="modern"), Faults(**fault, method=CALL, nth=1)) as client:
        with pytest.raises(CallTimedOut):
            await added(client, 1, 2, within=0.05)
        assert await added(client, 3, 4) == 7
    assert caplog.text.count("cannot be read") == warnings


async def test_an_answer_that_comes_twice_changes_nothing():
    async with with_faults(Client(app, era="modern"), Faults(duplicate=True)) as client:
        assert [await added(client, 1, 2), await added(client, 3, 4)] == [3, 7]


async def test_a_delay_holds_back_one_answer_and_no_other():
    clock = ManualClock()
    rule = Faults(delay=60, method=CALL, nth=1)
    async with with_faults(Client(app, era="modern"), rule, clock=clock) as client:
        late = asyncio.create_task(added(client, 1, 2))
        await clock.until_sleeping()
        assert await added(client, 3, 4) == 7
        assert not late.done()
        clock.advance(60)
        assert await late == 3


async def test_closing_does_not_wait_for_what_is_held_back():
    clock = ManualClock()
    async with with_faults(Client(app, era="modern"), Faults(delay=60, method=CALL), clock=clock) as client:
        late = asyncio.create_task(added(client, 1, 2))
        await clock.until_sleeping()
    with pytest.raises(ConnectionLost):
        await late
    assert clock.sleeping == 0


async def test_a_command_has_faults_too():
    rules = [Faults(garbage=b"?", method=CALL, nth=1), Faults(close_before_answer=True, method=CALL, nth=2)]
    async with with_faults(Client(serve_stdio(app), era="modern"), *rules) as client:
        with pytest.raises(CallTimedOut):
            await added(client, 1, 2, within=0.05)
        assert len(await client.list_tools()) == 1
        with pytest.raises(ConnectionLost):
            await added(client, 1, 2)


def test_a_status_is_not_for_streams():
    with pytest.raises(ConfigError, match="no status"):
        with_faults(Client(app), Faults(status=500))


def test_a_url_has_the_proxy_instead():
    with pytest.raises(ConfigError, match="faulty_http"):
        with_faults(Client("http://127.0.0.1:1/mcp"), Faults(garbage=b""))


async def test_a_client_that_is_connected_takes_no_faults_any_more():
    async with Client(app) as client:
        with pytest.raises(RuntimeError, match="connected already"):
            with_faults(client, Faults(garbage=b""))


async def test_what_is_watched_is_what_the_server_has_said():
    seen = []
    watched = Client(app, era="modern", on_wire=lambda sent, data, head: seen.append(data))
    async with with_faults(watched, Faults(truncate=30, method=CALL)) as client:
        with pytest.raises(MCPError, match="cannot be read"):
            await added(client, 1, 2)
    assert b'"result":3' in seen[-1]


def test_the_kit_reaches_into_nothing_private():
    """Whatever begins with one underscore belongs to the object itself, or to the module."""
    folder = Path(testing.__file__).parent
    reached = []
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            private = isinstance(node, ast.Attribute) and re.fullmatch("_(?!_|replace$|asdict$).*", node.attr)
            if private and ast.unparse(node.value) != "self":
                reached.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert reached == []
