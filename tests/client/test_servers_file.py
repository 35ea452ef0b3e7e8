"""Files that list servers: every host's form is read; a fault of the file is an error, one of an entry its own."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bascule.client import servers_file
from bascule.client.entries import Entry
from bascule.client.servers_file import Listed, is_document, read_document, read_file, workspace_of
from bascule.errors import ConfigError

SECRET = "hunter2-hunter2"
URL = "https://example.test/mcp"

CLAUDE_DESKTOP = """
{
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "server-filesystem", "/home/ada"]},
    "old": {"command": "x", "disabled": true}
  },
  "globalShortcut": ""
}
"""
CLAUDE_CODE = """
{
  "mcpServers": {
    "api": {
      "type": "http",
      "url": "${API_BASE:-https://example.test}/mcp",
      "headers": {"Authorization": "Bearer ${TOKEN}"}
    },
    "tool": {"type": "stdio", "command": "${CLAUDE_ROOT:-/opt}/tool", "args": [], "env": {}}
  }
}
"""
CURSOR = """
{
  "mcpServers": {
    "local": {
      "command": "python",
      "args": ["${workspaceFolder}/tools/server.py"],
      "env": {"API_KEY": "${env:TOKEN}"}
    },
    "remote": {"url": "https://example.test/mcp"}
  }
}
"""
VSCODE = """
// Servers of this workspace
{
  "inputs": [
    {"type": "promptString", "id": "key", "description": "API key", "password": true},
    {"type": "pickString", "id": "mode", "options": ["a", "b"], "default": "a"},
  ],
  "servers": {
    "local": { /* started here */
      "type": "stdio",
      "command": "node",
      "args": ["${workspaceFolder}/x.js", "--mode=${input:mode}"],
      "env": {"KEY": "${input:key}", "PORT": 8080, "UNSET": null},
      "dev": {"watch": "x"},
    },
    "remote": {"type": "http", "url": "https://example.test/mcp"},
    "events": {"type": "sse", "url": "https://example.test/mcp"},
  },
}
"""


def written(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def listed(file: Path, inputs: dict[str, str] | None = None) -> Listed:
    return read_document(read_file(file), {"TOKEN": SECRET}, workspace=workspace_of(file), inputs=inputs)


class TestHosts:
    def test_claude_desktop(self, tmp_path: Path) -> None:
        found = listed(written(tmp_path, "claude_desktop_config.json", CLAUDE_DESKTOP))
        assert found.targets == {"files": Entry(command="npx", args=["-y", "server-filesystem", "/home/ada"])}
        assert (found.disabled, found.faults) == ({"old"}, {})

    def test_claude_code(self, tmp_path: Path) -> None:
        found = listed(written(tmp_path, ".mcp.json", CLAUDE_CODE))
        assert found.targets == {
            "api": Entry(url=URL, headers={"Authorization": f"Bearer {SECRET}"}),
            "tool": Entry(command="/opt/tool", args=[]),
        }

    def test_cursor(self, tmp_path: Path) -> None:
        found = listed(written(tmp_path, ".cursor/mcp.json", CURSOR))
        assert found.targets == {
            "local": Entry(command="python", args=[f"{tmp_path}/tools/server.py"], env={"API_KEY": SECRET}),
            "remote": Entry(url=URL),
        }

    def test_vs_code(self, tmp_path: Path) -> None:
        found = listed(written(tmp_path, ".vscode/mcp.json", VSCODE), {"key": "${TOKEN}"})
        assert found.targets == {
            "local": Entry(
                command="node", args=[f"{tmp_path}/x.js", "--mode=a"], env={"KEY": "${TOKEN}", "PORT": "8080"}
            ),
            "remote": Entry(url=URL),
            "events": Entry(url=URL),
        }

    def test_an_input_that_is_not_given_is_a_fault_of_the_server_that_needs_it(self, tmp_path: Path) -> None:
        found = listed(written(tmp_path, ".vscode/mcp.json", VSCODE))
        assert set(found.targets) == {"remote", "events"}
        assert str(found.faults["local"]) == (
            "The server 'local' cannot be used: the input 'key', which 'KEY' in 'env' needs, is not given and has no "
            "default"
        )

    def test_what_an_input_would_run_is_not_run(self, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        inputs = [{"id": "x", "type": "command", "command": f"touch {ran}"}, "x", {"id": 5}, {"default": "y"}]
        document = {"inputs": inputs, "servers": {"a": {"command": "${input:x}"}}}
        found = read_document(document, {})
        assert "input 'x'" in str(found.faults["a"])
        assert not ran.exists()


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert "files" in listed(written(tmp_path, "x.json", b"\xef\xbb\xbf" + CLAUDE_DESKTOP.encode())).targets


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is not valid JSON: Expecting value in line 1, column 1"),
        ("mcpServers:\n  x:\n", "is not valid JSON"),
        ('{"mcpServers": {"a": {"env": {"T": "hunter2-hunter2"} "x": 1}}}', "line 1, column 55"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        ("[]", "must hold a JSON object"),
        ('"mcpServers"', "must hold a JSON object"),
        ("{}", "has neither 'mcpServers' nor 'servers'"),
        ('{"mcpservers": {}}', "has neither 'mcpServers' nor 'servers'"),
        ('{"mcpServers": []}', "'mcpServers' must be an object"),
        ('{"servers": null}', "'servers' must be an object"),
        ('{"mcpServers": {"a": {}}, "mcpServers": {}}', "'mcpServers' stands in it twice"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, text: str | bytes, match: str) -> None:
    file = written(tmp_path, "servers.json", text)
    with pytest.raises(ConfigError) as refused:
        read_file(file)
    assert str(file) in str(refused.value)
    assert match in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("path", ["/no/such/file.json", "/", "a\0b", "~nobody-has-this-name/x"])
def test_a_path_that_leads_nowhere_is_an_error(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(path)


def test_a_huge_file_is_refused_unread() -> None:
    with pytest.raises(ConfigError, match=f"more than {servers_file.MAX_BYTES} bytes"):
        read_file("/dev/zero")


def test_the_fault_of_an_entry_is_its_own(tmp_path: Path) -> None:
    text = """{"mcpServers": {
        "good": {"command": "x"},
        "twice": {"command": "x"}, "twice": {"command": "y"},
        "keys": {"command": "x", "command": "y"},
        "inner": {"command": "x", "env": {"A": "1", "A": "2"}},
        "unset": {"command": "x", "env": {"KEY": "${NO_KEY}"}},
        "nested": {"command": "${${TOKEN}}"},
        "text": "npx server", "number": 5, "null": null, "list": ["npx"], "empty": {},
        "wrong": {"command": 5}
    }}"""
    found = listed(written(tmp_path, "x.json", text))
    assert set(found.targets) == {"good"}
    told = {name: str(fault) for name, fault in found.faults.items()}
    assert all(text.startswith(f"The server {name!r} cannot be used: ") for name, text in told.items())
    assert "there is more than one of this name" in told["twice"]
    assert "these keys stand twice in it: 'command'" in told["keys"]
    assert "in 'env' these names stand twice: 'A'" in told["inner"]
    assert "the environment variable NO_KEY" in told["unset"]
    assert "a placeholder within another" in told["nested"]
    assert all("it must be an object" in told[name] for name in ("text", "number", "null", "list"))
    assert "neither a command nor a url" in told["empty"]
    assert "'command' must be a text" in told["wrong"]


def test_a_value_with_a_placeholder_in_it_is_taken_as_it_is() -> None:
    document = {"mcpServers": {"a": {"command": "x", "args": ["${SLY}"]}}}
    found = read_document(document, {"SLY": "${TOKEN}", "TOKEN": SECRET})
    assert found.targets["a"].args == ["${TOKEN}"]


def test_what_is_ignored_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    document: dict[str, Any] = {"mcpServers": {"a": {"url": URL}}, "servers": {"b": {"url": URL}}, "x": SECRET}
    with caplog.at_level(logging.DEBUG, "bascule"):
        assert set(read_document(document, {}).targets) == {"a"}
    assert caplog.messages == [
        "ignored in the list of servers, because not known: 'x'",
        "'servers' is ignored in a document that has 'mcpServers' too",
    ]


def test_documents_and_mappings_of_targets_are_told_apart() -> None:
    assert is_document({"mcpServers": {}})
    assert is_document({"servers": {"a": {"command": "x"}}})
    assert is_document({"mcpServers": {"command": {"command": "x"}}})
    assert not is_document({"servers": {"command": "x"}})
    assert not is_document({"servers": "x", "mcpServers": "y"})
    assert not is_document({"a": {"command": "x"}})
    assert not is_document({})


def test_a_thousand_servers_are_read(tmp_path: Path) -> None:
    document = {"mcpServers": {f"server-{number}": {"url": URL} for number in range(1000)}}
    assert len(listed(written(tmp_path, "x.json", json.dumps(document))).targets) == 1000
