"""Reading: windows of lines, ranges of bytes, and lines that hold a text. Nothing is read that was not asked for.

Every file is opened at its place, looked at through its descriptor, and read no further than it was long then, so a
file that grows while it is read ends all the same.
"""

import base64
import os
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import UNSET, Struct, UnsetType

from bascule.checks.path_text import PathRefused, shown
from bascule.servers.files.globs import Glob
from bascule.servers.files.listing import tops
from bascule.servers.files.tree import Tree, as_text, joined
from bascule.servers.files.walk import Budget, Found, walk

MAX_TEXT = 200_000
"""Bytes of text in one window."""
MAX_RANGE = 256 << 10
"""Bytes in one range."""
MAX_SCANNED = 64 << 20
"""How far into a file lines are counted, in bytes."""
MAX_SEARCHED = 4 << 20
"""How much of one file is searched, in bytes."""
MAX_LINE = 400
"""Characters that are shown of a line that was found."""

_LOOK = 8192
_PIECE = 65536
_TOTAL = 512 << 20


class TextWindow(Struct, omit_defaults=True, rename="camel"):
    """Lines of a file, the first of them `first_line` (from 1). `truncated` says that the file goes on after them.

    `total_lines` is there where the end was seen, `size` is the file's in bytes, `note` says what is unusual.
    """

    path: str
    text: str
    first_line: int
    last_line: int
    size: int
    truncated: bool
    total_lines: int | UnsetType = UNSET
    note: str | UnsetType = UNSET


class ByteRange(Struct, rename="camel"):
    """Bytes of a file in base64, from `offset` on. `truncated` says that the file goes on after them."""

    path: str
    data: str
    offset: int
    length: int
    size: int
    truncated: bool


class Hit(Struct):
    """A line that holds the text."""

    path: str
    line: int
    text: str


class Hits(Struct, omit_defaults=True):
    """Lines that hold a text. `note` says what was not searched when `truncated` is true."""

    hits: list[Hit]
    files: int
    truncated: bool
    note: str | UnsetType = UNSET


def read_text(tree: Tree, path: str, first: int, count: int) -> TextWindow:
    """`count` lines from `first` on. Raises PathRefused, also for a file that is not text."""
    with tree.at(path) as spot, open(spot.open_file(), "rb") as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        _check_text(file, path)
        reader = _Lines(file, size)
        kept = b"".join(reader.window(first, count))
    text, note = _decoded(kept, cut=reader.note is not None)
    return TextWindow(
        path,
        text,
        first,
        reader.last,
        size,
        not reader.ended,
        reader.number if reader.ended else UNSET,
        " ".join(part for part in (reader.note, note) if part) or UNSET,
    )


