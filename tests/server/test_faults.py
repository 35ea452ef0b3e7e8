"""What escapes a handler: the caller gets a code, a sentence and a reference; the log gets the exception."""

import socket
import ssl

import asyncpg
import httpx2
import pytest

from bascule import Client, MCPError, Server
from bascule.server.faults import meaning_of

SECRET = "postgres://admin:hunter2@10.0.0.3/files"
REQUEST = httpx2.Request("GET", SECRET)


class Stranger(ConnectionResetError):
    """Somebody's own class, below one that is known."""


@pytest.mark.parametrize(
    ("thrown", "code"),
    [
        (TimeoutError(SECRET), "upstream_timeout"),
        (httpx2.ReadTimeout(SECRET, request=REQUEST), "upstream_timeout"),
        (httpx2.PoolTimeout(SECRET, request=REQUEST), "upstream_timeout"),
        (asyncpg.QueryCanceledError(SECRET), "upstream_timeout"),
        (Stranger(SECRET), "upstream_failed"),
        (BrokenPipeError(32, SECRET), "upstream_failed"),
        (socket.gaierror(-2, SECRET), "upstream_failed"),
        (ssl.SSLCertVerificationError(1, SECRET), "upstream_failed"),
        (httpx2.ConnectError(SECRET, request=REQUEST), "upstream_failed"),
        (httpx2.HTTPStatusError(SECRET, request=REQUEST, response=httpx2.Response(500)), "upstream_failed"),
        (asyncpg.ConnectionDoesNotExistError(SECRET), "upstream_failed"),
        (asyncpg.TooManyConnectionsError(SECRET), "upstream_failed"),
        (PermissionError(13, SECRET), "permission_denied"),
        (asyncpg.InsufficientPrivilegeError(SECRET), "permission_denied"),
        (FileNotFoundError(2, SECRET), "internal"),
        (KeyError(SECRET), "internal"),
        (ExceptionGroup(SECRET, [TimeoutError(SECRET)]), "internal"),
    ],
)
async def test_a_caller_learns_the_kind_and_never_the_words(thrown, code, caplog):
    app = Server("t")

    @app.tool
    async def asks() -> str:
        raise thrown

    @app.resource("a://b")
    async def reads() -> str:
        raise thrown

    async with Client(app) as client:
        result = await client.call_tool("asks")
        with pytest.raises(MCPError) as caught:
            await client.read_resource("a://b")
    told = result.meta["dev.bascule/error"]
    assert told["code"] == code
    assert told["reference"] in result.content[0].text
    assert told["reference"] in caplog.text
    assert (caught.value.data or {}).get("code", "internal") == code
    for text in (result.content[0].text, str(told), caught.value.message, str(caught.value.data)):
        assert "hunter2" not in text
    assert "hunter2" in caplog.text


def test_a_class_that_only_shares_a_name_is_not_taken_for_another():
    class TimeoutException(Exception):
        pass

    assert type(meaning_of(TimeoutException(), "tool 'x'")).code == "internal"
