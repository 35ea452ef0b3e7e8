"""serve_http: the real server, from the first accepted connection to the last."""

import socket
from contextlib import asynccontextmanager

import httpx2
import pytest

from bascule import Client, Server
from bascule.testing import serve_http


@pytest.fixture
def app():
    server = Server("served")

    @server.tool(inline=True)
    def add(a: int, b: int) -> int:
        return a + b

    return server


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_client_can_call_it_while_the_block_runs_and_not_after(app, era):
    with serve_http(app) as serving:
        async with Client(serving.url, era=era) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(serving.address).close()


def test_settings_are_those_of_http(app):
    with serve_http(app, path="/elsewhere", max_body_bytes=1_000) as serving:
        assert serving.url.endswith("/elsewhere")
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        assert httpx2.post(serving.url, content=b" " * 1_001, headers=headers).status_code == 413


def test_a_setting_that_does_not_exist_is_refused(app):
    with pytest.raises(TypeError, match="ports"), serve_http(app, ports=1):
        pass


def test_two_servers_run_side_by_side(app):
    with serve_http(app) as one, serve_http(app) as other:
        assert one.address != other.address


def test_what_keeps_a_server_from_starting_is_raised_where_it_was_started():
    @asynccontextmanager
    async def lifespan(server):
        raise RuntimeError("no database")
        yield

    with pytest.raises(RuntimeError, match="no database"), serve_http(Server("broken", lifespan=lifespan)):
        pytest.fail("it started")
