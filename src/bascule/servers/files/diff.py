"""The diff of a replacement, made from where it happened: it takes time in proportion to the text, whatever that is."""

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

MAX_DIFF = 20_000
"""Characters of a diff; the rest is cut, and said so."""

_CONTEXT = 3
_MAX_CHANGES = 10_000


class _Change(NamedTuple):
    """Lines that become others: the first line (from 0), what stood there, and what stands there now."""

    line: int
    before: list[str]
    after: list[str]


def unified(path: str, text: str, old: str, new: str) -> str:
    """A unified diff of `text.replace(old, new)`, with three lines around each change."""
    lines = _split(text)
    parts = [f"--- {path}\n+++ {path}\n"]
    size = grown = 0
    changes = list(islice(_changes(text, old, new), _MAX_CHANGES))
    for hunk in _hunks(changes):
        told = _told(hunk, lines, grown)
        grown += sum(len(change.after) - len(change.before) for change in hunk)
        size += len(told)
        if size > MAX_DIFF:
            parts += [told[: max(0, MAX_DIFF - (size - len(told)))], "\n(the diff is longer, and cut here)\n"]
            break
        parts.append(told)
    else:
        parts += ["(there are more changes, which are not shown)\n"] if len(changes) == _MAX_CHANGES else []
    return "".join(parts)


def _split(text: str) -> list[str]:
    """Lines that end in a line feed, and only those."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _changes(text: str, old: str, new: str) -> Iterator[_Change]:
    """The changes by whole lines; occurrences that share a line are one change."""
    line = counted = 0
    whole = old.endswith("\n") and new.endswith("\n")  # then the next line stays a line of its own
    at = text.find(old)
    while at >= 0:
        start = text.rfind("\n", 0, at) + 1
        line += text.count("\n", counted, start)
        counted = start
        end = _line_end(text, at + len(old) - whole)
        last = at
        while 0 <= (following := text.find(old, last + len(old))) < end:
            last = following
            if last + len(old) - whole >= end:
                end = _line_end(text, last + len(old) - whole)
        region = text[start:end]
        yield _Change(line, _split(region), _split(region.replace(old, new)))
        at = following


def _line_end(text: str, after: int) -> int:
    found = text.find("\n", after)
    return len(text) if found < 0 else found + 1


def _hunks(changes: list[_Change]) -> Iterator[list[_Change]]:
    """Changes whose lines around them touch belong together."""
    hunk = changes[:1]
    for one, other in pairwise(changes):
        if other.line - (one.line + len(one.before)) > 2 * _CONTEXT:
            yield hunk
            hunk = []
        hunk.append(other)
    yield hunk


def _told(hunk: list[_Change], lines: list[str], grown: int) -> str:
    first = max(0, hunk[0].line - _CONTEXT)
    end = min(len(lines), hunk[-1].line + len(hunk[-1].before) + _CONTEXT)
    more = sum(len(change.after) - len(change.before) for change in hunk)
    told = [f"@@ -{_range(first, end - first)} +{_range(first + grown, end - first + more)} @@\n"]
    at = first
    for change in hunk:
        told += [_line(" ", line) for line in lines[at : change.line]]
        told += [_line("-", line) for line in change.before]
        told += [_line("+", line) for line in change.after]
        at = change.line + len(change.before)
    return "".join([*told, *(_line(" ", line) for line in lines[at:end])])


def _range(start: int, count: int) -> str:
    return f"{start + (count > 0)},{count}"


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"
