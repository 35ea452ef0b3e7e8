"""Verifying: whether the files of a log are what was written, and if not, where that first shows and why.

Reads files and the key; writes nothing. Every byte of every line is covered by the chain, the end of the last file by
the head. A process that was killed leaves part of a line behind, after the last line that the head knows: that is told
apart from a line that was cut, because the head knows no more than what stands there whole.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from bascule.errors import ConfigError
from bascule.stores.audit.chain import START, Head, Keys, Said, head_from, mac_of, parts_of
from bascule.stores.audit.place import Place
from bascule.stores.audit.tail import LONGEST, previous_in, said_in


class Fault(Struct, frozen=True):
    """Where a log is first wrong, and why. `line` counts from 1 in its file; 0 where it is about the file."""

    file: str
    line: int
    reason: str


class Report(Struct, rename="camel"):
    """What was found. `lines` are those of the chain that are as they were written, from `first` to `last`; `mac` is
    that of the last one, to be kept elsewhere; `torn` are the bytes of a line that a killed process began."""

    file: str
    files: list[str]
    chain: str = ""
    first: int = 0
    last: int = 0
    lines: int = 0
    mac: str = ""
    torn: int = 0
    dropped: int = 0
    refused: int = 0
    fault: Fault | None = None


class Wrong(Exception):
    """The first thing that is wrong; the message says what."""


def verify(file: str, keys: Keys, *, first: int = 1, known: tuple[int, str] | None = None) -> Report:
    """Verify the log that a process wrote to `file`, and the files before it, from the line `first` on.

    `known` is the number and MAC of a line, as an earlier report had them: the log must still have it.
    Raises ConfigError where there is no such log, or it was written with another key.
    """
    place = Place(Path(file))
    for _ in range(3):
        head = _head(place, keys)
        report = _Check(place, keys, first, known).run(head)
        if report.fault is None or _head(place, keys) == head:
            break  # a log that is being written may have turned to another file while it was read
    return report


def _head(place: Place, keys: Keys) -> Head | str:
    """The head, or what is wrong with it."""
    try:
        data = place.head.read_bytes()
    except FileNotFoundError:
        if not place.current.exists() and not place.segments():
            raise ConfigError(f"There is no audit log {place.current}") from None
        return "its head is missing, so that a cut tail would not show"
    except OSError as error:
        raise ConfigError(f"The head of {place.current} cannot be read: {error.strerror}") from None
    try:
        return head_from(keys, data) or "its head was changed: it is not whole"
    except ValueError:
        return "its head was not signed with this key: it is another key, or the head was changed"


class _Check:
    """One reading of one log."""

    def __init__(self, place: Place, keys: Keys, first: int, known: tuple[int, str] | None) -> None:
        self._place = place
        self._keys = keys
        self._first = first
        self._known = known
        self._mac: bytes | None = None
        self._paths = [place.segment(number) for number in place.segments()]
        if place.current.exists():
            self._paths.append(place.current)
        self._torn: tuple[Path, int, bytes] | None = None
        self._report = Report(str(place.current), [str(path) for path in self._paths])
        self._where: tuple[Path, int] = (place.current, 0)

    def run(self, head: Head | str) -> Report:
        report = self._report
        try:
            for path in self._paths:
                self._file(path)
            if self._torn is not None:
                report.torn = len(self._torn[2])
            self._end(head)
        except Wrong as wrong:
            report.fault = Fault(str(self._where[0]), self._where[1], str(wrong))
        report.mac = "" if self._mac is None else self._mac.hex()
        return report

    def _file(self, path: Path) -> None:
        for number, line, whole in _lines(path):
            self._where = (path, number)
            if self._torn is not None:
                self._after_torn(line)
            elif not self._line(line):
                if whole and not self._is_torn(path, number, line):
                    raise Wrong(self._diagnosis(line))
                self._torn = (path, number, line)

    def _is_torn(self, path: Path, number: int, line: bytes) -> bool:
        """Whether the line after one that is none says that it found just that."""
        following = next((text for at, text, _ in _lines(path) if at == number + 1), None)
        return following is not None and self._tells_of(following, line)

    def _tells_of(self, line: bytes, torn: bytes) -> bool:
        said = said_in(line)
        return (
            said is not None
            and said.kind == "open"
            and said.torn == len(torn)
            and said.torn_digest == sha256(torn).hexdigest()
        )

    def _after_torn(self, line: bytes) -> None:
        assert self._torn is not None
        path, number, torn = self._torn
        if not self._tells_of(line, torn):
            self._where = (path, number)
            raise Wrong(self._diagnosis(torn))
        self._torn = None
        if not self._line(line):
            raise Wrong(self._diagnosis(line))

    def _line(self, line: bytes) -> bool:
        """Take one line; False where it does not hold on to the one before. Raises Wrong where it says so itself."""
        parts = parts_of(line)
        said = said_in(line)
        if parts is None or said is None:
            return False
        body, mac = parts
        previous = self._previous(said)
        if previous is None or mac_of(self._keys, previous, body) != mac:
            return False
        self._hold(said, previous)
        report = self._report
        if said.chain and not report.chain:
            report.chain = said.chain
        report.first = report.first or said.seq
        report.last = said.seq
        report.lines += 1
        report.dropped += said.dropped
        report.refused += said.refused
        self._mac = mac
        if self._known is not None and self._known[0] == said.seq and self._known[1] != mac.hex():
            raise Wrong(f"line {said.seq} is not the one that was there before")
        return True

    def _previous(self, said: Said) -> bytes | None:
        """What a line has to hold on to: what it says, for one that begins something."""
        own = previous_in(said)
        return self._mac if own is None else own

    def _hold(self, said: Said, previous: bytes) -> None:
        """Raise Wrong where a line of ours does not follow the line before it."""
        expected = self._report.last + 1 if self._report.lines else self._first
        if said.fault:
            raise Wrong(f"when this line was written, {said.fault}")
        if said.seq != expected:
            raise Wrong(self._order(said.seq, expected))
        if self._mac is not None and previous != self._mac:
            raise Wrong("the line before this one is not the one that it was written after")
        if said.seq == 1 and previous != START:
            raise Wrong("it is not the beginning of a log")

    def _order(self, seq: int, expected: int) -> str:
        if seq < expected:
            return f"it is line {seq} of the chain, where line {expected} is due: it was moved or repeated"
        lines = f"line {expected} is" if seq == expected + 1 else f"lines {expected} to {seq - 1} are"
        where = "" if self._report.lines else f"; if they were archived, verify from line {seq} on"
        return f"{lines} missing before it{where}"

    def _diagnosis(self, line: bytes) -> str:
        """Why a line does not hold on to the one before it, as far as that can be told."""
        said = said_in(line)
        if parts_of(line) is None or said is None:
            return "it is no line of an audit log: it was changed, or cut"
        expected = self._report.last + 1 if self._report.lines else self._first
        if said.seq != expected:
            return self._order(said.seq, expected)
        return "its MAC does not fit: it, or the line before it, was changed, or the key is another"

    def _end(self, head: Head | str) -> None:
        report = self._report
        self._where = (self._place.current, 0)
        if isinstance(head, str):
            raise Wrong(head)
        if report.last < head.count:
            raise Wrong(f"the tail was cut: lines {report.last + 1} to {head.count} are missing")
        if report.last == head.count and self._mac is not None and self._mac.hex() != head.mac:
            raise Wrong("the last line is not the one that was written last")
        if self._known is not None and self._known[0] > report.last:
            raise Wrong(f"the tail was cut: line {self._known[0]} was there before, and {report.last} is the last")
        if report.lines and report.chain != head.chain:
            raise Wrong("the head belongs to another log")


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """The lines of a file, numbered from 1; whether each has an end."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                yield number, line.removesuffix(b"\n"), line.endswith(b"\n")
    except OSError as error:
        raise ConfigError(f"The audit log {path} cannot be read: {error.strerror}") from None
