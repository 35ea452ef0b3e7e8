"""Entries of `mcpServers` files: every host's spelling is understood, faults are told by key, and no value shows."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bascule.client.client import Client
from bascule.client.connect import opener
from bascule.client.entries import Entry, read_entry
from bascule.client.env_file import MAX_BYTES, read_env_file
from bascule.client.placeholders import Placeholders
from bascule.errors import ConfigError
from tests.client.scripted import http, modern, speaking

CHILD = str(Path(__file__).parent.parent / "transports" / "child.py")
SECRET = "hunter2-hunter2"
URL = "https://example.test/mcp"


def read(entry: Any) -> Entry:
    return read_entry(entry, Placeholders({"TOKEN": SECRET, "PORT": "80", "BAD": "a\nb"}, "/w"))


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"command": "npx"}, Entry(command="npx", args=[])),
        (
            {"command": "./run", "args": ["-y", "${TOKEN}"], "env": {"T": "${env:TOKEN}", "N": 5, "F": 1.5, "X": None}},
            Entry(command="./run", args=["-y", SECRET], env={"T": SECRET, "N": "5", "F": "1.5"}),
        ),
        ({"type": "stdio", "command": "x", "url": ""}, Entry(command="x", args=[])),
        ({"command": "x", "args": None, "env": None, "cwd": None}, Entry(command="x", args=[])),
        ({"command": "x", "cwd": "/"}, Entry(command="x", args=[], cwd="/")),
        ({"type": "stdio", "command": "x", "url": URL, "headers": {"A": "b"}}, Entry(command="x", args=[])),
        ({"url": URL}, Entry(url=URL)),
        ({"url": "http://localhost:${PORT}/"}, Entry(url="http://localhost:80/")),
        ({"type": "http", "url": URL, "headers": {"X-Key": "${TOKEN}"}}, Entry(url=URL, headers={"X-Key": SECRET})),
        ({"type": "sse", "url": URL}, Entry(url=URL)),
        ({"type": "streamable-http", "url": URL}, Entry(url=URL)),
        ({"type": "streamableHttp", "url": URL}, Entry(url=URL)),
        ({"transport": "streamable_http", "url": URL}, Entry(url=URL)),
        ({"serverUrl": URL}, Entry(url=URL)),
        ({"httpUrl": URL, "url": "https://sse.example.test"}, Entry(url=URL)),
        ({"type": "http", "url": URL, "command": "x"}, Entry(url=URL)),
        ({"url": URL, "disabled": False, "timeout": 5, "gallery": True}, Entry(url=URL)),
    ],
)
def test_every_spelling_of_an_entry_is_understood(entry: Any, wanted: Entry) -> None:
    assert read(entry) == wanted


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({}, "neither a command nor a url"),
        ({"command": "", "url": ""}, "neither a command nor a url"),
        ({"command": "x", "url": URL}, "it has a command and a url"),
        ({"type": "websocket", "url": URL}, "'type' must be stdio, http, streamable-http or sse"),
        ({"type": "http", "command": "x"}, "its type needs a url"),
        ({"type": "stdio", "url": URL}, "its type needs a command"),
        ({"type": 5, "url": URL}, "'type' must be a text"),
        ({"command": ["x"]}, "'command' must be a text"),
        ({"command": 5}, "'command' must be a text"),
        ({"command": "x", "args": "-y"}, "'args' must be a list of texts"),
        ({"command": "x", "args": {"a": 1}}, "'args' must be a list of texts"),
        ({"command": "x", "args": [1]}, "'args' must be a text"),
        ({"command": "x", "env": ["A=b"]}, "'env' must be an object"),
        ({"command": "x", "env": {"A": ["b"]}}, "'A' in 'env' must be a text"),
        ({"command": "x", "env": {"A": True}}, "'A' in 'env' must be a text"),
        ({"command": "x", "env": {1: "b"}}, "'env' must be an object"),
        ({"command": "x", "env": {"A": "\0"}}, "'A' in 'env' has a character that cannot be passed on"),
        ({"command": "x", "env": {"A": "\ud800"}}, "a character that cannot be passed on"),
        ({"command": "x\0y"}, "'command' has a character"),
        ({"command": "x", "cwd": "/no/such/folder"}, "the folder in 'cwd' does not exist"),
        ({"command": "x", "envFile": "/no/such/file"}, "the file in 'envFile' cannot be read: No such file"),
        ({"command": "x", "envFile": "/"}, "the file in 'envFile' cannot be read"),
        ({"url": "ftp://x"}, "its url must begin with http"),
        ({"url": "HTTP://x"}, "its url must begin with http"),
        ({"url": "touch /tmp/x"}, "its url must begin with http"),
        ({"url": "http://"}, "its url must begin with http"),
        ({"url": "http://h:${TOKEN}/"}, "its url must begin with http"),
        ({"url": "http://[x/"}, "its url must begin with http"),
        ({"url": URL, "headers": "A: b"}, "'headers' must be an object"),
        ({"url": URL, "headers": {"A": "${NO_TOKEN}"}}, "variable NO_TOKEN, which 'A' in 'headers' needs, is not set"),
        ({"url": URL, "disabled": "yes"}, "'disabled' must be true or false"),
        ({"url": URL, "disabled": True}, "it is disabled"),
        (["x"], "it must be an object"),
        (None, "it must be an object"),
    ],
)
def test_what_is_wrong_is_told_by_its_key_and_without_a_value(entry: Any, match: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(entry)
    assert str(refused.value).startswith("The server's entry cannot be used: ")
    assert match in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_unknown_key_is_logged_by_its_name_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bascule"):
        read_entry({"url": URL, "apiKey": SECRET, "x": "${NOT_SET_AND_NOT_READ}"}, Placeholders({}), "The server 'a'")
    assert caplog.messages == ["The server 'a': ignored, because they are not known: 'apiKey', 'x'"]


def test_an_entry_shows_nothing_that_could_be_a_secret() -> None:
    stdio = read({"command": "x", "args": ["--key", SECRET], "env": {"KEY": SECRET}})
    remote = read({"url": f"{URL}?key={SECRET}", "headers": {"Authorization": SECRET}})
    assert SECRET in stdio.args
    assert SECRET in remote.headers.values()
    assert SECRET not in f"{stdio!r}{remote!r}{stdio}{remote}"


def test_home_is_read_as_a_shell_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sub").mkdir()
    (tmp_path / ".env").write_text("A=b")
    entry = read({"command": "~/bin/x", "args": ["~/y"], "cwd": "~/sub", "envFile": "~/.env"})
    assert (entry.command, entry.args, entry.cwd) == (f"{tmp_path}/bin/x", ["~/y"], f"{tmp_path}/sub")
    assert entry.env == {"A": "b"}


def test_a_file_of_variables_stands_behind_those_of_the_entry(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("A=file\nB=file\n")
    entry = read({"command": "x", "envFile": f"{tmp_path}/x.env", "env": {"B": "entry"}})
    assert entry.env == {"A": "file", "B": "entry"}


ENV_FILE = """\ufeff# a comment
PLAIN=a b
export EXPORTED = x=y
QUOTED="two\\nlines \\"x\\" \\d" # a comment
SINGLE='as it is \\n ${A} # no comment'
EMPTY=
COMMENTED=a#b # c
HASH=#x

