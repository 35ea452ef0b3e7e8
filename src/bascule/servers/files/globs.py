"""Globs: names with `*`, `?` and `[...]`, paths with `**`, and `{a,b}` for alternatives.

A glob is compiled to steps, one for each component, and followed as a set of positions: what it costs is bounded by the
length of the path times that of the glob, whatever a caller writes. No regular expression is made of it.
"""

from typing import NamedTuple

from bascule.checks.path_text import PathRefused

MAX_GLOB = 1000
MAX_ALTERNATIVES = 64

State = frozenset[tuple[int, int]]


class _Class(NamedTuple):
    """A `[...]`: the ranges that it names, and whether it means all others."""

    ranges: tuple[tuple[str, str], ...]
    inverted: bool

    def takes(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.inverted


_Item = str | _Class
_ANY, _MANY = "?", "*"


class Glob:
    """A compiled glob. Raises PathRefused for one that is too long or has too many alternatives.

    A glob without a slash is looked for in every directory: `*.py` means `**/*.py`.
    """

    def __init__(self, text: str) -> None:
        if not text or len(text) > MAX_GLOB:
            raise PathRefused(f"A glob has 1 to {MAX_GLOB} characters")
        self._paths = [_steps(one) for one in _alternatives(text)]

    @property
    def start(self) -> State:
        """Where matching begins: at the directory that the walk begins with."""
        return self._closed({(number, 0) for number in range(len(self._paths))})

    def enter(self, state: State, name: str) -> State:
        """Where matching stands after one component more; empty where nothing beneath can match."""
        reached = set()
        for number, at in state:
            path = self._paths[number]
            if at < len(path):
                step = path[at]
                if step is None:
                    reached.add((number, at))
                elif _matches(step, name):
                    reached.add((number, at + 1))
        return self._closed(reached)

    def accepts(self, state: State) -> bool:
        """Whether what has been entered is matched as a whole."""
        return any(at == len(self._paths[number]) for number, at in state)

    def matches(self, path: str) -> bool:
        """Whether a path is matched."""
        state = self.start
        for name in path.split("/"):
            state = self.enter(state, name)
        return self.accepts(state)

    def _closed(self, state: set[tuple[int, int]]) -> State:
        """A `**` may also stand for nothing."""
        todo = list(state)
        while todo:
            number, at = todo.pop()
            if at < len(self._paths[number]) and self._paths[number][at] is None and (number, at + 1) not in state:
                state.add((number, at + 1))
                todo.append((number, at + 1))
        return frozenset(state)


def _steps(text: str) -> list[list[_Item] | None]:
    """The components; None stands for `**`."""
    names = [name for name in text.split("/") if name not in ("", ".")]
    if "/" not in text:
        names.insert(0, "**")
    return [None if name == "**" else _items(name) for name in names]


def _items(name: str) -> list[_Item]:
    items: list[_Item] = []
    at = 0
    while at < len(name):
        if name[at] == "[" and (end := name.find("]", at + 2 + (name[at + 1 : at + 2] in ("!", "^")))) > 0:
            items.append(_class(name[at + 1 : end]))
            at = end
        elif name[at] == _MANY and items[-1:] == [_MANY]:
            pass
        elif name[at] == "\\" and at + 1 < len(name):
            at += 1
            items.append(_Class(((name[at], name[at]),), inverted=False))
        else:
            items.append(name[at])
        at += 1
    return items


def _class(text: str) -> _Class:
    inverted = text[0] in "!^"
    inner = text[1:] if inverted else text
    ranges = []
    at = 0
    while at < len(inner):
        if inner[at + 1 : at + 2] == "-" and at + 2 < len(inner):
            ranges.append((inner[at], inner[at + 2]))
            at += 3
        else:
            ranges.append((inner[at], inner[at]))
            at += 1
    return _Class(tuple(ranges), inverted)


def _matches(items: list[_Item], name: str) -> bool:
    """Wildcards by going back to the last star only, which is enough: a later star takes what an earlier could."""
    at = place = 0
    star, resumed = -1, 0
    while place < len(name):
        item = items[at] if at < len(items) else None
        if item == _MANY:
            star, resumed = at, place
            at += 1
        elif item is not None and _takes(item, name[place]):
            at += 1
            place += 1
        elif star >= 0:
            resumed += 1
            at, place = star + 1, resumed
        else:
            return False
    return all(item == _MANY for item in items[at:])


def _takes(item: _Item, char: str) -> bool:
    return item.takes(char) if isinstance(item, _Class) else item in (_ANY, char)


def _alternatives(text: str) -> list[str]:
    """The globs that one with braces stands for; a brace without its partner stands for itself."""
    done: list[str] = []
    todo = [text]
    while todo:
        one = todo.pop()
        close = one.find("}")
        start = one.rfind("{", 0, close) if close >= 0 else -1
        if start < 0:
            done.append(one)
        else:
            todo += [one[:start] + inner + one[close + 1 :] for inner in one[start + 1 : close].split(",")]
        if len(done) + len(todo) > MAX_ALTERNATIVES:
            raise PathRefused(f"The glob stands for more than {MAX_ALTERNATIVES} alternatives")
    return done
