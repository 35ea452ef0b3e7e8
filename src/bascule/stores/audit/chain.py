"""The chain: how one line of the audit log holds on to the line before it, and a head to the last.

Knows bytes and keys; does not know files. A line is one JSON object whose last member is `mac`: HMAC-SHA-256 over the
MAC of the line before it and the line as it was before `mac` was added. The head is a small JSON object that says, with
a signature, how many lines there are and what the MAC of the last one is.
Whoever has no key can make neither; whoever has it can make both. An old head with the lines of its time cannot be told
from the truth by itself: keep heads elsewhere for that.
"""

import hmac
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec
from msgspec import Struct

START = bytes(32)
"""What stands for the MAC of the line before the first."""

_BLOCK = 64
_MEMBER = b',"mac":"'
_SIZE = len(_MEMBER) + 64 + len(b'"}')
_SIGNATURE = b',"signature":"'
_SIGNED = len(_SIGNATURE) + 64 + len(b'"}')


class Keys(NamedTuple):
    """The keys of one log, each for one purpose."""

    lines: bytes
    heads: bytes
    arguments: bytes


def keys_of(secret: bytes) -> Keys:
    """The keys that follow from a secret."""
    return Keys(*(hmac.digest(secret, b"bascule audit " + name.encode(), "sha256") for name in Keys._fields))


class Head(Struct, frozen=True):
    """What has been written: `count` lines of the chain, in `segment` files; `mac` is that of the last line."""

    chain: str
    segment: int
    count: int
    mac: str


class Said(Struct, frozen=True):
    """What a line says of its place. `previous` stands on lines that something else may stand before: the first of a
    file, and the first that a process writes; those may also say what was found there."""

    seq: int
    kind: str
    chain: str = ""
    segment: int = 0
    previous: str = ""
    fault: str = ""
    torn: int = 0
    torn_digest: str = msgspec.field(default="", name="tornDigest")
    dropped: int = 0
    refused: int = 0


decode_said = msgspec.json.Decoder(Said).decode
_decode_head = msgspec.json.Decoder(Head).decode


def mac_of(keys: Keys, previous: bytes, body: bytes) -> bytes:
    """The MAC of a line, given that of the line before it."""
    return primed(keys.lines)(previous + body)


@lru_cache(maxsize=8)
def primed(key: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA-256 with a key of at most 64 bytes that is worked in already, which is more than half of the cost of a
    short one (RFC 2104, 4)."""
    block = key.ljust(_BLOCK, b"\0")
    inner, outer = (sha256(bytes([byte ^ pad for byte in block])) for pad in (0x36, 0x5C))

    def mac(message: bytes) -> bytes:
        first, last = inner.copy(), outer.copy()
        first.update(message)
        last.update(first.digest())
        return last.digest()

    return mac


def line_of(body: bytes, mac: bytes) -> bytes:
    """The line, its end included, from its JSON object without `mac`."""
    return body[:-1] + _MEMBER + mac.hex().encode() + b'"}\n'


def parts_of(line: bytes) -> tuple[bytes, bytes] | None:
    """The JSON object without `mac`, and the MAC; None for what is not a line of a log."""
    place = len(line) - _SIZE
    if place < 1 or line[place : place + len(_MEMBER)] != _MEMBER or line[-2:] != b'"}':
        return None
    try:
        mac = bytes.fromhex(line[place + len(_MEMBER) : -2].decode("ascii"))
    except ValueError:
        return None
    body = line[:place] + b"}"
    # Only one spelling of each line is a line, or two different files would both be the truth.
    return (body, mac) if line_of(body, mac)[:-1] == line else None


def head_bytes(keys: Keys, head: Head) -> bytes:
    """The head as it is kept."""
    body = msgspec.json.encode(head)
    return body[:-1] + _SIGNATURE + _signature(keys, body) + b'"}\n'


def head_from(keys: Keys, data: bytes) -> Head | None:
    """The head in a file's content; None where it is not a whole one. Raises ValueError where its signature is not
    of these keys."""
    data = data.rstrip(b"\n")
    place = len(data) - _SIGNED
    if place < 1 or data[place : place + len(_SIGNATURE)] != _SIGNATURE:
        return None
    body = data[:place] + b"}"
    if not hmac.compare_digest(_signature(keys, body) + b'"}', data[place + len(_SIGNATURE) :]):
        raise ValueError("the signature does not fit")
    return _decode_head(body)


def _signature(keys: Keys, body: bytes) -> bytes:
    return hmac.digest(keys.heads, body, "sha256").hex().encode()
