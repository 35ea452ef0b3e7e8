"""A server as a command that a client starts: a child process that speaks stdio.

The child imports what this process would: it gets the same import path, and nothing else of the environment beyond
what every server process gets.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from bascule.client.connect import StdioCommand
from bascule.engine.application import Application
from bascule.errors import ConfigError


def serve_stdio(
    target: Application | str | os.PathLike[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> StdioCommand:
    """The command that serves `target` over stdio, for `Client(...)` to start and to end.

    `target` is what `bascule serve` takes (`file.py`, `file.py:object`, `package.module:object`, `sql`), or a Server
    that a module holds under a name; raises ConfigError for one that no module holds, since no other process could
    find it.
    """
    named = _place(target) if isinstance(target, Application) else _absolute(os.fspath(target))
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return StdioCommand(
        sys.executable,
        ["-m", "bascule", "serve", named],
        {"PYTHONPATH": path, **(env or {})},
        None if cwd is None else os.fspath(cwd),
    )


def _absolute(target: str) -> str:
    """The target with the path of its file made absolute, so that the child's folder does not matter."""
    path, colon, name = (target, "", "") if target.endswith(".py") else target.rpartition(":")
    return f"{Path(path).absolute()}{colon}{name}" if path.endswith(".py") else target


def _place(app: Application) -> str:
    """The module or file, and the name in it, under which another process finds the same server."""
    places = [
        (module, name)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if value is app and getattr(module, "__file__", None)
    ]
    for module, name in places:
        if _importable(module):
            return f"{module.__name__}:{name}"
    for module, name in places:
        return f"{module.__file__}:{name}"
    raise ConfigError(
        f"No module holds the server {app.facts.info.name!r} under a name, so no other process can find it: assign it "
        "at the top of a file, or test it in memory with Client(app)"
    )


def _importable(module: ModuleType) -> bool:
    """Whether the import path leads to this very module under its name."""
    if module.__name__ == "__main__":
        return False
    inside = Path(*module.__name__.split("."))
    for entry in sys.path:
        for file in (Path(entry) / inside / "__init__.py", Path(entry) / inside.with_suffix(".py")):
            if file.is_file():
                return module.__file__ is not None and file.samefile(module.__file__)
    return False
