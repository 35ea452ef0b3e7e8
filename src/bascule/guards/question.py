"""The question before a call: what is asked for, and all its arguments, as text that only the guard can have written.

One line for each value, headed by where it stands; every text of the caller's stands in quotation marks, which it
cannot leave. What is too long is cut, and both the place and the head of the question say so. The whole is a block of
code in Markdown, and reads as plain text too. Equal calls have equal questions.
"""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

from bascule.engine.canonical import Call
from bascule.engine.policy import Kind
from bascule.guards.quoting import cut, inline, quoted, room_for, written_out

MAX_SHOWN = 4000
"""How many characters of names and values are shown, where nothing else was said."""

MAX_VALUES = 50
"""How many values are shown, and how many lines of one that has line breaks."""

_WHAT = {"tool": "tool", "resource": "resource", "template": "resource", "prompt": "prompt"}
_VERB = {"tool": "run", "resource": "be read", "template": "be read", "prompt": "be used"}
_CAUTION = "CAUTION: not everything is shown here, because it is too long. What is left out is marked NOT SHOWN."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]")
_LEAST = 60
"""How many characters of each value are shown at least, where only some can be."""

_KEY = 60
_STEPS = 8
"""How many characters of a key, and how many steps on the way to a value, are shown."""

_IN_A_LINE = 20
_NUMBER = 60


class Shown(NamedTuple):
    """Lines that show a call, and whether they show all of it."""

    lines: list[str]
    whole: bool


def question_text(call: Call, kind: Kind, shown: Shown) -> str:
    """The question whether a call may be made."""
    caution = "" if shown.whole else f"{_CAUTION}\n\n"
    body = "\n".join(shown.lines)
    return (
        f"Allow this {_WHAT[kind]} to {_VERB[kind]}? If you accept, that happens once, exactly as it stands here.\n\n"
        f"{caution}```\n{body}\n```"
    )


def show(call: Call, kind: Kind, max_shown: int = MAX_SHOWN, max_values: int = MAX_VALUES) -> Shown:
    """A call in lines: its feature, then its arguments in the order of their names."""
    leaves = _leaves(call.arguments, ()) if call.arguments else iter(())
    found = list(islice(leaves, max_values))
    view = _View()
    lines = view.value(_WHAT[kind], call.name, max_shown)
    most = max_shown if _all_fit(found, max_shown) else max(_LEAST, max_shown // len(found))
    for path, value in found:
        lines += view.value(view.path(path), value, most)
    if not found and _WHAT[kind] != "resource":
        lines.append("no arguments")
    if not view.whole or next(leaves, None) is not None:
        view.whole = False
        text = call.text
        digest = sha256(text).hexdigest()
        lines.append(f"... the arguments have {len(text)} characters, some NOT SHOWN; sha256 of all of them: {digest}")
    return Shown(lines, view.whole)


class _View:
    """Shows values, and notes whether all of each was shown."""

    def __init__(self) -> None:
        self.whole = True

    def value(self, label: str, value: Any, most: int) -> list[str]:
        """The lines of one value, its text in about `most` characters."""
        if not isinstance(value, str):
            return [f"{label} = {self._scalar(value)}"]
        if room_for(value, most) > most:
            return self._cut(label, value, most)
        lines = quoted(value, breaks=value.count("\n") < MAX_VALUES)
        return [f"{label} = {lines[0]}"] if len(lines) == 1 else [f"{label} =", *(f"  {line}" for line in lines)]

    def path(self, path: tuple[str | int, ...]) -> str:
        """Where a value stands, in a line that is never long."""
        steps = [self._step(step) for step in path]
        if len(steps) > _STEPS:
            self.whole = False
            half = _STEPS // 2
            steps[half:-half] = [f".({len(steps) - _STEPS} steps NOT SHOWN)"]
        return f"argument {''.join(steps).removeprefix('.')}"

    def _step(self, step: str | int) -> str:
        if isinstance(step, int):
            return f"[{step}]"
        if _NAME.fullmatch(step):
            return f".{step}"
        if room_for(step, _KEY) <= _KEY:
            return f".{_one_way(inline(step))}"
        self.whole = False
        parts = cut(step, _KEY)
        return f".{_one_way(parts.head[0])}({parts.hidden} characters NOT SHOWN){_one_way(parts.tail[0])}"

    def _cut(self, label: str, value: str, room: int) -> list[str]:
        self.whole = False
        parts = cut(value, room)
        digest = sha256(value.encode(errors="surrogatepass")).hexdigest()
        notice = f"... {parts.hidden} characters NOT SHOWN; sha256 of the whole value: {digest}"
        return [f"{label} =", *(f"  {line}" for line in (*parts.head, notice, *parts.tail))]

    def _scalar(self, value: Any) -> str:
        text = json.dumps(value)
        if isinstance(value, int) and len(text) > _NUMBER:
            self.whole = False
            text = f"{text[:_NUMBER]}... ({len(text)} digits, some NOT SHOWN)"
        return text


def _one_way(text: str) -> str:
    """A key without letters that would turn the direction of its line around."""
    return _RIGHT_TO_LEFT.sub(lambda found: written_out(found[0]), text)


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each value that holds no other, and short lists of numbers, with where they stand."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(value[key], (*path, key))
    elif isinstance(value, list) and value and not _plain_list(value):
        for place, item in enumerate(value):
            yield from _leaves(item, (*path, place))
    else:
        yield path, value


def _plain_list(value: list[Any]) -> bool:
    """Whether all of a list can stand in one line: no text, which might turn the direction of the line around."""
    return len(value) <= _IN_A_LINE and all(
        item is None or isinstance(item, bool) or (isinstance(item, int | float) and abs(item) < 2**53)
        for item in value
    )


def _all_fit(leaves: list[tuple[tuple[str | int, ...], Any]], room: int) -> bool:
    """Whether all texts have room together."""
    for _, value in leaves:
        if isinstance(value, str):
            room -= room_for(value, room)
            if room < 0:
                return False
    return True
