"""Serving: what refuses to start, and how a running server ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import httpx2
import pytest

from bascule import ConfigError, Server
from bascule.engine.settings import AuthSettings, HttpSettings, Settings
from bascule.serve import authenticator, check_public, run
from tests.messages import headers, request


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "10.0.0.1", "2130706433"])
def test_listening_beyond_loopback_without_credentials_is_refused(host):
    with pytest.raises(ConfigError) as caught:
        run(Server("t"), "http", host=host, port=0)
    assert "--allow-unauthenticated" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_credentials(host):
    check_public(HttpSettings(host=host))


def test_insisting_is_allowed_and_warned_about(caplog):
    check_public(HttpSettings(host="0.0.0.0", allow_unauthenticated=True))
    assert "WITHOUT credentials" in caplog.text


def test_credentials_open_a_public_address_without_insisting(caplog):
    check_public(HttpSettings(host="0.0.0.0"), guarded=True)
    check_public(HttpSettings(host="0.0.0.0", allow_unauthenticated=True), guarded=True)
    assert not caplog.records


def test_without_credentials_in_the_settings_there_is_no_door():
    assert authenticator(AuthSettings()) is None
    assert authenticator(AuthSettings(api_keys=("a-key-of-some-length",))) is not None


def test_a_key_database_that_cannot_be_used_keeps_a_server_from_starting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for settings in (Settings(auth=AuthSettings(keys="keys.db")), Settings(auth=AuthSettings(api_keys=("a b",)))):
        with pytest.raises(ConfigError, match=r"There is no key database keys.db|API key 1 in MCP_API_KEYS must be"):
            run(Server("t"), "http", port=0, settings=settings)
    monkeypatch.setenv("BASCULE_AUTH__KEYS", "keys.db")
    with pytest.raises(ConfigError, match="There is no key database"):
        Server("t").asgi()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "how", [{"MCP_API_KEYS": "a-key-from-the-environment"}, {"BASCULE_AUTH__API_KEYS": "a-key-from-the-environment"}]
)
def test_a_mounted_application_asks_for_keys_as_a_served_one_does(how, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in how.items():
        monkeypatch.setenv(name, value)

    async def asked(**extra):
        transport = httpx2.ASGITransport(Server("t").asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            message = request("tools/list")
            return (await client.post("/mcp", json=message, headers={**headers(message), **extra})).status_code

    assert asyncio.run(asked()) == 401
    assert asyncio.run(asked(authorization="Bearer a-key-from-the-environment")) != 401


def test_an_address_in_use_is_one_clear_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            run(Server("t"), "http", port=port)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "--port" in str(caught.value)


def test_an_unknown_transport_is_refused():
    with pytest.raises(ConfigError, match="stdio or http"):
        run(Server("t"), "carrier-pigeon")


SCRIPT = """
import threading
from contextlib import asynccontextmanager
from bascule import Server

@asynccontextmanager
async def lifespan(server):
    print("opened", flush=True)
    yield
    print("closed", flush=True)

app = Server("t", lifespan=lifespan)

@app.tool
def hang() -> str:
    threading.Event().wait()

app.run("http", port=0)
print("returned", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_closes_and_returns(number):
    environment = {name: value for name, value in os.environ.items() if name != "PORT"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            said = child.stderr.readline()
            assert "http://127.0.0.1:" in said
            base = said.split()[-1].removesuffix("/mcp")
            with urllib.request.urlopen(base + "/health", timeout=10) as answer:
                assert answer.status == 200
            child.send_signal(number)
            out, _ = child.communicate(timeout=10)
        finally:
            child.kill()
    assert child.returncode == 0
    assert out.split() == ["opened", "closed", "returned"]
