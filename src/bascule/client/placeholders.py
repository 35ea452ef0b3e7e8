"""Placeholders: `${VAR}` and its like in the texts of a server's entry, filled in from the environment.

Knows the spellings of Claude Code, Cursor and VS Code. Nothing is executed, and a value is never looked through for
placeholders again: what an environment variable holds is taken as it is. Errors name variables, never values.
Source: the hosts' documentation: Claude Code, "Environment variable expansion in .mcp.json"; Cursor, "Config
interpolation"; VS Code, "Variables reference" and "MCP configuration reference".
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bascule.errors import ConfigError

_PLACEHOLDER = re.compile(r"\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Placeholders:
    """Where the values of placeholders come from."""

    def __init__(
        self,
        environment: Mapping[str, str],
        workspace: str | os.PathLike[str] = "",
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        """`workspace` is the folder that `${workspaceFolder}` names, `inputs` are the values of `${input:id}`."""
        self._environment = environment
        self._inputs = inputs or {}
        folder = Path(workspace).absolute()
        self._constants: dict[str, Callable[[], str]] = {
            "workspaceFolder": lambda: str(folder),
            "workspaceFolderBasename": lambda: folder.name,
            "userHome": _home,
            "pathSeparator": lambda: os.sep,
            "/": lambda: os.sep,
        }

    def fill(self, text: str, where: str) -> str:
        """The text with its placeholders filled in; `where` says in errors where it stands.

        Raises ConfigError for a variable that is not set and has no default, and for what is no placeholder.
        """

        def value(match: re.Match[str]) -> str:
            inner, closed = match.groups()
            if "${" in inner:
                raise ConfigError(f"{where} has a placeholder within another, which is not possible")
            if not closed:
                raise ConfigError(f"{where} has a '${{' without its '}}'")
            return self._value(inner, where)

        return _PLACEHOLDER.sub(value, text)

    def _value(self, inner: str, where: str) -> str:
        constant = self._constants.get(inner)
        if constant is not None:
            return constant()
        kind, colon, rest = inner.partition(":")
        prefixed = bool(colon) and not rest.startswith("-")  # `${input:-x}` is a variable with a default
        if kind == "input" and prefixed:
            return self._input(rest, where)
        named = rest if kind == "env" and prefixed else inner
        name, asked, default = named.partition(":-")
        if _NAME.fullmatch(name) or (named is rest and _is_variable(name)):
            return self._variable(name, asked, default, where)
        shown = f" (${{{kind}:…}})" if prefixed and _NAME.fullmatch(kind) else ""
        raise ConfigError(f"{where} has a placeholder that is not known here{shown}")

    def _variable(self, name: str, asked: str, default: str, where: str) -> str:
        found = self._environment.get(name)
        if asked:
            return found or default
        if found is None:
            raise ConfigError(f"the environment variable {name}, which {where} needs, is not set and has no default")
        return found

    def _input(self, name: str, where: str) -> str:
        found = self._inputs.get(name)
        if found is None:
            raise ConfigError(f"the input {name!r}, which {where} needs, is not given and has no default")
        return found


def _is_variable(name: str) -> bool:
    """Whether an environment variable can have this name; on Windows there are some with brackets in theirs."""
    return bool(name) and name.isprintable() and not set(name) & set("=:${")


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        raise ConfigError("the home folder, which ${userHome} needs, is not known") from None
