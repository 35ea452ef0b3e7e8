"""Paths: whether one stays beneath a directory, and may be read, written, listed or deleted there.

A check looks at the tree and opens nothing for reading or writing; it tells what holds now. Who opens the path
afterwards by its name can be outrun: `bascule.checks.beneath` checks and opens in one step.
"""

import os
import stat
from collections.abc import Callable
from typing import Any, Literal, get_args

from bascule.checks.beneath import Beneath, Place, kind_of
from bascule.checks.path_text import PathMissing, PathRefused, check_file, shown
from bascule.checks.rules import Rule

Operation = Literal["read", "write", "list", "delete"]
OPERATIONS: tuple[str, ...] = get_args(Operation)


class InsideRoot(Rule):
    """A path beneath a directory, as in `path: Annotated[str, InsideRoot("/srv/docs")]`.

    The function gets the path in full, links and all. With `op` it must be fit for that; without, it may be anything
    that exists or could be made. Raises ConfigError where the root is no directory.
    """

    def __init__(self, root: str | os.PathLike[str], op: Operation | None = None) -> None:
        self._root = Beneath(root)
        self._op = op

    def check(self, value: str) -> str:
        """The path in full. Raises PathRefused."""
        if self._op is not None:
            judge(self._root, self._op, value)
        else:
            with self._root.place(value) as place:
                if place.status is None:
                    place.check_new()
        return os.path.join(self._root.path, self._root.relative(value))  # noqa: PTH118


def judge(root: Beneath, op: str, path: str) -> None:
    """Raise PathRefused, in a sentence for a model, unless `op` may be done to the path. Takes some 20 microseconds."""
    verdict = _JUDGES.get(op)
    if verdict is None:
        raise PathRefused(f"There is no operation {shown(op)}; there are {', '.join(OPERATIONS)}")
    with root.place(path) as place:
        verdict(root, place, path)


def _read(root: Beneath, place: Place, path: str) -> None:
    root.check_file(place.status, path)


def _write(root: Beneath, place: Place, path: str) -> None:
    check_file(path)
    if place.status is None:
        place.check_new()
    else:
        root.check_file(place.status, path)


def _list(_root: Beneath, place: Place, path: str) -> None:
    if place.status is None:
        raise PathMissing(f"There is nothing at {shown(path)}")
    if not place.is_directory:
        raise PathRefused(f"{shown(path)} is {kind_of(place.status.st_mode)}, not a directory")


def _delete(root: Beneath, place: Place, path: str) -> None:
    """A link is deleted itself, and only where what it names is inside too: `place` has been followed already."""
    with root.place(path, follow=False) as own:
        check_removable(root, own, path)


def check_removable(root: Beneath, own: Place, path: str) -> None:
    """Raise PathRefused for what may not be taken away; `own` is the entry itself, no link followed."""
    if own.name == ".":
        raise PathRefused("A root, or a directory by the name of . or .., is not deleted or moved; name it in full")
    if own.status is None:
        raise PathMissing(f"There is nothing at {shown(path)}")
    if not any(test(own.status.st_mode) for test in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)):
        raise PathRefused(f"{shown(path)} is {kind_of(own.status.st_mode)}; only files, directories and links are")
    root.check_names(own.status, path)


_JUDGES: dict[str, Callable[[Beneath, Place, str], Any]] = {
    "read": _read,
    "write": _write,
    "list": _list,
    "delete": _delete,
}
