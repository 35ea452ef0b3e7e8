"""Beneath a directory: paths followed by the kernel, link by link, so that none leads out, whatever changes meanwhile.

Knows one root, opened once: what is renamed or swapped above it later does not move it. Two ways, with one meaning:
`openat2` resolves a whole path in the kernel; where that is missing, or where it will not decide, each component is
opened by itself, relative to the directory before it, without following links, which are read and walked here. No path
is ever checked as a string and opened afterwards.
"""

import errno
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bascule.checks import openat2
from bascule.checks.path_text import PathMissing, PathRefused, check_new, parts_of, shown
from bascule.errors import ConfigError

MAX_LINKS = 40
"""How many links one path may pass through, as in Linux."""

MAX_DEPTH = 200
"""How many directories deep a path is walked; each is held open meanwhile. The kernel has no such bound."""

_PATH = getattr(os, "O_PATH", 0)  # elsewhere directories are opened for reading
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = _PATH | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_QUIET = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""How files are opened: a FIFO must not make the opener wait, nor a terminal become its own."""

_SAID = {
    errno.ENOTDIR: "goes on after something that is no directory",
    errno.EINVAL: "was changed while it was looked at, or has a name that cannot be used here",
    errno.ELOOP: "goes through too many links, or was changed while it was looked at",
    errno.ENAMETOOLONG: "has a name that is too long",
    errno.EACCES: "may not be opened: the system does not permit it",
    errno.EPERM: "may not be opened: the system does not permit it",
    errno.EXDEV: "lies on a file system of its own, which is not part of the root",
    errno.EROFS: "is on a file system that cannot be written to",
    errno.ENOTEMPTY: "is a directory that is not empty",
    errno.EEXIST: "exists already",
    errno.EISDIR: "is a directory",
    errno.EBUSY: "is in use by the system",
    errno.ENXIO: "cannot be opened: nothing is at its other end",
    errno.ENOSPC: "cannot be written: the disk is full",
    errno.EDQUOT: "cannot be written: the quota is used up",
    errno.EFBIG: "cannot be written: it would be larger than a file may be",
    errno.EMFILE: "cannot be opened now: too many files are open",
    errno.ENFILE: "cannot be opened now: too many files are open",
}
_GONE = (errno.ENOENT, errno.ESTALE)


def told(error: OSError, path: str) -> PathRefused:
    """What a caller is told of a fault of the system: a sentence with the path as it was given, and no other."""
    if error.errno in _GONE:
        return PathMissing(f"There is nothing at {shown(path)}")
    reason = _SAID.get(error.errno or 0, f"cannot be used: {os.strerror(error.errno or errno.EIO).lower()}")
    return PathRefused(f"{shown(path)} {reason}")


class Place(NamedTuple):
    """Where a path ends: an open directory, the name in it, and what is there (None: nothing).

    `missing` are names of directories which would have to be made before the name, in order. The name of the root
    itself is ".". The descriptor is good inside of the `with` that gave the place.
    """

    parent: int
    name: str
    status: os.stat_result | None
    missing: tuple[str, ...] = ()

    @property
    def is_link(self) -> bool:
        return self.status is not None and stat.S_ISLNK(self.status.st_mode)

    @property
    def is_directory(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)

    def check_new(self) -> None:
        """Raise PathRefused where what would have to be made may not have such a name."""
        for name in (*self.missing, self.name):
            check_new(name)


class Beneath:
    """A directory that paths cannot leave.

    With `kernel=False` paths are walked step by step even where the kernel could confine them. With `hard_links` files
    that have further names are served too; nobody can tell whether those lie outside. Other file systems mounted
    beneath are not entered. Raises ConfigError where there is no such directory, or the system cannot confine paths.
    """

    def __init__(self, root: str | os.PathLike[str], *, kernel: bool | None = None, hard_links: bool = False) -> None:
        if os.open not in os.supports_dir_fd or not _NOFOLLOW:
            raise ConfigError("This system cannot keep paths beneath a directory; Linux, macOS and the BSDs can")
        given = os.path.abspath(root)  # noqa: PTH100
        self.path = os.path.realpath(given)
        try:
            self.fd = os.open(self.path, _DIRECTORY)
        except OSError as error:
            reason = os.strerror(error.errno or errno.EIO).lower()
            raise ConfigError(f"The root {os.fspath(root)!r} is no directory that can be opened: {reason}") from None
        weakref.finalize(self, os.close, self.fd)
        self.hard_links = hard_links
        self._kernel = openat2.available() if kernel is None else kernel
        self._device = os.fstat(self.fd).st_dev
        self._spellings = tuple(dict.fromkeys(one.rstrip("/") + "/" for one in (given, self.path)))

    def parts(self, path: str) -> list[str]:
        """The components of a path beneath the root; one that is absolute must begin with it. Raises PathRefused."""
        return parts_of(self.relative(path))

    def relative(self, path: str) -> str:
        """The path as seen from the root. Raises PathRefused for an absolute one that does not begin with the root."""
        if not path.startswith("/"):
            return path
        for spelling in self._spellings:
            if path.startswith(spelling):
                return path[len(spelling) :] or "."
            if path == spelling[:-1]:
                return "."
        raise PathRefused("An absolute path must begin with the root; write paths as they are seen from it")

    @contextmanager
    def place(self, path: str, *, follow: bool = True) -> Iterator[Place]:
        """Where a path ends; without `follow` a link at its end is not followed. Raises PathRefused.

        That there is nothing yet is no fault: `status` is None then.
        """
        parts = self.parts(path)
        trail: list[int] = []
        try:
            yield self._straight(parts, follow, trail) or self._walk(parts, follow, trail)
        except OSError as error:
            raise told(error, path) from None
        finally:
            _leave(trail)

    def look(self, parent: int, name: str) -> os.stat_result | None:
        """What an entry of an open directory is, links not followed; None where there is none. Raises OSError."""
        try:
            if not self._kernel:
                return self._same_device(os.stat(name, dir_fd=parent, follow_symlinks=False))
            fd = self.step(parent, name, _PATH)
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def step(self, parent: int, name: str, flags: int, mode: int = 0) -> int:
        """Open one entry of an open directory: never a link, never waiting, never on another file system.

        Raises OSError, EXDEV for another file system. Step by step a mounted file, unlike a directory, is not noticed.
        """
        flags |= _CLOEXEC | _NOFOLLOW | (0 if flags & _PATH else _QUIET)
        if self._kernel:
            return openat2.openat2(parent, name, flags, mode, openat2.CONFINED | openat2.NO_SYMLINKS)
        fd = os.open(name, flags, mode, dir_fd=parent)
        try:
            self._same_device(os.fstat(fd))
        except OSError:
            os.close(fd)
            raise
        return fd

    def open_file(self, place: Place, path: str, flags: int = os.O_RDONLY) -> int:
        """Open the regular file at a place; the descriptor is the caller's to close. Raises PathRefused.

        A directory, FIFO, socket or device is refused before it is opened, and again if it was put there meanwhile.
        """
        self.check_file(place.status, path)
        try:
            fd = self.step(place.parent, place.name, flags)
        except OSError as error:
            raise told(error, path) from None
        try:
            self.check_file(os.fstat(fd), path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def open_directory(self, place: Place, path: str) -> int:
        """Open the directory at a place for listing; the descriptor is the caller's to close. Raises PathRefused."""
        if place.status is None:
            raise PathMissing(f"There is nothing at {shown(path)}")
        try:
            return self.step(place.parent, place.name, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except NotADirectoryError:
            raise PathRefused(f"{shown(path)} is no directory") from None
        except OSError as error:
            raise told(error, path) from None

    def check_file(self, status: os.stat_result | None, path: str) -> None:
        """Raise PathRefused for what is no regular file, or has names that may lie outside."""
        if status is None:
            raise PathMissing(f"There is nothing at {shown(path)}")
        if not stat.S_ISREG(status.st_mode):
            raise PathRefused(f"{shown(path)} is {kind_of(status.st_mode)}, not a file")
        self.check_names(status, path)

    def check_names(self, status: os.stat_result, path: str) -> None:
        """Raise PathRefused for a file that has further names, unless hard links are allowed."""
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not self.hard_links:
            raise PathRefused(f"{shown(path)} is a hard link: it has other names, which may lie outside of the root")

    def _same_device(self, status: os.stat_result) -> os.stat_result:
        if stat.S_ISDIR(status.st_mode) and status.st_dev != self._device:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return status

    def _straight(self, parts: list[str], follow: bool, trail: list[int]) -> Place | None:
        """The place, where the kernel can tell all of it at once."""
        if not self._kernel or not parts or parts[-1] in (".", ".."):
            return None
        if len(parts) > 1:
            try:
                trail.append(openat2.openat2(self.fd, "/".join(parts[:-1]), _DIRECTORY))
            except OSError:
                return None  # the walk finds out why, or that it is only missing
        place = self._entry(parts[-1], trail)
        if follow and place.is_link:
            _leave(trail)
            return None
        return place

    def _entry(self, name: str, trail: list[int]) -> Place:
        parent = trail[-1] if trail else self.fd
        return Place(parent, name, self.look(parent, name))

    def _walk(self, parts: list[str], follow: bool, trail: list[int]) -> Place:
        """The place, component by component; links are read, and what they say is walked in turn.

        `trail` are the open directories from the root down, the root left out: `..` closes the last, and opens nothing.
        """
        todo = parts[::-1]
        links = 0
        while todo:
            name = todo.pop()
            if name == ".":
                continue
            if name == "..":
                if not trail:
                    raise PathRefused(f"{shown('/'.join(parts))} leads outside of the root")
                os.close(trail.pop())
                continue
            place = self._entry(name, trail)
            if place.is_link and (todo or follow):
                links += 1
                todo += self._target(place, links, trail)
            elif place.status is None:
                return _not_yet(place, todo)
            elif not todo or (todo == ["."] and stat.S_ISDIR(place.status.st_mode)):
                return place
            else:
                if len(trail) >= MAX_DEPTH:
                    raise PathRefused(f"The path goes through more than {MAX_DEPTH} directories")
                trail.append(self.step(place.parent, name, _DIRECTORY))
        parent = trail[-1] if trail else self.fd
        return Place(parent, ".", os.fstat(parent))

    def _target(self, place: Place, links: int, trail: list[int]) -> list[str]:
        """What a link says, as components in reverse; one that names the root in full starts there."""
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(place.name, dir_fd=place.parent)
        try:
            parts = self.parts(target)
        except PathRefused:
            raise PathRefused("The path goes through a link that leads outside of the root") from None
        if target.startswith("/"):
            _leave(trail)
        return parts[::-1]


def _leave(trail: list[int]) -> None:
    while trail:
        os.close(trail.pop())


def _not_yet(place: Place, todo: list[str]) -> Place:
    """A place that does not exist: the names that are still to come are those of directories and of what is in them."""
    names = [place.name, *(name for name in reversed(todo) if name != ".")]
    if ".." in names:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return Place(place.parent, names[-1], None, tuple(names[:-1]))


def kind_of(mode: int) -> str:
    """What a thing of this mode is, in words."""
    for test, word in _KINDS:
        if test(mode):
            return word
    return "a device"


_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)
