"""Redaction: arguments without what is secret, told by the names that it stands under.

Knows decoded JSON. A value under a secret name is replaced whole, whatever it is; so is the value beside a name in the
forms that lists of headers have; and JSON inside a text is looked into. What is secret by its looks is the business of
the function that is given besides.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

Redactor = Callable[[str], str]

REDACTED = "[redacted]"

NAMES = frozenset(
    "password passwd passphrase passcode pwd pw token secret key apikey authorization auth authentication bearer "
    "credential cookie jwt otp totp mfa pin cvv cvc signature private session sessionid ssn".split()
)
"""Words that make a name secret, alone or as a part: `api_key`, `newPassword`, `X-Auth-Token`, `tokens`."""

_INSIDE = tuple("password passwd passphrase secret token apikey authorization credential privatekey accesskey".split())
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_LABELS = frozenset({"name", "key", "header", "field", "id"})
_VALUES = frozenset({"value", "values", "val", "content", "data", "text"})
_DEEPEST = 64


class Redaction:
    """Makes arguments fit to be kept. `names` are words besides the usual ones; `redactor` sees every text."""

    def __init__(self, names: Iterable[str] = (), redactor: Redactor | None = None) -> None:
        own = [name.lower() for name in names]
        self._names = NAMES.union(own)
        self._inside = (*_INSIDE, *(squeezed for squeezed in map(_squeezed, own) if len(squeezed) > 3))
        self._redactor = redactor
        self._known: dict[str, bool] = {}

    def is_secret(self, name: str) -> bool:
        """Whether what stands under this name is secret."""
        found = self._known.get(name)
        if found is None:
            squeezed = _squeezed(name)
            words = [word.lower() for word in _WORDS.findall(name)]
            found = any(word in self._names or word.removesuffix("s") in self._names for word in words)
            found = found or squeezed in self._names or any(part in squeezed for part in self._inside)
            if len(self._known) < 1000 and len(name) < 100:  # callers choose names, and must not fill the memory
                self._known[name] = found
        return found

    def of(self, value: Any, depth: int = 0) -> Any:
        """The value, without what is secret in it."""
        if isinstance(value, str):
            return self._text(value, depth)
        if depth >= _DEEPEST:
            return REDACTED if isinstance(value, dict | list) else value
        if isinstance(value, dict):
            return self._object(value, depth + 1)
        if isinstance(value, list):
            return self._list(value, depth + 1)
        return value

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        labelled = any(
            key.lower() in _LABELS and isinstance(label, str) and self.is_secret(label) for key, label in value.items()
        )
        kept: dict[str, Any] = {}
        for name, item in value.items():
            label = labelled and name.lower() in _LABELS
            hidden = (self.is_secret(name) and not label) or (labelled and name.lower() in _VALUES)
            kept[self._plain(name)] = REDACTED if hidden else self.of(item, depth)
        return kept

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        if len(value) == 2 and isinstance(value[0], str) and self.is_secret(value[0]) and len(value[0]) < 64:
            return [value[0], REDACTED]
        return [self.of(item, depth) for item in value]

    def _text(self, text: str, depth: int) -> str:
        if text.lstrip()[:1] in ("{", "[") and depth < _DEEPEST:
            try:
                inner = msgspec.json.decode(text)
            except (msgspec.MsgspecError, RecursionError, ValueError):
                return self._plain(text)
            return msgspec.json.encode(self.of(inner, depth + 1)).decode()
        return self._plain(text)

    def _plain(self, text: str) -> str:
        return text if self._redactor is None else self._redactor(text)


def _squeezed(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
