"""One entry of an `mcpServers` file: how a server is started or where it is, as hosts write it.

Knows the keys of Claude Desktop, Claude Code, Cursor, VS Code, Windsurf and Gemini CLI; does not know files or clients.
Every text in it is filled in by Placeholders. Errors name keys and variables, never a value, and an Entry shows none.
Source: the hosts' documentation of their `mcpServers` (VS Code: `servers`).
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bascule.client.env_file import read_env_file
from bascule.client.placeholders import Placeholders
from bascule.errors import ConfigError

log = logging.getLogger("bascule")

_STDIO, _HTTP = "stdio", "http"
_KINDS = {"stdio": _STDIO, "http": _HTTP, "streamablehttp": _HTTP, "sse": _HTTP}
"""By `type` without hyphens and capitals. What an HTTP server speaks the client finds out by itself."""

_URLS = ("httpUrl", "url", "serverUrl")
"""Where a URL may stand; of several the first counts, as Gemini CLI has it."""

_KEYS = frozenset({"type", "transport", "disabled", "command", "args", "env", "envFile", "cwd", "headers", *_URLS})
_WORDS = {_STDIO: "a command", _HTTP: "a url"}


@dataclass(frozen=True)
class Entry:
    """What an entry says, filled in: a URL with its headers, or a command with its surroundings."""

    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: str = ""
    args: Sequence[str] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None


def is_entry(value: Any) -> bool:
    """Whether a value is an entry: a mapping with a command or a URL."""
    return isinstance(value, Mapping) and any(isinstance(value.get(key), str) for key in ("command", *_URLS))


def read_entry(entry: Any, placeholders: Placeholders | None = None, what: str = "The server's entry") -> Entry:
    """What an entry says. `what` begins the sentence of an error. Raises ConfigError."""
    try:
        _check(entry)
        unknown = sorted(repr(key) for key in entry if key not in _KEYS)
        if unknown:
            log.debug("%s: ignored, because they are not known: %s", what, ", ".join(unknown))
        reader = _Reader(entry, placeholders or Placeholders(os.environ))
        return reader.http() if _kind(reader) == _HTTP else reader.stdio()
    except ConfigError as wrong:
        raise ConfigError(f"{what} cannot be used: {wrong}") from None


def is_disabled(entry: Any) -> bool:
    """Whether a value is an entry that switches its server off."""
    return isinstance(entry, Mapping) and entry.get("disabled") is True


def _check(entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise ConfigError("it must be an object with a command or a url")
    repeated = getattr(entry, "repeated", None)
    if repeated:
        raise ConfigError(f"these keys stand twice in it: {', '.join(map(repr, sorted(repeated)))}")
    if is_disabled(entry):
        raise ConfigError("it is disabled")
    if not isinstance(entry.get("disabled", False), bool):
        raise ConfigError("'disabled' must be true or false")


def _kind(reader: "_Reader") -> str:
    """Whether this is a server behind a command or behind a URL."""
    has = {_STDIO: bool(reader.text("command")), _HTTP: bool(reader.url())}
    named = reader.text("type") or reader.text("transport")
    if named is not None:
        kind = _KINDS.get(named.lower().replace("-", "").replace("_", ""))
        if kind is None:
            raise ConfigError("'type' must be stdio, http, streamable-http or sse")
        if not has[kind]:
            raise ConfigError(f"its type needs {_WORDS[kind]}, and it has none")
        return kind
    if all(has.values()):
        raise ConfigError("it has a command and a url; a 'type' (stdio or http) must say which of them counts")
    if not any(has.values()):
        raise ConfigError("it has neither a command nor a url")
    return _STDIO if has[_STDIO] else _HTTP


class _Reader:
    """Takes values out of one entry, checked and filled in."""

    def __init__(self, entry: Mapping[str, Any], placeholders: Placeholders) -> None:
        self._entry = entry
        self._placeholders = placeholders

    def stdio(self) -> Entry:
        env_file = self.text("envFile")
        read = read_env_file(_at_home(env_file)) if env_file else {}
        cwd = self.text("cwd")
        folder = _at_home(cwd) if cwd else None
        if folder is not None and not Path(folder).is_dir():
            raise ConfigError("the folder in 'cwd' does not exist")
        return Entry(
            command=_at_home(self.text("command") or ""),
            args=self._texts("args"),
            env={**read, **self._table("env")},
            cwd=folder,
        )

    def http(self) -> Entry:
        url = self.url() or ""
        if not _is_http(url):
            raise ConfigError("its url must begin with http:// or https://, and name a host and no strange port")
        return Entry(url=url, headers=self._table("headers"))

    def url(self) -> str | None:
        return next(filter(None, map(self.text, _URLS)), None)

    def text(self, key: str) -> str | None:
        """The text under a key; None where there is none, or an empty one."""
        value = self._entry.get(key)
        return None if value is None else self._filled(value, f"'{key}'") or None

    def _texts(self, key: str) -> list[str]:
        value = self._entry.get(key)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ConfigError(f"'{key}' must be a list of texts")
        return [self._filled(one, f"'{key}'") for one in value]

    def _table(self, key: str) -> dict[str, str]:
        """The texts by name under a key. A number counts as its text, null as not there: so VS Code has it."""
        value = self._entry.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ConfigError(f"'{key}' must be an object of names and texts")
        repeated = getattr(value, "repeated", None)
        if repeated:
            raise ConfigError(f"in '{key}' these names stand twice: {', '.join(map(repr, sorted(repeated)))}")
        found = {name: _numbers_as_texts(one) for name, one in value.items() if one is not None}
        return {name: self._filled(one, f"{name!r} in '{key}'") for name, one in found.items()}

    def _filled(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise ConfigError(f"{where} must be a text")
        filled = self._placeholders.fill(value, where)
        if "\0" in filled or not _can_be_passed(filled):
            raise ConfigError(f"{where} has a character that cannot be passed on")
        return filled


def _numbers_as_texts(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _can_be_passed(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _at_home(path: str) -> str:
    """The path, with `~` as a shell reads it. The rest is kept as it is: `./x` means something else than `x`."""
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return url.startswith(("http://", "https://")) and bool(parts.hostname)
