"""Writing: a file is replaced whole or not at all, and nothing is changed but what the place names.

The new content goes to a temporary file in the same directory, is made durable, and takes the name in one step. Until
then the old content stands; when the disk is full, or the process dies, it still does (what may be left is a file
`.bascule-….tmp`). A link is followed to the file that it names; what has several names, or is no file, is refused.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from bascule.checks.beneath import Place
from bascule.checks.path_text import PathRefused, check_file, shown
from bascule.checks.paths import check_removable
from bascule.servers.files.diff import unified
from bascule.servers.files.reading import read_up_to
from bascule.servers.files.rename import rename_new
from bascule.servers.files.tree import Spot, Tree

MAX_EDITED = 8 << 20
"""How long a file may be that is edited, in bytes."""

_TOKEN = 8
_PERMISSIONS = 0o777

Token = Callable[[int], str]


class Written(Struct):
    """What was written; `created` says that the file is new."""

    path: str
    size: int
    created: bool


class Edited(Struct):
    """What was replaced, how often, and how: a unified diff, which may be cut."""

    path: str
    replacements: int
    diff: str


class Moved(Struct):
    """What was moved."""

    source: str
    destination: str


class Deleted(Struct):
    """What was deleted."""

    path: str


def write(tree: Tree, path: str, data: bytes, overwrite: bool, token: Token = secrets.token_hex) -> Written:
    """Write a file, new or, with `overwrite`, in place of the old one. Directories are made. Raises PathRefused."""
    check_file(path)
    with tree.at(path) as spot:
        status = spot.place.status
        if status is None:
            spot.place.check_new()
            with _directories(spot) as parent:
                _put(spot, Place(parent, spot.place.name, None), data, None, token)
            return Written(path, len(data), True)
        spot.root.check_file(status, path)
        if not overwrite:
            raise PathRefused(f"{shown(path)} exists already; to replace all of it, say overwrite")
        _check_writable(spot)
        _put(spot, spot.place, data, status, token)
        return Written(path, len(data), False)


def edit(tree: Tree, path: str, old: str, new: str, every: bool, token: Token = secrets.token_hex) -> Edited:
    """Replace a text that stands in a file once, or with `every` each time it does. Raises PathRefused."""
    with tree.at(path) as spot:
        fd = spot.open_file()
        try:
            status = os.fstat(fd)
            text = _text(fd, status, path)
        finally:
            os.close(fd)
        count = text.count(old)
        if count == 0:
            raise PathRefused(f"The old text does not stand in {shown(path)}; it must match exactly, blanks included")
        if count > 1 and not every:
            raise PathRefused(
                f"The old text stands {count} times in {shown(path)}; give more of it, or say replace_all"
            )
        if len(text) + count * (len(new) - len(old)) > MAX_EDITED:
            raise PathRefused(f"{shown(path)} would grow to more than the {MAX_EDITED >> 20} MiB that can be edited")
        _check_writable(spot)
        _put(spot, spot.place, content(text.replace(old, new), "text"), status, token)
        return Edited(path, count, unified(path, text, old, new))


def move(tree: Tree, source: str, destination: str) -> Moved:
    """Give a file or directory another name, which must be free. Raises PathRefused.

    Links are not moved: what a relative one names would change with its place.
    """
    with tree.at(source, follow=False) as old, tree.at(destination, follow=False) as new:
        check_removable(old.root, old.place, source)
        if old.place.is_link:
            raise PathRefused(f"{shown(source)} is a link; links are not moved, for they would lead elsewhere then")
        if not old.place.is_directory:
            check_file(destination)
        if new.place.status is not None:
            raise PathRefused(f"{shown(destination)} exists already")
        new.place.check_new()
        with _directories(new) as parent:
            rename_new((old.place.parent, old.place.name), (parent, new.place.name))
            _settle(new, parent)
            _settle(old, old.place.parent)
    return Moved(source, destination)


def delete(tree: Tree, path: str) -> Deleted:
    """Delete a file, a link that leads nowhere outside, or an empty directory. Raises PathRefused."""
    with tree.at(path):  # a link that leads outside is refused here
        pass
    with tree.at(path, follow=False) as spot:
        check_removable(spot.root, spot.place, path)
        if spot.place.is_directory:
            os.rmdir(spot.place.name, dir_fd=spot.place.parent)
        else:
            os.unlink(spot.place.name, dir_fd=spot.place.parent)
        _settle(spot, spot.place.parent)
    return Deleted(path)


def content(text: str, encoding: str) -> bytes:
    """The bytes that a caller means. Raises PathRefused."""
    if encoding == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise PathRefused("The content is not base64") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise PathRefused("The content holds half of a surrogate pair, which is not valid text") from None


def _text(fd: int, status: os.stat_result, path: str) -> str:
    if status.st_size > MAX_EDITED:
        raise PathRefused(f"{shown(path)} is longer than the {MAX_EDITED >> 20} MiB that can be edited")
    data = read_up_to(fd, status.st_size)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise PathRefused(f"{shown(path)} is not UTF-8 text; it can only be written as a whole") from None


def _check_writable(spot: Spot) -> None:
    """Replacing needs no permission on the file itself; this server asks for it all the same."""
    os.close(spot.open_file(os.O_WRONLY))


@contextmanager
def _directories(spot: Spot) -> Iterator[int]:
    """The directory that a new name goes into; those that are missing are made."""
    parent, opened = spot.place.parent, []
    try:
        for name in spot.place.missing:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            parent = spot.root.step(parent, name, os.O_RDONLY | os.O_DIRECTORY)
            opened.append(parent)
        yield parent
    finally:
        for fd in opened:
            os.close(fd)


def _put(spot: Spot, place: Place, data: bytes, old: os.stat_result | None, token: Token) -> None:
    """Let a place have this content, in one step. Raises OSError, PathRefused where the file is not as it was."""
    temporary = f".bascule-{token(_TOKEN)}.tmp"
    mode = 0o666 if old is None else 0o600
    fd = spot.root.step(place.parent, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            _fill(fd, data)
            _dress(fd, old)
            os.fsync(fd)
        finally:
            os.close(fd)
        if old is None:
            rename_new((place.parent, temporary), (place.parent, place.name))
        else:
            _check_same(spot.root.look(place.parent, place.name), old, spot.path)
            os.rename(temporary, place.name, src_dir_fd=place.parent, dst_dir_fd=place.parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place.parent)
        raise
    _settle(spot, place.parent)


def _fill(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _dress(fd: int, old: os.stat_result | None) -> None:
    """Give the new file the old one's owner, where that is permitted, and permissions; never its set-user-id bits."""
    if old is None:
        return
    made = os.fstat(fd)
    if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):
            os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode) & _PERMISSIONS)


def _check_same(now: os.stat_result | None, old: os.stat_result, path: str) -> None:
    """Whoever wrote meanwhile must not lose what he wrote."""
    if now is None or _identity(now) != _identity(old):
        raise PathRefused(f"{shown(path)} was changed meanwhile; read it again")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _settle(spot: Spot, parent: int) -> None:
    """Make what a directory holds durable; the change itself has happened."""
    with suppress(OSError):
        fd = spot.root.step(parent, ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
