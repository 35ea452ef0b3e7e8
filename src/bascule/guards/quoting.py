r"""Quoting: text of strangers, shown so that nothing in it can pose as anything outside its quotation marks.

What is plain (ASCII, and the letters of all scripts) stays as it is; what acts, hides, or looks like something
else is written as `\n`, `\u202e`, `\u{1f600}`, and three or more blanks as `\s{3}`. Nothing is dropped: every
quotation can be read back. Knows characters only.
Source: Unicode Technical Report 36; Standard Annexes 9 (bidi) and 15 (normal forms); Technical Standard 39.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

WIDTH = 100
"""How many characters a quotation has in one line; a longer one goes on in the next."""

_SIMPLE = re.compile(r"[ !#-%'-;=-\[\]^_a-~]*")
"""Text in which nothing need be looked at twice. No backtick, which would end a block of code in Markdown."""

_BLANKS = "   "
_PIECE = re.compile(r"(?P<blanks> {3,})|(?P<active><(?=[A-Za-z/!?])|&(?=[#A-Za-z]))|.", re.DOTALL)
"""One character, or blanks that are shown as one; `active` where HTML would begin."""

_WORD = re.compile(r"\w+")
_BREAK = "\\n"
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_KEPT = frozenset("£€¥°§¿¡、。《》「」『』々ー\uff0c\uff1a\uff1b\uff01\uff1f\uff08\uff09\u0e33\u0eb3\u0e46")
"""Plain, whatever their category says."""

_POSING = frozenset("\u05f0\u05f2\ua78b\ua78c\u115f\u1160\u17b4\u17b5")
"""Letters that look like quotation marks, or like nothing."""

_INVISIBLE = ("VARIATION", "MONGOLIAN FREE", "COMBINING")
_MIXING = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "BOPOMOFO", "LATIN")
"""Scripts that stand beside Latin letters in one word without looking like them."""


class Cut(NamedTuple):
    """The two ends of a text, each in lines, and how many characters between them are left out."""

    head: list[str]
    hidden: int
    tail: list[str]


def quoted(text: str, breaks: bool = True) -> list[str]:
    """The text in quotation marks, in lines that are not long; with `breaks`, a new one after each line break in it."""
    simple = len(text) <= WIDTH and _SIMPLE.fullmatch(text) and _BLANKS not in text
    return [f'"{text}"'] if simple else _lines(_shown(text), breaks)


def inline(text: str) -> str:
    """The text in quotation marks, in one line."""
    return f'"{"".join(shown for shown, _ in _shown(text))}"'


def cut(text: str, room: int) -> Cut:
    """The beginning and the end of a text that is longer than `room` characters when shown."""
    ending = room // 4
    head = _within(_shown(text[: room - ending]), room - ending)
    tail = _within(list(_shown(text[len(text) - ending :]))[::-1], ending)[::-1]
    hidden = len(text) - sum(count for _, count in head) - sum(count for _, count in tail)
    return Cut(_lines(head, False), hidden, _lines(tail, False))


def room_for(text: str, most: int) -> int:
    """How many characters the text takes when shown; more than `most` for a longer one, which is not looked at."""
    if len(text) > most:
        return most + 1
    return len(text) if _SIMPLE.fullmatch(text) else sum(len(shown) for shown, _ in _shown(text))


def _within(pieces: Iterable[tuple[str, int]], room: int) -> list[tuple[str, int]]:
    found = []
    for piece in pieces:
        room -= len(piece[0])
        if room < 0:
            break
        found.append(piece)
    return found


def _lines(pieces: Iterable[tuple[str, int]], breaks: bool) -> list[str]:
    lines = [""]
    for shown, _ in pieces:
        if len(lines[-1]) + len(shown) > WIDTH or (breaks and lines[-1].endswith(_BREAK)):
            lines.append("")
        lines[-1] += shown
    return [f'"{line}"' for line in lines]


def _shown(text: str) -> Iterator[tuple[str, int]]:
    """The text piece by piece: how each is shown, and how many characters it stands for."""
    mixed = frozenset() if text.isascii() else _mixed(text)
    before = ""
    for found in _PIECE.finditer(text):
        piece = found[0]
        if found.lastgroup == "blanks":
            yield f"\\s{{{len(piece)}}}", len(piece)
        elif found.lastgroup == "active":
            yield written_out(piece), 1
        elif piece in "<&" or _SIMPLE.fullmatch(piece) or (_plain(piece, before) and found.start() not in mixed):
            yield piece, 1
        else:
            yield written_out(piece), 1
        before = piece[-1]


def _plain(letter: str, before: str) -> bool:
    """Whether a character beyond plain ASCII looks like what it is, after the one before it."""
    kind = _kind(letter)
    if kind != "mark":
        return kind == "plain"
    if not before or _kind(before) == "other":
        return False
    return len(unicodedata.normalize("NFC", before + letter)) == 2


@lru_cache(maxsize=4096)
def _kind(letter: str) -> str:
    """Plain, a mark on a letter, or something that must be written out."""
    if letter in _KEPT:
        return "plain"
    category = unicodedata.category(letter)
    if letter in _POSING or letter.isascii() or unicodedata.normalize("NFKC", letter) != letter:
        return "other"
    if category in ("Mn", "Mc"):
        return "other" if unicodedata.name(letter, "COMBINING").startswith(_INVISIBLE) else "mark"
    return "plain" if category in ("Lu", "Ll", "Lt", "Lo") else "other"


def _mixed(text: str) -> frozenset[int]:
    """The places of letters that stand in one word with Latin ones and may be taken for them."""
    places: set[int] = set()
    for word in _WORD.finditer(text):
        if word[0].isascii():
            continue
        strange = [at for at, letter in enumerate(word[0], word.start()) if not letter.isascii() and not _mixes(letter)]
        if len(strange) < sum(letter.isalpha() for letter in word[0]):
            places.update(strange)
    return frozenset(places)


@lru_cache(maxsize=4096)
def _mixes(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_MIXING)


def written_out(letter: str) -> str:
    """The number of a character, in place of it."""
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    number = ord(letter)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\u{{{number:x}}}"
