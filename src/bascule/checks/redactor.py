"""Secrets, found in texts that leave and replaced by `[redacted:kind]`.

Two ways to know one: by what it looks like (`secret_patterns`), and by its exact value, registered at run time; the
latter is found in its other spellings too: base64 at any offset, hexadecimal, URL-encoded, escaped for JSON or HTML.
"""

import base64
import html
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from urllib.parse import quote, quote_plus

from msgspec import Struct

from bascule.checks.secret_patterns import PATTERNS
from bascule.errors import ConfigError

MIN_SECRET = 8
"""A shorter value stands in too many words to be hidden wherever it is found."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Redacted(Struct, frozen=True):
    """A text without the secrets that were found; `found` counts them by kind."""

    text: str
    found: Mapping[str, int] = {}


class Redactor:
    """Replaces secrets in texts. Shows none of those it knows, in no form. Safe to share between threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are registered. Raises ConfigError."""
        self._registering = threading.Lock()
        self._known: Mapping[str, str] = {}
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str, kind: str = "secret") -> None:
        """Redact this value from now on, as `[redacted:kind]`; blanks around it do not count.

        Raises ConfigError for one that is shorter than 8 characters, and for a kind that is not a word like `db_url`.
        """
        secret = secret.strip()
        if len(secret) < MIN_SECRET:
            raise ConfigError(
                f"A secret to be redacted must have at least {MIN_SECRET} characters: a shorter one stands in ordinary "
                "words too"
            )
        if not _KIND.fullmatch(kind):
            raise ConfigError("The kind of a secret must be a word of a-z, 0-9 and underscores, like db_password")
        known = {spelling: kind for spelling in _spellings(secret) if len(spelling) >= MIN_SECRET}
        with self._registering:
            known = {**self._known, **known}
            self._known = {value: known[value] for value in sorted(known, key=lambda value: (-len(value), value))}

    def redact(self, text: str) -> Redacted:
        """The text with every secret replaced. Never raises for any string; linear in its length."""
        found: dict[str, int] = {}
        known = self._known
        for value in [value for value in known if value in text]:
            if number := text.count(value):  # a longer one, replaced before, may have held it
                kind = known[value]
                found[kind] = found.get(kind, 0) + number
                text = text.replace(value, f"[redacted:{kind}]")
        hits = [at for mark, anchors in _ANCHORS if mark in text for anchor, at in anchors if anchor in text]
        for at in sorted(set(hits)):
            kind = PATTERNS[at].kind
            text, number = _compiled(at).subn(_hide(kind), text)
            if number:
                found[kind] = found.get(kind, 0) + number
        return Redacted(text, found)


def _by_mark() -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
    """The anchors, each with the place of its pattern, by a mark that they hold: prose has few of the marks."""
    left = [(anchor, at) for at, pattern in enumerate(PATTERNS) for anchor in pattern.anchors]
    for mark in ("_", "-", "=", ""):
        yield mark, tuple(one for one in left if mark in one[0])
        left = [one for one in left if mark not in one[0]]


_ANCHORS = tuple(_by_mark())


@cache
def _compiled(at: int) -> re.Pattern[str]:
    return re.compile(PATTERNS[at].form, re.VERBOSE)


def _hide(kind: str) -> Callable[[re.Match[str]], str]:
    shown = f"[redacted:{kind}]"

    def hidden(match: re.Match[str]) -> str:
        group = match.lastindex
        if group is None:
            return shown
        start = match.start()
        return match[0][: match.start(group) - start] + shown + match[0][match.end(group) - start :]

    return hidden


def _spellings(secret: str) -> set[str]:
    """Every way in which a text may hold the value."""
    data = secret.encode("utf-8", "surrogatepass")
    found = {secret, data.hex(), data.hex().upper(), html.escape(secret), html.escape(secret, quote=False)}
    for spelled in (quote(data, safe=""), quote(data), quote_plus(data)):
        found |= {spelled, re.sub("%..", lambda code: code[0].lower(), spelled)}
    for exact in (True, False):
        once = json.dumps(secret, ensure_ascii=exact)[1:-1]
        found |= {once, once.replace("/", "\\/"), json.dumps(once, ensure_ascii=exact)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(data).decode())
        found |= {_core(encode(bytes(offset) + data).decode(), offset) for offset in range(3)}
    return found


def _core(encoded: str, offset: int) -> str:
    """The base64 characters that depend on nothing but the value, `offset` bytes into a group of three."""
    plain = encoded.rstrip("=")
    return plain[(0, 2, 3)[offset] : len(plain) - (plain != encoded)]
