"""The ledger: lines become a chain, and the chain becomes files.

Used by one thread. What could not be written is kept and written later, from the very byte where writing stopped; the
head follows what was written, never the other way round. A file that is long or old enough is followed by another,
whose first line holds on to the last line of the one before.
"""

import os
import secrets
import socket
import time
from typing import Any

import msgspec

from bascule.engine.ports import Clock
from bascule.engine.settings import AuditSettings
from bascule.errors import ConfigError
from bascule.stores.audit.chain import START, Head, Keys, head_bytes, head_from, line_of, mac_of
from bascule.stores.audit.moment import moment
from bascule.stores.audit.place import Place, free_place, open_private, sync_folder
from bascule.stores.audit.tail import Tail, tail_of

_APPEND = os.O_WRONLY | os.O_APPEND
_RENAMES_OPEN_FILES = os.name != "nt"
_encode = msgspec.json.Encoder().encode


class Ledger:
    """The files of one process. Raises ConfigError where they cannot be opened, or were written with another key."""

    def __init__(self, settings: AuditSettings, keys: Keys, clock: Clock = time.time) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._waiting = bytearray()
        self._descriptor = -1
        self._identity = (0, 0)
        self._moved = False
        self._fault = ""
        """What was wrong with a file that another has to follow."""
        self._seq, self._mac = 0, START
        self._size, self._since = 0, clock()
        self._written = -1
        """The line that the head on the disk speaks of."""
        self.place: Place = free_place(settings.file)
        try:
            self._head = self._begin()
        except OSError as error:
            self.place.leave()
            raise ConfigError(f"The audit log {settings.file} cannot be opened: {error.strerror}") from None
        except BaseException:
            self.place.leave()
            raise

    @property
    def waiting(self) -> int:
        """How many bytes were added and are not written yet."""
        return len(self._waiting)

    @property
    def head(self) -> Head:
        """What the head says once everything that was added is written."""
        return Head(self._head.chain, self._head.segment, self._seq, self._mac.hex())

    def add(self, kind: str, what: bytes) -> None:
        """Add a line of a kind; `what` are its own members, as a JSON object, which may be empty."""
        self._seq += 1
        body = b'{"seq":%d,"kind":"%s"' % (self._seq, kind.encode()) + (b"," + what[1:] if len(what) > 2 else b"}")
        self._mac = mac_of(self._keys, self._mac, body)
        self._waiting += line_of(body, self._mac)

    def write(self) -> None:
        """Write what was added, follow a full file by another, then the head. Raises OSError; call again then."""
        if not self._moved and self._is_gone():
            self._moved, self._fault = True, "the file before this one was moved or removed while it was written"
        if self._moved:
            if not self._fault:
                self._drain()  # to the file that has its last name already: the next one begins with a line of its own
            self._turn()
        self._drain()
        if self._is_full():
            self._turn()
            self._drain()
        if self._seq != self._written:
            if self._settings.fsync == "batch":
                os.fsync(self._descriptor)
            self._write_head()

    def close(self) -> None:
        """Write what was added, and the last line. Raises OSError; the place is free afterwards in any case."""
        try:
            self.add("close", _encode({"time": moment(self._clock())}))
            self.write()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the files as they are."""
        self._let_go()
        self.place.leave()

    def _begin(self) -> Head:
        """Go on where the files end; the first line of this process says what was found there."""
        head, segments, current = self._read_head(), self.place.segments(), self.place.current
        found = current if current.exists() and current.stat().st_size else None
        if found is None and segments:
            found = self.place.segment(segments[-1])
        tail = None if found is None else tail_of(found, self._keys)
        if head is None:
            fault = "" if found is None else "the head was missing"
            head = Head(secrets.token_hex(8), 1, 0, START.hex())
            if found is None:
                self._store_head(head)
        else:
            fault = ""
        fault = fault or _fault(head, tail)
        self._seq, self._mac = _end(head, tail)
        self._head = Head(head.chain, max([head.segment, *(number + 1 for number in segments)]), 0, "")
        self._use(open_private(current, _APPEND))
        if self._size and tail is not None and (tail.torn or not tail.ended):
            self._waiting += b"\n"
        found_there: dict[str, Any] = {"fault": fault} if fault else {}
        if tail is not None and tail.torn:
            found_there |= {"torn": tail.torn, "tornDigest": tail.digest}
        self._add_first("open", host=socket.gethostname(), pid=os.getpid(), **found_there)
        return self._head

    def _use(self, descriptor: int) -> None:
        """Write to this file from now on."""
        status = os.fstat(descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)
        self._size, self._since = status.st_size, self._clock()

    def _add_first(self, kind: str, **members: Any) -> None:
        """Add a line that says itself what it holds on to."""
        place = {"chain": self._head.chain, "segment": self._head.segment, "previous": self._mac.hex()}
        self.add(kind, _encode({"time": moment(self._clock()), **place, **members}))

    def _read_head(self) -> Head | None:
        try:
            data = self.place.head.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return head_from(self._keys, data)
        except ValueError:
            raise ConfigError(
                f"The audit log {self.place.current} was written with another key, or its head was changed: verify it, "
                "and move its files away or give the key that it was written with"
            ) from None

    def _drain(self) -> None:
        while self._waiting:
            written = os.write(self._descriptor, self._waiting)
            if not written:
                raise OSError(0, "nothing was written")
            del self._waiting[:written]
            self._size += written

    def _is_gone(self) -> bool:
        """Whether the file is not where it was, so that what is written to it would be lost."""
        if not _RENAMES_OPEN_FILES:
            return False
        try:
            status = self.place.current.stat()
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _is_full(self) -> bool:
        after = self._settings.rotate_after
        return self._size >= self._settings.rotate_bytes or bool(after and self._clock() - self._since >= after)

    def _turn(self) -> None:
        """Go on in a new file. Where that fails half-way, the next call goes on from there."""
        current = self.place.current
        if not self._moved:
            os.fsync(self._descriptor)
            self._rename()
            self._moved = True
        descriptor = open_private(current, _APPEND | os.O_EXCL)
        self._let_go()
        self._use(descriptor)
        self._head = Head(self._head.chain, self._head.segment + 1, 0, "")
        fault, self._moved, self._fault = self._fault, False, ""
        self._add_first("next", **({"fault": fault} if fault else {}))

    def _rename(self) -> None:
        """Give the file its last name."""
        current = self.place.current
        if _RENAMES_OPEN_FILES:
            current.rename(self.place.segment(self._head.segment))
            return
        self._let_go()
        last = self.place.segment(self._head.segment)
        try:
            current.rename(last)
        except OSError:
            last = current
            raise
        finally:
            self._descriptor = open_private(last, _APPEND)

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write_head(self) -> None:
        self._store_head(self.head)
        self._written = self._seq

    def _store_head(self, head: Head) -> None:
        """Put a head in place of the last one, whole or not at all."""
        path = self.place.head
        fresh = path.with_name(f"{path.name}.new")
        descriptor = open_private(fresh, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, head_bytes(self._keys, head))
            if self._settings.fsync == "batch":
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(path)
        if head.count == 0 and self._settings.fsync == "batch":
            sync_folder(path)


def _end(head: Head, tail: Tail | None) -> tuple[int, bytes]:
    """The line to hold on to: the last that is there, or where that cannot be trusted, the last that the head knows."""
    known = bytes.fromhex(head.mac)
    if tail is None:
        return head.count, known
    if tail.sound and (tail.seq > head.count or (tail.seq == head.count and tail.mac == known)):
        return tail.seq, tail.mac
    return max(head.count, tail.seq), known


def _fault(head: Head, tail: Tail | None) -> str:
    """What is wrong with the files that a process finds, in a sentence; nothing where they are whole."""
    last = 0 if tail is None else tail.seq
    if tail is not None and not tail.sound:
        return "the last line did not hold on to the one before it"
    if last < head.count:
        return f"lines {last + 1} to {head.count} were missing"
    if tail is not None and last == head.count and tail.mac.hex() != head.mac:
        return "the last line was not the one that had been written"
    return ""
