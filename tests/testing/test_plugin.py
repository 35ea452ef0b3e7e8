"""The pytest plugin, in a pytest of its own."""

from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "bascule.testing.plugin"

TESTS = """
import asyncio
import sys
from bascule import Client, Server

app = Server("tested")

@app.tool
def add(a: int, b: int) -> int:
    return a + b

async def add_over(client):
    async with client:
        result = await client.call_tool("add", {"a": 1, "b": 2})
        return client.era, result.structured_content["result"]

def test_memory_of_one_era(bascule_client):
    assert asyncio.run(add_over(bascule_client(app, era="legacy"))) == ("legacy", 3)
    assert asyncio.run(add_over(bascule_client(app))) == ("modern", 3)

def test_memory_in_both_eras(bascule_client, bascule_era):
    assert asyncio.run(add_over(bascule_client(app, era=bascule_era))) == (bascule_era, 3)

urls = []

def test_http(serve_http):
    one, other = serve_http(app), serve_http(app, path="/other")
    urls.extend([one.url, other.url])
    assert asyncio.run(add_over(Client(one.url))) == ("modern", 3)
    assert asyncio.run(add_over(Client(other.url))) == ("modern", 3)

def test_http_ends_with_the_test():
    import socket
    for url in urls:
        try:
            socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))).close()
        except OSError:
            continue
        raise AssertionError(url)

def test_stdio(serve_stdio):
    assert asyncio.run(add_over(Client(serve_stdio(app)))) == ("modern", 3)

def test_clock(manual_clock):
    manual_clock.advance(2)
    assert manual_clock() == 2
"""

UNUSED = """
import sys

def test_nothing_is_loaded():
    assert sorted(name for name in sys.modules if name.startswith("bascule")) == [
        "bascule", "bascule.late", "bascule.testing", "bascule.testing.plugin", "bascule.version"
    ]
    assert "msgspec" not in sys.modules
"""


def options() -> list[str]:
    """How the plugin is loaded: by its entry point where this very version is installed, else by name."""
    installed = [point for point in entry_points(group="pytest11") if point.value == PLUGIN]
    return [] if installed else ["-p", PLUGIN]


def run(pytester: pytest.Pytester, *more: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(*options(), "-p", "no:asyncio", "-W", "error", *more)


def test_every_fixture_works_without_a_plugin_for_async_tests(pytester):
    pytester.makepyfile(test_server=TESTS)
    run(pytester).assert_outcomes(passed=7)


def test_a_project_that_does_not_use_it_pays_nothing(pytester):
    pytester.makepyfile(UNUSED)
    run(pytester, "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_async_tests_use_the_same_fixtures(pytester):
    pytester.makepyfile(
        """
        from bascule import Server

        async def test_it(bascule_client):
            async with bascule_client(Server("x")) as client:
                assert client.server.name == "x"
        """
    )
    settings = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    pytester.runpytest_subprocess(*options(), *settings, "-W", "error").assert_outcomes(passed=1)


def test_fixtures_tell_what_they_are(pytester):
    found = run(pytester, "--fixtures").stdout.str()
    for name in ("bascule_client", "bascule_era", "serve_http", "serve_stdio", "manual_clock"):
        assert f"\n{name} --" in found
    assert "no docstring" not in found.partition("bascule_client")[2]


def test_the_distribution_announces_the_plugin():
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"bascule": PLUGIN}
