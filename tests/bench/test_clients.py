"""The programs that measure clients, run as the benchmark runs them, with Bascule's own."""

import subprocess
import sys

import pytest

from bascule import Server
from bascule.testing import serve_http
from bench.child import Failed
from bench.environments import ROOT
from bench.measure_clients import CLIENTS, _number


@pytest.fixture(scope="module")
def url():
    app = Server("adder")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    with serve_http(app) as running:
        yield running.url


def measured(*arguments):
    return _number([sys.executable, "bench/clients/bascule_client.py", *arguments])


def test_cpu_of_a_call_is_seconds(url):
    assert 1e-5 < measured("calls", url, "100") < 1e-2
    assert 1e-5 < measured("in-memory", "100") < 1e-2


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_an_open_client_is_measured_in_kib(url, era):
    assert 1 < measured("open", url, "50", era) < 200


def test_a_program_that_fails_is_told():
    with pytest.raises(Failed, match="bascule_client"):
        measured("calls", "http://127.0.0.1:9/mcp", "1")


@pytest.mark.parametrize("name", CLIENTS)
def test_every_client_has_its_program(name):
    program = ROOT / f"bench/clients/{name}_client.py"
    subprocess.run([sys.executable, "-m", "py_compile", str(program)], check=True)
