"""Serving: what refuses to start, and how a running server ends."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from bascule import ConfigError, Server
from bascule.engine.settings import HttpSettings
from bascule.serve import check_public, run


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
