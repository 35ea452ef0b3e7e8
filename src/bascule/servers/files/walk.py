"""Walks: everything beneath a directory, in order of names, links not followed, within a budget.

Each directory is opened from its parent's descriptor, so a walk cannot leave the tree, whatever is moved meanwhile.
What does not fit the budget is left out, and the budget says why.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bascule.checks.beneath import Beneath, Place
from bascule.servers.files.tree import Spot

MAX_ENTRIES = 100_000
MAX_SECONDS = 10.0
MAX_DEPTH = 100
MAX_NAMES = 100_000
"""How many names of one directory are read and sorted; a directory that has more is walked as the system gives it."""


class Budget:
    """What a walk may cost: entries looked at, seconds, and levels of directories."""

    def __init__(
        self,
        entries: int = MAX_ENTRIES,
        seconds: float = MAX_SECONDS,
        *,
        depth: int = MAX_DEPTH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.depth = depth
        self._ended = self._left_out = ""
        self._entries = entries
        self._left = entries
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def take(self) -> bool:
        """Whether one entry more may be looked at."""
        self._left -= 1
        if self._left < 0:
            self._ended = f"Only the first {self._entries} entries were looked at; begin further down."
        elif self._clock() > self._end:
            self._ended = f"Stopped after {self._seconds:g} s; begin further down."
        return not self._ended

    def end(self, why: str) -> None:
        """Let no entry be looked at any more."""
        self._ended = self._ended or why

    def leave_out(self, what: str) -> None:
        """Note that something was left out on the way, without ending the walk."""
        self._left_out = self._left_out or f"Some {what}, and were left out."

    @property
    def cut(self) -> str | None:
        """Why something was left out, in a sentence; None where nothing was."""
        return self._ended or self._left_out or None


class Found(NamedTuple):
    """One entry of a walk: its path from where the walk began, and what opens it while the walk stands here."""

    path: str
    status: os.stat_result
    root: Beneath
    place: Place

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)


Enter = Callable[[Found], bool]
"""Whether a walk goes into a directory."""


def walk(spot: Spot, budget: Budget, enter: Enter = lambda _found: True) -> Iterator[Found]:
    """Every entry beneath a directory, each directory before what is in it. Raises PathRefused where it is none."""
    top = spot.open_directory()
    levels = [(top, "", _names(top, budget))]
    try:
        while levels:
            fd, prefix, names = levels[-1]
            name = next(names, None)
            if name is None:
                os.close(levels.pop()[0])
                continue
            if not budget.take():
                return
            found = _found(spot.root, fd, prefix, name)
            if found is None:
                continue
            yield found
            if found.is_directory and enter(found):
                inner = _inside(found, len(levels), budget)
                if inner is not None:
                    levels.append((inner, found.path + "/", _names(inner, budget)))
    finally:
        for fd, _, _ in levels:
            os.close(fd)


def sorted_names(fd: int, most: int) -> tuple[list[str], bool]:
    """Up to `most` names of a directory, sorted, and whether there are more."""
    names: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if len(names) >= most:
                return sorted(names), True
            names.append(entry.name)
    return sorted(names), False


def _names(fd: int, budget: Budget) -> Iterator[str]:
    try:
        names, more = sorted_names(fd, MAX_NAMES)
    except OSError:
        budget.leave_out("directories could not be read")
        return iter(())
    if more:
        budget.leave_out(f"directories have more than {MAX_NAMES} entries, which were not all read")
    return iter(names)


def look(parent: int, name: str) -> os.stat_result | None:
    """What an entry of an open directory is, links not followed; None for one that went away meanwhile."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return None


def _found(root: Beneath, parent: int, prefix: str, name: str) -> Found | None:
    status = look(parent, name)
    return None if status is None else Found(prefix + name, status, root, Place(parent, name, status))


def _inside(found: Found, depth: int, budget: Budget) -> int | None:
    if depth >= budget.depth:
        budget.leave_out(
            "directories lie deeper than was asked for" if depth < MAX_DEPTH else "directories lie too deep"
        )
        return None
    try:
        return found.root.step(found.place.parent, found.place.name, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        budget.leave_out("directories could not be opened, or are other file systems")
        return None
