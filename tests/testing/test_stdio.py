"""serve_stdio: commands that start the server that is meant, in a process of its own."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bascule import Client, ConfigError, Server
from bascule.testing import serve_stdio

app = Server("of the test file")


@app.tool(inline=True)
def pid() -> int:
    return os.getpid()


FILE = """
from bascule import Server
import neighbour
left, right = Server("left"), Server(neighbour.NAME)
"""


async def test_a_server_of_a_module_runs_in_a_process_of_its_own():
    async with Client(serve_stdio(app)) as client:
        assert client.server.name == "of the test file"
        assert (await client.call_tool("pid")).structured_content["result"] != os.getpid()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "servers.py").write_text(FILE)
    (tmp_path / "neighbour.py").write_text("NAME = 'right'\n")
    return tmp_path / "servers.py"


async def test_a_path_may_name_the_object_and_be_relative(file, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(file.parent)
    command = serve_stdio("servers.py:right", cwd=tmp_path_factory.mktemp("elsewhere"))
    async with Client(command) as client:
        assert client.server.name == "right"


def test_a_module_that_the_path_does_not_lead_to_is_served_as_a_file(file, monkeypatch):
    module = ModuleType("package.that.is.not.there")
    module.__file__, module.left = str(file), Server("left")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert serve_stdio(module.left).args[-1] == f"{file}:left"


def test_the_child_imports_from_where_this_process_does_and_gets_what_it_is_given(monkeypatch):
    monkeypatch.syspath_prepend("/some/folder")
    command = serve_stdio("sql", env={"DATABASE_URL": "sqlite:///x"})
    assert command.args[-1] == "sql"
    assert command.env["PYTHONPATH"].split(os.pathsep)[0] == str(Path("/some/folder").absolute())
    assert command.env["DATABASE_URL"] == "sqlite:///x"


def test_a_server_that_no_module_holds_cannot_be_found():
    with pytest.raises(ConfigError, match="No module holds the server 'hidden'"):
        serve_stdio(Server("hidden"))