PLAIN=later
UNEXPANDED=${HOME} $(id)
"""


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_of_variables_is_read_and_nothing_in_it_is_executed(tmp_path: Path, ending: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(ENV_FILE.replace("\n", ending).encode())
    assert read_env_file(str(file)) == {
        "PLAIN": "later",
        "EXPORTED": "x=y",
        "QUOTED": 'two\nlines "x" \\d',
        "SINGLE": "as it is \\n ${A} # no comment",
        "EMPTY": "",
        "COMMENTED": "a#b",
        "HASH": "#x",
        "UNEXPANDED": "${HOME} $(id)",
    }


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"A=b\n{SECRET}", "line 2 of the file in 'envFile' is not NAME=value"),
        (f"A='{SECRET}", "line 1 of the file in 'envFile' has a quote that is not closed"),
        (f'A=b\n\nB="{SECRET}\\"', "line 3 of the file in 'envFile' has a quote that is not closed"),
        ("A" * (MAX_BYTES + 1), "has more than"),
    ],
)
def test_a_file_of_variables_that_is_none_is_refused_by_its_line(tmp_path: Path, text: str, match: str) -> None:
    file = tmp_path / ".env"
    file.write_text(text)
    with pytest.raises(ConfigError, match=match) as refused:
        read_env_file(str(file))
    assert SECRET not in str(refused.value)


class TestAsTarget:
    async def test_a_client_takes_an_entry_with_a_command(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("BASCULE_TEST_TOKEN", SECRET)
        entry = {
            "command": sys.executable,
            "args": [CHILD, "polite"],
            "env": {"TOKEN": "${BASCULE_TEST_TOKEN}", "SLY": "$(id)"},
            "cwd": str(tmp_path),
        }
        async with Client(entry) as client:
            assert client.server is not None
            assert client.server.name == "polite"
            environment = (await client.call_tool("environment")).content[0].text  # type: ignore[union-attr]
            assert f'"TOKEN": "{SECRET}"' in environment
            assert '"SLY": "$(id)"' in environment
            assert "BASCULE_TEST_TOKEN" not in environment
            assert str(tmp_path) in (await client.call_tool("folder")).content[0].text  # type: ignore[union-attr]

    async def test_a_client_takes_an_entry_with_a_url(self) -> None:
        async with http(speaking(modern({"tools/list": {"tools": []}}))) as server:
            entry = {"type": "http", "url": server.url, "headers": {"X-One": "1", "X-Two": "2"}}
            async with Client(entry, headers={"X-Two": "3"}) as client:
                await client.list_tools()
        assert {(posted.headers["x-one"], posted.headers["x-two"]) for posted in server.posted} == {("1", "3")}

    async def test_a_relative_command_is_found_as_a_shell_finds_it(self, tmp_path: Path) -> None:
        """With a slash from the folder it runs in, without one on the path that it is given; never run by Python."""
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "server.py"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CHILD}" "$@"\n')
        script.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        for entry in (
            {"command": "bin/server.py", "args": ["polite"], "cwd": str(tmp_path)},
            {"command": "./server.py", "args": ["polite"], "cwd": str(folder)},
            {"command": "server.py", "args": ["polite"], "env": {"PATH": path}},
        ):
            async with Client(entry) as client:
                assert client.server is not None
                assert client.server.name == "polite"

    @pytest.mark.parametrize(
        ("entry", "match"),
        [
            ({"x": 1}, "neither a command nor a url"),
            ({"command": "x", "args": ["${NO_SUCH_VARIABLE}"]}, "NO_SUCH_VARIABLE"),
        ],
    )
    def test_what_is_no_entry_is_refused(self, entry: Any, match: str) -> None:
        with pytest.raises(ConfigError, match=match):
            Client(entry)

    def test_headers_without_a_url_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="Headers"):
            opener({"command": "x"}, headers={"A": "b"}, env=None, cwd=None)
