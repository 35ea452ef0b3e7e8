"""serve: real clients over stdio and HTTP, clean ends, reloading."""

import re
import signal
import sys
from pathlib import Path

import httpx2
import pytest

from bascule import Client
from bascule.cli.reload import stamp
from bascule.cli.targets import find
from bascule.cli.targets import folder as folder_of
from bascule.errors import ConfigError
from tests.cli.command import SERVING, line_with, run, started, url_of

SERVER = """
from bascule import Server
app = Server("{name}")
"""


@pytest.mark.parametrize("target", ["shop.py", "shop.py:app", "shop", "shop:app"])
async def test_a_server_that_prints_is_served_over_stdio(folder, target):
    command = [sys.executable, "-m", "bascule", "serve", target]
    async with Client(command, cwd=folder) as client:
        assert client.server.name == "shop"
        assert (await client.call_tool("add", {"a": 1})).structured_content == {"result": 3}


async def test_the_sample_database_is_served_over_stdio():
    async with Client([sys.executable, "-m", "bascule", "serve", "sql"]) as client:
        result = await client.call_tool("query_database", {"sql": "SELECT count(*) > 0 FROM products"})
    assert result.structured_content["rows"] == [[1]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_http_serves_until_a_signal_and_ends_with_code_0(folder, number):
    with started("serve", "shop.py", "-t", "http", "-p", "0", cwd=folder) as server:
        async with Client(url_of(server)) as client:
            assert (await client.call_tool("add", {"a": 2, "b": 2})).structured_content == {"result": 4}
        server.send_signal(number)
        _, err = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "Traceback" not in err


def test_stdio_ends_with_its_input():
    done = run("serve", "sql")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_server_that_cannot_be_loaded_is_told_in_one_line(folder):
    done = run("serve", "raises.py", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: raises.py cannot be loaded: ZeroDivisionError: division by zero (--debug shows where)\n"
    )


def test_the_public_is_not_served_without_saying_so():
    done = run("serve", "sql", "-t", "http", "--host", "0.0.0.0", "-p", "0")
    assert done.returncode == 2
    assert "--allow-unauthenticated" in done.stderr


def test_old_clients_are_served_over_http_where_it_is_asked_for():
    with started("serve", "sql", "-t", "http", "-p", "0", "--legacy-sse") as server:
        base = url_of(server).removesuffix("/mcp")
        assert (
            httpx2.post(base + "/messages/?session_id=none", json={})
            .json()["error"]["message"]
            .startswith("There is no such stream")
        )
    done = run("serve", "sql", "--legacy-sse")
    assert (done.returncode, done.stderr) == (2, "Error: --legacy-sse is for HTTP: add --transport http\n")


def test_settings_come_from_the_file_that_is_named(tmp_path):
    (tmp_path / "own.toml").write_text('[http]\npath = "/elsewhere"\nport = 0\n')
    with started("serve", "sql", "-t", "http", "--config", "own.toml", cwd=tmp_path) as server:
        assert url_of(server).endswith("/elsewhere")


def test_the_database_may_come_from_the_environment(tmp_path):
    done = run("serve", "sql", DATABASE_URL="mysql://secret@host/name")
    assert done.returncode == 2
    assert "secret" not in done.stderr


def test_a_change_restarts_the_server_and_a_mistake_waits_for_the_next(tmp_path):
    file = tmp_path / "app.py"
    file.write_text(SERVER.format(name="first"))
    with started("serve", "app.py", "-t", "http", "-p", "0", "--reload", cwd=tmp_path) as server:
        assert "first" in line_with(server, SERVING)
        file.write_text("x = (\n# a mistake")
        line_with(server, r"app\.py has changed; restarting")
        line_with(server, r"ended with code 2; waiting for a change")
        file.write_text(SERVER.format(name="second"))
        assert "second" in line_with(server, SERVING)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
    assert server.returncode == 0


def test_only_python_files_of_ones_own_are_watched(tmp_path):
    for name in ("a.py", "deep/b.py", ".venv/c.py", "node_modules/d.py", "__pycache__/e.py", "f.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert {path.name for path in stamp(tmp_path)} == {"a.py", "b.py"}


def test_the_folder_of_a_target_is_found_without_importing_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert folder_of("raises.py:app") == folder
    assert folder_of("raises:app") == folder
    assert "raises" not in sys.modules


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("json", (None, "json", None)),
        ("json.decoder:app", (None, "json.decoder", "app")),
        ("json:a.b", (None, "json", "a.b")),
    ],
)
def test_a_module_target_is_taken_apart(target, place):
    assert find(target) == place


@pytest.mark.parametrize("target", ["a b", "", "1x", "x.py.txt", "x:y:z"])
def test_what_is_no_target_is_refused(target):
    with pytest.raises(ConfigError):
        find(target)


def test_a_file_that_has_the_name_of_a_library_is_served(tmp_path):
    (tmp_path / "json.py").write_text(SERVER.format(name="odd"))
    done = run("list", "json.py", cwd=tmp_path)
    assert done.returncode == 0
    assert re.search("offers no tools", done.stderr)


def test_a_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "neighbour.py").write_text("NAME = 'found'\n")
    (tmp_path / "inner" / "app.py").write_text(
        "from neighbour import NAME\nfrom bascule import Server\nmcp = Server(NAME)\n\n"
        "@mcp.tool\ndef name() -> str:\n    return NAME\n"
    )
    assert run("call", str(Path("inner") / "app.py"), "name", cwd=tmp_path).stdout == "found\n"
