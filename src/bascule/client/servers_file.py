"""Files that list servers, as hosts keep them: `mcpServers` of most, `servers` of VS Code.

Knows which servers there are, and which of them cannot be used as written; does not know clients. A fault of the file
is an error, a fault of one entry is that server's alone.
Source: the hosts' documentation (`claude_desktop_config.json`, `.mcp.json`, `.cursor/mcp.json`, `.vscode/mcp.json`).
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.client.entries import is_disabled, is_entry, read_entry
from bascule.client.jsonc import parse
from bascule.client.placeholders import Placeholders
from bascule.errors import ConfigError

MAX_BYTES = 16 * 1024 * 1024
"""How large a file may be. Claude Code keeps its servers in the file in which it keeps everything."""

_SECTIONS = ("mcpServers", "servers")
_KNOWN = frozenset({*_SECTIONS, "inputs", "$schema"})

log = logging.getLogger("bascule")


@dataclass(frozen=True)
class Listed:
    """The servers of a document by name: what to connect to, what is wrong with the others, which are switched off."""

    targets: dict[str, Any] = field(default_factory=dict, repr=False)
    faults: dict[str, ConfigError] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)


def read_file(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The document in a file. Raises ConfigError where it cannot be read, is no JSON or lists no servers."""
    text = _decoded(path)
    try:
        document = parse(text)
    except ConfigError as wrong:
        raise ConfigError(f"The servers file {os.fspath(path)} is not valid JSON: {wrong}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"The servers file {os.fspath(path)} must hold a JSON object")
    try:
        section(document)
    except ConfigError as wrong:
        raise ConfigError(f"The servers file {os.fspath(path)} cannot be used: {wrong}") from None
    return document


def workspace_of(path: str | os.PathLike[str]) -> Path:
    """The folder that a file is about: its own, or the one above a hidden one such as `.vscode` or `.cursor`."""
    folder = Path(path).expanduser().absolute().parent
    return folder.parent if folder.name.startswith(".") else folder


def is_document(mapping: Mapping[str, Any]) -> bool:
    """Whether a mapping is what such a file holds, and not a mapping from names to targets."""
    return any(isinstance(mapping.get(key), Mapping) and not is_entry(mapping[key]) for key in _SECTIONS)


def section(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The servers of a document. Raises ConfigError where it has none, or twice."""
    present = [key for key in _SECTIONS if key in document]
    if not present:
        raise ConfigError("it has neither 'mcpServers' nor 'servers'")
    if present[0] in getattr(document, "repeated", ()):
        raise ConfigError(f"'{present[0]}' stands in it twice")
    if len(present) > 1:
        log.warning("'servers' is ignored in a document that has 'mcpServers' too")
    servers = document[present[0]]
    if not isinstance(servers, Mapping) or not all(isinstance(name, str) for name in servers):
        raise ConfigError(f"'{present[0]}' must be an object of names and servers")
    return servers


def read_document(
    document: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    workspace: str | os.PathLike[str] = "",
    inputs: Mapping[str, str] | None = None,
) -> Listed:
    """What a document lists. `inputs` answers its `${input:id}`, whose own defaults stand behind it."""
    ignored = sorted(str(key) for key in document if key not in _KNOWN)
    if ignored:
        log.debug("ignored in the list of servers, because not known: %s", ", ".join(map(repr, ignored)))
    placeholders = Placeholders(environment, workspace, {**_defaults(document.get("inputs")), **(inputs or {})})
    return read_entries(section(document), placeholders)


def read_entries(servers: Mapping[str, Any], placeholders: Placeholders) -> Listed:
    """What the entries of a list say, each for itself."""
    listed = Listed()
    repeated = getattr(servers, "repeated", ())
    for name, entry in servers.items():
        what = f"The server {name!r}"
        if name in repeated:
            listed.faults[name] = ConfigError(f"{what} cannot be used: there is more than one of this name")
        elif is_disabled(entry):
            listed.disabled.add(name)
        else:
            try:
                listed.targets[name] = read_entry(entry, placeholders, what)
            except ConfigError as wrong:
                listed.faults[name] = wrong
    return listed


def _defaults(inputs: Any) -> dict[str, str]:
    """The defaults that a document gives for what VS Code would ask its user; what asks a program has none here."""
    found: dict[str, str] = {}
    for one in inputs if isinstance(inputs, list) else []:
        if isinstance(one, Mapping) and isinstance(one.get("id"), str) and isinstance(one.get("default"), str):
            found[one["id"]] = one["default"]
    return found


def _decoded(path: str | os.PathLike[str]) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return data.decode("utf-8-sig")
        reason = f"it has more than {MAX_BYTES} bytes"
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except OSError as wrong:
        reason = wrong.strerror or type(wrong).__name__
    except (RuntimeError, ValueError):
        reason = "that is no path"
    raise ConfigError(f"The servers file {os.fspath(path)} cannot be read: {reason}")
