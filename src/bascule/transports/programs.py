"""Programs: which file a command means, and why one cannot be started.

Knows files and names, starts nothing. A program is looked for as its child would see the system: on the PATH and from
the folder that it gets. On Windows that includes the endings of PATHEXT (`npx` is `npx.cmd`), which the system itself
does not try, and leaves out the current folder, where anybody may have put a file of that name.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bascule.errors import ConnectionLost

Folder = str | os.PathLike[str]

_ENDINGS = ".COM;.EXE;.BAT;.CMD"
_BATCH = (".bat", ".cmd")
_READ_BY_SHELL = re.compile(r'[\r\n"%!&|<>^]')


def with_ending(command: Sequence[str], env: Mapping[str, str], cwd: Folder | None = None) -> list[str]:
    """The command with its program as the file that Windows should start; as it is, where there is none.

    Raises ConnectionLost for an argument that a batch file's shell would not take as text.
    """
    named = {name.upper(): value for name, value in env.items()}
    endings = [ending for ending in named.get("PATHEXT", _ENDINGS).lower().split(";") if ending]
    program = command[0]
    names = [program] if program.lower().endswith(tuple(endings)) else [program + ending for ending in endings]
    found = next((file for name in names for file in _places(name, named.get("PATH", ""), cwd)), program)
    if found.lower().endswith(_BATCH) and any(_READ_BY_SHELL.search(argument) for argument in command[1:]):
        raise ConnectionLost(
            f"The server command {program!r} cannot be started: it is a batch file, and one of its arguments has a "
            'line break or one of "%!&|<>^, which Windows would not hand on as text; start the program behind it'
        )
    return [found, *command[1:]]


def why_not(program: str, env: Mapping[str, str], cwd: Folder | None, wrong: Exception) -> str:
    """The reason why a program could not be started, for a sentence that ends with it."""
    if cwd is not None and not _is_folder(cwd):
        return f"there is no folder {os.fspath(cwd)!r} to run it in"
    if cwd is not None and not os.access(cwd, os.X_OK):
        return f"the folder {os.fspath(cwd)!r} may not be entered"
    if not isinstance(wrong, OSError):
        return str(wrong)
    file = next(_places(program, env.get("PATH", os.defpath), cwd), None)
    if wrong.errno in {errno.ENOENT, errno.EACCES, errno.ENOTDIR} and (reason := _fault_of(program, file)):
        return reason
    if wrong.errno == errno.ENOEXEC:
        return "it is no program, and no script that begins with #!"
    if wrong.errno == errno.ENOENT:
        return "it is a script, and what its first line names as its interpreter does not exist"
    return wrong.strerror or str(wrong)


def _fault_of(program: str, file: str | None) -> str | None:
    if file is None:
        return "there is no such file" if _is_path(program) else "no program of this name is on its PATH"
    if _is_folder(file):
        return "it is a folder"
    return None if os.access(file, os.X_OK) else "the file is not executable"


def _places(program: str, path: str, cwd: Folder | None) -> Iterator[str]:
    """The files of this name, as a child in the folder `cwd` would look for them."""
    folders = [cwd or "."] if _is_path(program) else [folder for folder in path.split(os.pathsep) if folder]
    candidates = (str(Path(folder, program)) for folder in folders)
    return (file for file in candidates if os.access(file, os.F_OK))


def _is_path(program: str) -> bool:
    return any(separator in program for separator in (os.sep, os.altsep) if separator)


def _is_folder(place: Folder) -> bool:
    try:
        return Path(place).is_dir()
    except OSError:  # what may not be looked at
        return False
