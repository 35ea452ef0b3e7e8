"""The end of a file of the log: where the next line has to hold on, as a process finds it that begins."""

import os
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from bascule.stores.audit.chain import Keys, Said, decode_said, mac_of, parts_of

LONGEST = 256 * 1024
"""No two lines that follow each other are longer than this."""


class Tail(NamedTuple):
    """The last whole line, and what stands after it. `seq` and `mac` are of that line.

    `sound` says whether it holds on to the line before it; `torn` is how long the part of a line after it is, `digest`
    tells that part from others; `ended` is False where only the end of the last line is missing.
    """

    seq: int
    mac: bytes
    sound: bool
    torn: int = 0
    digest: str = ""
    ended: bool = True


def tail_of(path: Path, keys: Keys) -> Tail | None:
    """How a file ends; None where it has no whole line. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST))
        *lines, rest = file.read().split(b"\n")
    before = lines[-2] if len(lines) > 1 else None
    last = _line(lines[-1], before, keys) if lines else None
    if rest:
        whole = _line(rest, lines[-1] if lines else None, keys)
        if whole.sound:
            return whole._replace(ended=False)
        torn = Tail(0, b"", True) if last is None else last
        return torn._replace(torn=len(rest), digest=sha256(rest).hexdigest())
    return last


def _line(line: bytes, before: bytes | None, keys: Keys) -> Tail:
    parts, said = parts_of(line), said_in(line)
    if parts is None or said is None:
        return Tail(0, b"", False)
    body, mac = parts
    previous = previous_in(said)
    if previous is None and before is not None:
        earlier = parts_of(before)
        previous = None if earlier is None else earlier[1]
    return Tail(said.seq, mac, previous is not None and mac_of(keys, previous, body) == mac)


def said_in(line: bytes) -> Said | None:
    """What a line says of its place; None where it is no line of a log."""
    try:
        return decode_said(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def previous_in(said: Said) -> bytes | None:
    """The MAC that a line says it holds on to, where it says so."""
    try:
        return bytes.fromhex(said.previous) if said.previous else None
    except ValueError:
        return None
