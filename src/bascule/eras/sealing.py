"""State that travels with the client: sealed so that it can be neither read nor changed, nor used for another purpose.

AES-256-GCM; the purpose is authenticated along with the payload. Layout, before base64url: format version (1 byte),
key id (4 bytes), nonce (12), ciphertext and tag. The first key seals; every key opens, so keys rotate without breaking
what is out. Randomness comes in as an argument.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bascule.engine.ports import Unsealable

_FORMAT = b"\x01"
_KEY_ID, _NONCE, _TAG = 4, 12, 16
_HEAD = len(_FORMAT) + _KEY_ID + _NONCE


class Sealer:
    """Seals and opens with a list of secrets (each at least 16 bytes of entropy), newest first."""

    def __init__(self, secrets: Sequence[bytes], random: Callable[[int], bytes] = os.urandom) -> None:
        if not secrets:
            secrets = (random(32),)
        digests = [sha256(b"bascule sealing\0" + secret).digest() for secret in secrets]
        self._ciphers = {sha256(key).digest()[:_KEY_ID]: AESGCM(key) for key in digests}
        self._current = next(iter(self._ciphers))
        self._random = random

    def seal(self, payload: bytes, purpose: str) -> str:
        """The sealed payload as URL-safe text."""
        nonce = self._random(_NONCE)
        sealed = self._ciphers[self._current].encrypt(nonce, payload, purpose.encode())
        return _text(_FORMAT + self._current + nonce + sealed)

    def open(self, text: str, purpose: str) -> bytes:
        """The payload. Raises Unsealable, without saying why, for anything that this sealer did not seal."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise Unsealable from None
        if _text(raw) != text:  # another spelling of the same bytes
            raise Unsealable
        cipher = self._ciphers.get(raw[1 : 1 + _KEY_ID])
        if raw[:1] != _FORMAT or cipher is None or len(raw) < _HEAD + _TAG:
            raise Unsealable
        try:
            return cipher.decrypt(raw[1 + _KEY_ID : _HEAD], raw[_HEAD:], purpose.encode())
        except InvalidTag:
            raise Unsealable from None


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