def read_range(tree: Tree, path: str, offset: int, length: int) -> ByteRange:
    """`length` bytes from `offset` on. Raises PathRefused."""
    with tree.at(path) as spot, open(spot.open_file(), "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        data = read_up_to(file.fileno(), min(length, max(0, size - offset)), offset)
    return ByteRange(path, base64.b64encode(data).decode(), offset, len(data), size, offset + len(data) < size)


def search(tree: Tree, text: str, path: str, glob: str | None, ignore_case: bool, limit: int) -> Hits:
    """Lines that hold a text, beneath a directory or in one file. Raises PathRefused."""
    if "\n" in text or "\r" in text:
        raise PathRefused("The text to search for must be part of one line; remove the line break")
    pattern = None if glob is None else Glob(glob)
    seek = _Search(text, ignore_case, limit)
    for top in tops(tree, path):
        with tree.at(top) as spot:
            if not spot.place.is_directory:
                with open(spot.open_file(), "rb", buffering=0) as file:  # noqa: PTH123
                    seek.look_in(file.fileno(), top)
                continue
            for found in walk(spot, seek.budget):
                if found.is_file and (pattern is None or pattern.matches(found.path)):
                    seek.open_and_look(found, as_text(joined(top, found.path)))
    cut = seek.budget.cut
    return Hits(seek.hits, seek.files, cut is not None, cut or UNSET)


def read_up_to(fd: int, length: int, offset: int = 0) -> bytes:
    """Bytes of a file from an offset on; fewer where it ends."""
    pieces = []
    while length > 0 and (piece := os.pread(fd, min(length, 1 << 20), offset)):
        pieces.append(piece)
        length -= len(piece)
        offset += len(piece)
    return b"".join(pieces)


class _Lines:
    """Reads lines up to where the file ended when it was opened; a line may come in pieces."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._scanned = 0
        self.number = 0
        self.last = 0
        self.ended = False
        self.note: str | None = None

    def window(self, first: int, count: int) -> Iterator[bytes]:
        """The pieces of the lines of a window; sets `last`, `ended`, `number` (of lines seen) and `note`."""
        taken = 0
        begins = True
        while (piece := self._piece()) is not None:
            if begins and self.number >= first - 1 + count:
                return
            self.number += begins
            begins = piece.endswith(b"\n")
            if self.number >= first:
                taken += len(piece)
                if taken > MAX_TEXT:
                    self.note = f"Cut after {MAX_TEXT} bytes; a further call goes on, read_binary_file within a line."
                    yield piece[: len(piece) - (taken - MAX_TEXT)]
                    self.last = self.number
                    return
                yield piece
                self.last = self.number

    def _piece(self) -> bytes | None:
        if self._scanned >= MAX_SCANNED:
            self.note = f"Lines are counted in the first {MAX_SCANNED >> 20} MiB only; use read_binary_file."
            return None
        piece = self._file.readline(min(_PIECE, self._left)) if self._left else b""
        if not piece:
            self.ended = True
            return None
        self._left -= len(piece)
        self._scanned += len(piece)
        return piece


class _Search:
    """What has been found so far."""

    def __init__(self, text: str, ignore_case: bool, limit: int) -> None:
        self.budget = Budget()
        self.hits: list[Hit] = []
        self.files = 0
        self._ignore_case = ignore_case
        self._text = text.lower() if ignore_case else text
        self._limit = limit
        self._bytes = _TOTAL

    def open_and_look(self, found: Found, path: str) -> None:
        """Search a file that a walk has found; one that cannot be opened is left out, and said so."""
        try:
            fd = found.root.open_file(found.place, path)
        except PathRefused:
            self.budget.leave_out("files could not be opened, or are hard links")
            return
        try:
            self.look_in(fd, path)
        finally:
            os.close(fd)

    def look_in(self, fd: int, path: str) -> None:
        """Search an open file; one that is not text is passed over."""
        if b"\0" in read_up_to(fd, _LOOK):
            return
        data = read_up_to(fd, min(MAX_SEARCHED, os.fstat(fd).st_size))
        self.files += 1
        self._bytes -= len(data)
        if self._bytes < 0:
            self.budget.end(f"Only {_TOTAL >> 20} MiB were searched; begin further down, or narrow it with a glob.")
        if len(data) == MAX_SEARCHED:
            self.budget.leave_out(f"files are longer than {MAX_SEARCHED >> 20} MiB: what comes after was not searched")
        text = data.decode("utf-8", "replace")
        if self._text in self._folded(text):
            self._look_at(text, path)

    def _look_at(self, text: str, path: str) -> None:
        for number, line in enumerate(text.split("\n"), 1):
            place = self._folded(line).find(self._text)
            if place < 0:
                continue
            if len(self.hits) == self._limit:
                self.budget.end(f"Only the first {self._limit} lines are shown; there are more.")
                return
            self.hits.append(Hit(path, number, _clipped(line.rstrip("\r"), place)))

    def _folded(self, text: str) -> str:
        return text.lower() if self._ignore_case else text


def _clipped(line: str, place: int) -> str:
    """A line, or the part of a long one around what was found."""
    if len(line) <= MAX_LINE:
        return line
    start = max(0, min(place - MAX_LINE // 4, len(line) - MAX_LINE))
    return ("…" if start else "") + line[start : start + MAX_LINE] + ("…" if start + MAX_LINE < len(line) else "")


def _check_text(file: BinaryIO, path: str) -> None:
    if b"\0" in file.read(_LOOK):
        raise PathRefused(f"{shown(path)} is not text; use read_binary_file")
    file.seek(0)


def _decoded(data: bytes, *, cut: bool) -> tuple[str, str | None]:
    text = data.decode("utf-8", "replace")
    if cut:
        text = text.rstrip("\ufffd")  # half a character at the cut
    if "\ufffd" in text and "\ufffd".encode() not in data:
        return text, "Bytes that are not UTF-8 are shown as U+FFFD."
    return text, None
