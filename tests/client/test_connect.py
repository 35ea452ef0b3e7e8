"""Every kind of target is recognised, and what is none is refused with a sentence that says what would be."""

import sys
from pathlib import Path
from typing import Any

import pytest

from bascule.client.client import Client
from bascule.client.connect import StdioCommand, _command, opener
from bascule.errors import ConfigError
from bascule.runtime.caller import Caller
from bascule.runtime.inbox import Inbox
from bascule.server.app import Server


@pytest.mark.parametrize("target", [None, 5, b"server", [1, 2], object()])
def test_what_is_no_target_is_a_type_error(target: Any) -> None:
    with pytest.raises(TypeError, match="give it a server object, a URL"):
        Client(target)


@pytest.mark.parametrize(("target", "match"), [("", "empty"), ([], "empty"), ("a 'b", "cannot be read")])
def test_a_command_that_is_none_is_refused(target: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Client(target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("npx -y 'a b'", ["npx", "-y", "a b"]),
        (["npx", "a b"], ["npx", "a b"]),
        ("server.py --port 1", [sys.executable, "server.py", "--port", "1"]),
        (Path("a b/server.py"), [sys.executable, "a b/server.py"]),
        (StdioCommand("x", ["y"]), ["x", "y"]),
    ],
)
def test_commands_are_split_into_words(target: Any, words: list[str]) -> None:
    command = _command(target)
    assert command is not None
    assert [command.command, *command.args] == words


def test_a_file_whose_name_has_blanks_is_one_word(tmp_path: Path) -> None:
    file = tmp_path / "my server.py"
    file.touch()
    command = _command(str(file))
    assert command is not None
    assert list(command.args) == [str(file)]


@pytest.mark.parametrize("target", ["server.py", Server("x")])
def test_headers_without_a_url_are_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match="Headers"):
        Client(target, headers={"A": "b"})


def test_a_server_object_is_reached_in_memory() -> None:
    assert isinstance(opener(Server("x"), headers=None, env=None, cwd=None).first(Inbox()), Caller)


def test_an_unknown_era_is_refused() -> None:
    with pytest.raises(ValueError, match="'modern', 'legacy' or None"):
        Client("x", era="new")  # type: ignore[arg-type]


def test_a_command_shows_no_secret() -> None:
    command = StdioCommand("serve", ["--token", "hush"], {"KEY": "hush"})
    assert repr(command) == "StdioCommand('serve')"
