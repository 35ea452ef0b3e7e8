"""Docstrings: what a function's docstring says of its parameters, and what is left when that is taken out.

Knows text only. Three styles are read: Google ("Args:"), NumPy ("Parameters" underlined), Sphinx (":param name:").
Only entries that name a parameter of the function count; a section without any stays in the description.
"""

import inspect
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

_GOOGLE_HEAD = re.compile(r"(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments):\s*$")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)$")
_NUMPY_HEAD = re.compile(r"(?:Other )?Parameters\s*$")
_NUMPY_RULE = re.compile(r"-{3,}\s*$")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_SPHINX_ENTRY = re.compile(r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:")


class Docstring(NamedTuple):
    """A docstring without its parameter sections, and the parameters' descriptions by name."""

    description: str | None
    parameters: dict[str, str]


def read(text: str | None, names: Collection[str]) -> Docstring:
    """Take the descriptions of `names` out of a docstring."""
    if not text:
        return Docstring(None, {})
    lines = inspect.cleandoc(text).splitlines()
    found: dict[str, str] = {}
    kept: list[str] = []
    at = 0
    while at < len(lines):
        end, entries = _section(lines, at, names)
        if entries is None:
            kept.append(lines[at])
            at += 1
        else:
            found.update(entries)
            at = end
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return Docstring(description or None, found)


def _section(lines: Sequence[str], at: int, names: Collection[str]) -> tuple[int, dict[str, str] | None]:
    """Where the section that starts at this line ends, and its entries; None where none starts here."""
    line = lines[at]
    if _GOOGLE_HEAD.match(line):
        return _google(lines, at, names)
    if _NUMPY_HEAD.match(line) and at + 1 < len(lines) and _NUMPY_RULE.match(lines[at + 1]):
        return _numpy(lines, at, names)
    if _SPHINX_TYPE.match(line):
        return _indented(lines, at + 1), {}
    if (entry := _SPHINX_ENTRY.match(line)) and entry[1] in names:
        end = _indented(lines, at + 1)
        return end, {entry[1]: _joined([entry[2], *lines[at + 1 : end]])}
    return at, None


def _google(lines: Sequence[str], at: int, names: Collection[str]) -> tuple[int, dict[str, str] | None]:
    end = _indented(lines, at + 1, gaps=True)
    body = inspect.cleandoc("\n" + "\n".join(lines[at + 1 : end])).splitlines()
    texts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in body:
        entry = _GOOGLE_ENTRY.match(line)
        if entry:
            current = texts.setdefault(entry[1], [])
            current.append(entry[2])
        else:
            current.append(line)
    return end, _known(texts, names)


def _numpy(lines: Sequence[str], at: int, names: Collection[str]) -> tuple[int, dict[str, str] | None]:
    texts: dict[str, list[str]] = {}
    end = at + 2
    while end < len(lines):
        entry = _NUMPY_ENTRY.match(lines[end])
        starts_section = end + 1 < len(lines) and _NUMPY_RULE.match(lines[end + 1])
        if lines[end].strip() and (not entry or starts_section):
            break
        after = _indented(lines, end + 1)
        if entry:
            for name in entry[1].split(","):
                texts[name.strip(" *")] = list(lines[end + 1 : after])
        end = after
    return end, _known(texts, names)


def _known(texts: dict[str, list[str]], names: Collection[str]) -> dict[str, str] | None:
    known = {name: _joined(lines) for name, lines in texts.items() if name in names}
    return known or None


def _indented(lines: Sequence[str], at: int, *, gaps: bool = False) -> int:
    """The end of the indented block that starts at this line; blank lines belong to it only with `gaps`."""
    end = at
    while at < len(lines) and (lines[at][:1].isspace() or (gaps and not lines[at])):
        at += 1
        if lines[at - 1].strip():
            end = at
    return end


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())
