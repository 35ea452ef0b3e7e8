"""Phrases that try to override instructions ("ignore all previous instructions"), found however they are spaced.

A text is folded to its letters: lower case, no accents, no blanks, no punctuation, look-alikes and figures that stand
for letters replaced. `I.G.N.O.R.E  all_prev1ous` folds as `ignoreallprevious` does. Phrases are searched there, and cut
out where they stand in the text. The list is `data/override_phrases.toml`.

What replaces one, `‹removed›`, is never longer than it was. `‹` and `›` count as letters that no phrase has, so that
what stood on both sides makes no phrase together.
"""

import re
import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from bascule.checks.characters import Count

_REMOVED = "removed"
SHORTEST = 11
"""No phrase of the list that is written in ASCII letters alone has fewer: numbers and short words need no search."""

_JOINERS = "\u200c\u200d"

_ALIKE = str.maketrans("013457@$аеіјорсухѕԁԛԝһкмтвнαιορυνκτχεηıłø", "oieastasaeijopcyxsdqwhkmtbhaiopuvktxenilo")
"""Figures and letters of other scripts that look like Latin ones: the same for the text and for the list."""


def folded(text: str) -> str:
    """The letters and figures of a text, as phrases are searched for in them."""
    return text.translate(_LETTERS)


def without_overrides(text: str, letters: str, count: Count) -> str:
    """The text with every such phrase cut out; `letters` is what `folded` makes of it."""
    is_ascii = letters.isascii()
    if is_ascii and len(letters) < SHORTEST:
        return text
    stems = _stems(is_ascii)
    found = [stem for stem in stems if stem in letters]
    if not found:
        return text
    forms = {form for stem in found for form in stems[stem]}
    spans = sorted({match.span() for form in forms for match in form.finditer(letters)})
    if not spans:
        return text
    places = [at for at, code in enumerate(map(ord, text)) for _ in _LETTERS[code] or ""]
    parts: list[str] = []
    done = 0
    for first, last in spans:
        start, end = places[first], _with_marks(text, places[last - 1] + 1)
        if start >= done:
            parts += [text[done:start], f"‹{_REMOVED[: end - start - 2]}›"]
            count("override_phrase", 1)
        elif end <= done:
            continue
        done = max(done, end)
    return "".join([*parts, text[done:]])


class _Letters(dict[int, str | None]):
    """A table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str | None:
        sign = chr(code).casefold().translate(_ALIKE)
        plain = unicodedata.normalize("NFKD", sign).casefold().translate(_ALIKE)
        letters = "".join(one for one in plain if one.isalnum()) or None
        if len(self) < _REMEMBERED:
            self[code] = letters
        return letters


_REMEMBERED = 10_000
_LETTERS = _Letters({ord(sign): sign for sign in "‹›"})


class _Sentence(NamedTuple):
    """How one language says it."""

    verbs: str
    between: str
    pointing: str
    objects: str
    last: bool
    alone: str = r"(?!)"
    owning: str = r"(?!)"

    def pattern(self) -> str:
        verb, any_word = self.verbs, f"(?:{self.pointing}|{self.owning}|{self.between})"
        if self.last:
            return f"{self.pointing}{any_word}{{0,6}}{self.objects}{any_word}{{0,4}}{verb}" + (
                f"|{self.objects}{any_word}{{0,6}}{self.pointing}{any_word}{{0,4}}{verb}"
            )
        return (
            f"{verb}(?:{self.between}{{0,6}}{self.alone}"
            f"|{self.between}{{0,6}}(?:{self.pointing}|{self.owning}){any_word}{{0,6}}{self.objects}"
            f"|{any_word}{{0,6}}{self.objects}{self.between}{{0,3}}{self.pointing})"
        )


def _with_marks(text: str, end: int) -> int:
    """Where a word ends that goes on with signs which depend on its last letter."""
    while end < len(text) and (text[end] in _JOINERS or unicodedata.category(text[end])[0] == "M"):
        end += 1
    return end


@cache
def _stems(ascii_only: bool) -> dict[str, list[re.Pattern[str]]]:
    """The beginnings by which a text is looked through first, each with the patterns that are searched then."""
    table: dict[str, Any] = tomllib.loads(files("bascule.checks").joinpath("data", _FILE).read_text("utf-8"))
    found: dict[str, list[re.Pattern[str]]] = {}
    for stem, phrases in table.pop("phrases").items():
        found.setdefault(folded(stem), []).append(re.compile(_one_of(phrases)))
    for language in table.values():
        last = language.pop("last", False)
        sentence = _Sentence(**{part: _one_of(words) for part, words in language.items()}, last=last)
        pattern = re.compile(sentence.pattern())
        for stem in {folded(verb)[:_STEM] for verb in language["verbs"]}:
            found.setdefault(stem, []).append(pattern)
    return {stem: forms for stem, forms in found.items() if stem.isascii() or not ascii_only}


_STEM = 5
"""How many letters of a verb are looked for first: few stems, each in many words, for what is a rare find anyway."""

_FILE = "override_phrases.toml"


def _one_of(words: Any) -> str:
    """A pattern for any of the words, the longest first."""
    known = sorted({folded(word) for word in words}, key=lambda word: (-len(word), word))
    return f"(?:{'|'.join(known)})"
