"""The text of an API key: `bsk_`, an id that may be seen, a secret, and a checksum.

Pure functions. The checksum tells a slip of the keyboard or a cut end from a key that is not known, without looking
anything up; it proves nothing. Id and secret have 64 and 256 random bits.
"""

import string
import zlib
from typing import NamedTuple

from bascule.engine.ports import Random

PREFIX = "bsk_"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_BYTES, _ID = 8, 11
_SECRET_BYTES, _SECRET = 32, 43
_CHECKSUM = 6
_LENGTH = len(PREFIX) + _ID + _SECRET + _CHECKSUM


class NewKey(NamedTuple):
    """A key that was just made: its id, and all of it."""

    id: str
    text: str


def make_key(random: Random) -> NewKey:
    """A key that nobody can guess."""
    key_id = _base62(random(_ID_BYTES), _ID)
    body = f"{PREFIX}{key_id}{_base62(random(_SECRET_BYTES), _SECRET)}"
    return NewKey(key_id, body + _checksum(body))


def id_of(text: str) -> str | None:
    """The id in a key; None where the text, which begins with PREFIX, is not a whole key without slips."""
    body = text[:-_CHECKSUM]
    if len(text) != _LENGTH or text[-_CHECKSUM:] != _checksum(body):
        return None
    return body[len(PREFIX) : len(PREFIX) + _ID]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4), _CHECKSUM)


def _base62(data: bytes, length: int) -> str:
    number = int.from_bytes(data)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
