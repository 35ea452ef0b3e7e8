"""The tree of the attack table, and servers of it that are really started."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from bascule import Client
from tests.cli.command import environment, started, url_of
from tests.guards.confirmed import yes
from tests.servers.files import tree

KEY = "a-key-of-the-tests-0123456789abcdef"
SETTINGS = '[limits]\nrate = ""\nper_address = ""\n\n[load]\nmax_repeats = 0\n'

STEPS = """
from bascule.checks import openat2
openat2.available = lambda: False
from bascule.servers.files.server import build
app = build([{root!r}], write=True)
"""

Opening = Callable[[Path], AbstractAsyncContextManager[Client]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree.make(tmp_path)


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings without limits on how often a caller calls: the tables are long."""
    file = tmp_path_factory.mktemp("settings") / "bascule.toml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture(params=["stdio", "stdio, without openat2", "http"])
def opened(request: pytest.FixtureRequest, settings: Path) -> Opening:
    """A function that serves a root with `--write`, and gives a client of it whose user says yes to everything."""

    @asynccontextmanager
    async def over_stdio(root: Path) -> AsyncIterator[Client]:
        target = ["files", "--root", str(root), "--write"]
        if request.param != "stdio":
            file = settings.with_name("steps.py")
            file.write_text(STEPS.format(root=str(root)))
            target = [str(file)]
        command = [sys.executable, "-m", "bascule", "serve", *target, "--config", str(settings)]
        async with Client(command, env=environment(), on_elicit=yes) as client:
            yield client

    @asynccontextmanager
    async def over_http(root: Path) -> AsyncIterator[Client]:
        keys = f"{KEY}=files:write+files:move+files:delete"
        options = ["-t", "http", "-p", "0", "--root", str(root), "--write", "--config", str(settings)]
        with started("serve", "files", *options, MCP_API_KEYS=keys) as server:
            headers = {"Authorization": f"Bearer {KEY}"}
            async with Client(url_of(server), headers=headers, on_elicit=yes) as client:
                yield client

    return over_http if request.param == "http" else over_stdio
