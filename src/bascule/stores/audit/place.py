"""The place of one process's log: the file that it writes, those that came before it, its head and its lock.

`audit.jsonl` belongs to the first process that comes, `audit.2.jsonl` to the second beside it, and so on; a process
that begins goes on with the file of one that has ended. What a file was called while it was written, with `.000001`,
`.000002` and so on at its end, is what it is called afterwards.
"""

import os
import re
import sys
from pathlib import Path

from bascule.errors import ConfigError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


MAX_PROCESSES = 1000
"""How many processes may write beside each other."""

_PRIVATE = 0o600
_NOT_A_LINK = getattr(os, "O_NOFOLLOW", 0)


class Place:
    """The names of one process's files, as long as it holds their lock."""

    def __init__(self, current: Path) -> None:
        self.current = current
        self.head = current.with_name(f"{current.name}.head")
        self._locked = -1

    def take(self) -> bool:
        """Take the lock; False where another process has it. Raises OSError."""
        descriptor = open_private(self.current.with_name(f"{self.current.name}.lock"), os.O_RDWR)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            return False
        self._locked = descriptor
        return True

    def leave(self) -> None:
        """Give the lock back."""
        descriptor, self._locked = self._locked, -1
        if descriptor >= 0:
            os.close(descriptor)

    def segment(self, number: int) -> Path:
        """What a file is called once another has followed it."""
        return self.current.with_name(f"{self.current.name}.{number:06}")

    def segments(self) -> list[int]:
        """The numbers of the files that others have followed, in order."""
        form = re.compile(re.escape(self.current.name) + r"\.([0-9]{6,})")
        found = (form.fullmatch(path.name) for path in self.current.parent.iterdir())
        return sorted(int(match[1]) for match in found if match)


def free_place(file: str) -> Place:
    """The first place beside `file` that no other process holds, locked. Raises ConfigError."""
    first = Path(file)
    try:
        for number in range(1, MAX_PROCESSES + 1):
            place = Place(first if number == 1 else first.with_name(f"{first.stem}.{number}{first.suffix}"))
            if place.take():
                return place
    except OSError as error:
        raise ConfigError(f"The audit log {file} cannot be opened: {error.strerror}") from None
    raise ConfigError(f"The audit log {file} is in use by {MAX_PROCESSES} other processes")


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file that only its owner may read, made where it is missing. Raises OSError, for a link too."""
    descriptor = os.open(path, flags | os.O_CREAT | _NOT_A_LINK | getattr(os, "O_BINARY", 0), _PRIVATE)
    if sys.platform != "win32":
        os.fchmod(descriptor, _PRIVATE)
    return descriptor


def sync_folder(path: Path) -> None:
    """Force the names in a file's folder to the disk, where the system can do that."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
