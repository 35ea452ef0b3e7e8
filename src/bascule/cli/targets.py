"""Targets: from what was typed to the server that it names: a ready-made one, a Python file or a module.

Knows how to load a server, not what is done with it. While a file is loaded its own `run()` does nothing: who typed the
command says how the server is run. Raises ConfigError with one sentence for whatever cannot be loaded.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from bascule.cli.ready_made import NOTHING, READY_MADE, Choices, refuse_for_others
from bascule.cli.spelling import unknown
from bascule.errors import BasculeError, ConfigError
from bascule.late import late

NAMES = ("app", "mcp", "server")
"""What a server object is looked for under, in this order."""

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_FORMS = "a ready-made server, file.py, file.py:object, package.module or package.module:object"


class Place(NamedTuple):
    """Where a server is: a file or the name of a module, and the name of the object where it was given."""

    file: Path | None
    module: str
    name: str | None


def is_url(target: str) -> bool:
    """Whether a target is the URL of a running server."""
    return target.startswith(("http://", "https://"))


def load(target: str, choices: Choices = NOTHING, config: str | None = None) -> Any:
    """The server that a target names; `choices` are for the ready-made one that takes them, as is the settings file."""
    refuse_for_others(target, choices)
    if target in READY_MADE:
        return READY_MADE[target].build(choices, config)
    place = find(target)
    with _loading(target):
        module = _from_file(place.file) if place.file else _from_module(place.module)
        return _named(module, place.name, target) if place.name else _only(module, target)


def listed(path: str, name: str, otherwise: bool = False) -> Any:
    """The server of this name in an `mcpServers` file; `otherwise` says that a server was named in another way too."""
    if otherwise:
        raise ConfigError("With --config the TARGET is the name of a server in that file, and there is no other")
    read: Any = late("bascule.client.servers_file:read_document")
    workspace = late("bascule.client.servers_file:workspace_of")(path)
    servers = read(late("bascule.client.servers_file:read_file")(path), os.environ, workspace=workspace)
    if name in servers.faults:
        raise servers.faults[name]
    if name in servers.disabled:
        raise ConfigError(f"The server {name!r} is disabled in {path}")
    if name not in servers.targets:
        raise ConfigError(f"{unknown('There is no server', name, servers.targets)} in {path}")
    return servers.targets[name]


def find(target: str) -> Place:
    """Where the server of a target that is not ready-made would be; nothing is imported."""
    if is_url(target):
        raise ConfigError(f"{target} is served already; connect to it with bascule list, call, read or prompt")
    path, _, name = target.rpartition(":") if not target.endswith(".py") else (target, "", "")
    if path.endswith(".py"):
        file = Path(path).absolute()
        if not file.is_file():
            raise ConfigError(f"There is no file {path}")
        return Place(file, file.stem, name or None)
    module, _, name = target.partition(":")
    if not _MODULE.fullmatch(module):
        raise ConfigError(f"{target!r} is no server: give {_FORMS}")
    if not _exists(module.partition(".")[0]):
        raise ConfigError(f"{unknown('There is no server', target, READY_MADE)} (a server is {_FORMS})")
    return Place(None, module, name or None)


def folder(target: str) -> Path:
    """The folder that holds the code of a target. Raises ConfigError for a ready-made server, which has none."""
    if target in READY_MADE:
        raise ConfigError("--reload is for servers of your own: a ready-made one does not change")
    place = find(target)
    if place.file:
        return place.file.parent
    _look_in(Path.cwd())
    spec = find_spec(place.module.partition(".")[0])
    if spec is None or spec.origin is None:
        raise ConfigError(f"The code of {place.module} is not in a folder that could be watched")
    return Path(spec.origin).parent


def _exists(package: str) -> bool:
    _look_in(Path.cwd())
    try:
        return find_spec(package) is not None
    except ValueError:
        return False


def _look_in(directory: Path) -> None:
    """Let modules be imported from a directory, before any other of that name."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


@contextmanager
def _loading(target: str) -> Iterator[None]:
    """Load a server's code: its own `run()` does nothing meanwhile, and what it raises becomes one sentence."""
    wiring: Any = import_module("bascule.serve")
    run = wiring.run
    wiring.run = lambda *_arguments, **_options: None
    try:
        yield
    except BasculeError as error:
        raise ConfigError(f"{target} cannot be loaded: {error}") from error
    except SystemExit as error:
        raise ConfigError(f"{target} cannot be loaded: it ends the program while it is imported") from error
    except Exception as error:
        if isinstance(error, SyntaxError):
            place = f" in {Path(error.filename or target).name}, line {error.lineno}"
            raise ConfigError(f"{target} cannot be loaded: {error.msg}{place}") from error
        raise ConfigError(
            f"{target} cannot be loaded: {type(error).__name__}: {error} (--debug shows where)"
        ) from error
    finally:
        wiring.run = run


def _from_file(file: Path) -> ModuleType:
    """The module in a file, with the file's own folder on the path; it keeps its name unless that is taken."""
    _look_in(file.parent)
    taken = file.stem in sys.modules or file.stem in sys.stdlib_module_names
    spec = spec_from_file_location(f"_served_{file.stem}" if taken else file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file")
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_module(name: str) -> ModuleType:
    _look_in(Path.cwd())
    return import_module(name)


def _named(module: ModuleType, name: str, target: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(unknown("it has no server object", name, _servers(module)))
        found = getattr(found, part)
    if not _is_server(found):
        raise ConfigError(f"{name} is a {type(found).__name__}, not a Server")
    return found


def _only(module: ModuleType, target: str) -> Any:
    """The server object under a customary name, or the only one there is."""
    servers = _servers(module)
    for name in NAMES:
        if name in servers:
            return servers[name]
    distinct = {id(server): server for server in servers.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if servers:
        raise ConfigError(f"it has several servers; choose one: {', '.join(f'{target}:{name}' for name in servers)}")
    raise ConfigError(f"it has no Server object; name one {', '.join(NAMES)}, or give {target}:object")


def _servers(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if _is_server(value)}


def _is_server(value: Any) -> bool:
    return isinstance(value, late("bascule.server.app:Server"))
