"""The tree: all roots under one name space, as callers see it, and how an entry of it is told.

A single root is the tree itself; several are its directories, by the names of their folders. Knows nothing of tools.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Literal, NamedTuple
from urllib.parse import quote

from msgspec import UNSET, Struct, UnsetType

from bascule import ConfigError
from bascule.checks.beneath import Beneath, Place
from bascule.checks.path_text import PathRefused, shown

Kind = Literal["file", "directory", "link", "fifo", "socket", "device"]

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


class Entry(Struct, omit_defaults=True):
    """What stands in a directory. `size` (bytes) is a file's; `modified` is RFC 3339; `note` says what is unusual."""

    name: str
    kind: Kind
    size: int | UnsetType = UNSET
    modified: str | UnsetType = UNSET
    note: str | UnsetType = UNSET


class Spot(NamedTuple):
    """A place in one of the roots; `path` is how the caller spelled it."""

    root: Beneath
    place: Place
    path: str

    def open_file(self, flags: int = os.O_RDONLY) -> int:
        """The regular file here, open; the descriptor is the caller's to close. Raises PathRefused."""
        return self.root.open_file(self.place, self.path, flags)

    def open_directory(self) -> int:
        """The directory here, open for listing; the descriptor is the caller's to close. Raises PathRefused."""
        return self.root.open_directory(self.place, self.path)


class Tree:
    """The roots by name; a single one has the name "". Raises ConfigError for none, or one that is no directory."""

    def __init__(self, roots: Sequence[str | os.PathLike[str]], *, hard_links: bool = False) -> None:
        if not roots:
            raise ConfigError("Which directory? Give the files server a root: --root DIR")
        opened = [Beneath(root, hard_links=hard_links) for root in roots]
        self.roots = {"": opened[0]} if len(opened) == 1 else _named(opened)

    @property
    def is_several(self) -> bool:
        return "" not in self.roots

    @contextmanager
    def at(self, path: str, *, follow: bool = True) -> Iterator[Spot]:
        """The place of a path; without `follow` a link at its end is not followed. Raises PathRefused."""
        root, rest = self.find(path)
        with root.place(rest, follow=follow) as place:
            yield Spot(root, place, path)

    def find(self, path: str) -> tuple[Beneath, str]:
        """The root that a path begins with, and the path from there. Raises PathRefused."""
        if not self.is_several:
            return self.roots[""], path
        if path.startswith("/"):
            return self._holding(path)
        name, _, rest = path.removeprefix("./").partition("/")
        if name not in self.roots:
            raise PathRefused(f"{shown(path)} begins with none of the roots: {', '.join(self.roots)}")
        return self.roots[name], rest or "."

    def is_top(self, path: str) -> bool:
        """Whether a path means the list of the roots itself."""
        return self.is_several and path in {".", "./"}

    def _holding(self, path: str) -> tuple[Beneath, str]:
        for root in self.roots.values():
            try:
                return root, root.relative(path)
            except PathRefused:
                continue
        raise PathRefused("An absolute path must begin with a root; write paths as they are seen from the roots")


def entry_of(name: str, status: os.stat_result) -> Entry:
    """An entry as callers see it; a name that is not text is shown with replacement characters, and said so."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
    text = as_text(name)
    notes = [] if text == name else ["its name is not UTF-8: it cannot be opened here"]
    if kind == "file" and status.st_nlink > 1:
        notes.append("a hard link")
    return Entry(
        text,
        kind,
        status.st_size if kind == "file" else UNSET,
        datetime.fromtimestamp(max(0, min(status.st_mtime, _LATEST)), UTC).isoformat(timespec="seconds"),
        "; ".join(notes) or UNSET,
    )


_LATEST = 253402300799
"""The last second of the year 9999: a file may claim any time, RFC 3339 may not."""


def as_text(name: str) -> str:
    """A name as the system gives it, with U+FFFD for bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def uri_of(path: str) -> str:
    """The URI of a path in the tree."""
    return f"file:///{quote(path)}"


def joined(*parts: str) -> str:
    """A path of these parts, those left out that say nothing."""
    return "/".join(part.strip("/") for part in parts if part not in ("", ".", "./")) or "."


def _named(roots: list[Beneath]) -> dict[str, Beneath]:
    named: dict[str, Beneath] = {}
    for root in roots:
        if any(root.path == other.path for other in named.values()):
            continue
        base = name = PurePath(root.path).name or "root"
        count = 1
        while name in named:
            count += 1
            name = f"{base}-{count}"
        named[name] = root
    return named if len(named) > 1 else {"": roots[0]}
