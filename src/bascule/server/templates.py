"""URI templates: RFC 6570, levels 1 to 3, expanded into a URI and matched against one.

Knows text only. Matching is by sets of positions from the end backwards, never by backtracking: its cost is bounded by
the length of the URI times the number of variables, whatever a client sends. Where a URI can be split in several ways,
earlier variables take as much as they can. Level 4 (`{x:3}`, `{x*}`) is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

_PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")
_EXPRESSION = re.compile(r"([+#./;?&]?)([^+#./;?&].*)", re.DOTALL)
_NAME = re.compile(r"\w+(?:\.\w+)*", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_LITERAL = re.compile(r"[\x00-\x20\x7f\"<>\\^`|]")
_HEX = frozenset("0123456789abcdefABCDEF")
_RESERVED = ":/?#[]@!$&'()*+,;=%"


class _Operator(NamedTuple):
    """One row of RFC 6570's table (appendix A): what comes first, between, and which characters stay as they are."""

    first: str
    separator: str
    named: bool
    reserved: bool
    stops: str


_OPERATORS = {
    "": _Operator("", ",", False, False, "/?#"),
    "+": _Operator("", ",", False, True, ""),
    "#": _Operator("#", ",", False, True, ""),
    ".": _Operator(".", ".", False, False, "/?#"),
    "/": _Operator("/", "/", False, False, "/?#"),
    ";": _Operator(";", ";", True, False, "/?#;"),
    "?": _Operator("?", "&", True, False, "#"),
    "&": _Operator("&", "&", True, False, "#"),
}


class _Literal(NamedTuple):
    text: str

    def starts(self, uri: str, ends: set[int]) -> set[int]:
        size = len(self.text)
        return {end - size for end in ends if end >= size and uri.startswith(self.text, end - size)}

    def end(self, uri: str, start: int, ends: set[int]) -> int:
        return start + len(self.text)


class _Span(NamedTuple):
    """Where a value stands. `opening` comes before a value that is not empty; `least` is the fewest characters."""

    name: str
    stops: str
    least: int
    opening: str = ""

    def starts(self, uri: str, ends: set[int]) -> set[int]:
        found: set[int] = set()
        if not self.least:
            found |= ends
        reached: set[int] = set()
        for end in sorted(ends, reverse=True):
            at = end
            while (before := self._before(uri, at)) is not None and before not in reached:
                reached.add(before)
                at = before
        return found | {at - len(self.opening) for at in reached if uri.endswith(self.opening, 0, at)}

    def end(self, uri: str, start: int, ends: set[int]) -> int:
        last = start
        at = start + len(self.opening) if uri.startswith(self.opening, start) else len(uri)
        while at < len(uri) and uri[at] not in self.stops:
            at += 3 if uri[at] == "%" else 1
            if at in ends:
                last = at
        return last

    def _before(self, uri: str, at: int) -> int | None:
        """Where the character or percent-encoded byte that ends here starts; None where no value can hold it."""
        if at >= 3 and uri[at - 3] == "%" and uri[at - 2] in _HEX and uri[at - 1] in _HEX:
            return at - 3
        return at - 1 if at and uri[at - 1] != "%" and uri[at - 1] not in self.stops else None


class _Query(NamedTuple):
    """The query expression at a template's end: optional, its variables optional and in any order."""

    names: tuple[str, ...]
    first: str

    def split(self, uri: str) -> tuple[str, dict[str, str]]:
        """The URI before the longest ending that is such a query, and the query's values."""
        found: dict[str, str] = {}
        start = len(uri)
        while (at := uri.rfind("&", 0, start)) >= 0 and self._take(uri[at + 1 : start], found):
            start = at
        if self.first == "&":
            return uri[:start], found
        mark = start
        while (mark := uri.rfind("?", at + 1, mark)) >= 0:
            if self._take(uri[mark + 1 : start], found):
                return uri[:mark], found
        return uri, {}

    def _take(self, pair: str, found: dict[str, str]) -> bool:
        name, _, value = pair.partition("=")
        if name not in self.names or name in found or "#" in value:
            return False
        found[name] = value
        return True


_Part = _Literal | _Span


class Template:
    """A URI template. `variables` are its variables' names in order.

    Raises ValueError, in a sentence, for text that is no template, a level 4 expression, a variable that stands twice,
    and a query expression (`{?...}`, `{&...}`) that is not at the end.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self._pieces = tuple(_pieces(template))
        self.variables = tuple(name for piece in self._pieces if not isinstance(piece, str) for name in piece[1])
        if len(set(self.variables)) < len(self.variables):
            raise ValueError(f"the URI template {template!r} has a variable twice")
        self._query = _query_of(template, self._pieces)
        self._parts = tuple(_parts(self._pieces))
        first = self._parts[0] if self._parts else None
        self._prefix = first.text if isinstance(first, _Literal) else ""

    def match(self, uri: str) -> dict[str, str] | None:
        """The variables' values, percent-decoded; None where the URI is not of this form.

        A value of `{x}` is not empty and has no "/", "?" or "#" in the URI, but `%2F` in it is decoded to "/": a value
        can hold what its URI cannot. `{+x}` and `{#x}` take any character. The variables of `{?a,b}` come in any order
        and may be absent; a query with others does not match. Nor does text that is not percent-encoded UTF-8.
        """
        if not uri.startswith(self._prefix):
            return None
        front, query = self._query.split(uri) if self._query else (uri, {})
        found = self._matched(front)
        if found is None and query:
            found, query = self._matched(uri), {}
        return None if found is None else _decoded(found | query)

    def expand(self, values: Mapping[str, str]) -> str:
        """The URI for these values; variables without one are left out, as the RFC says."""
        return "".join(piece if isinstance(piece, str) else _expanded(piece, values) for piece in self._pieces)

    def _matched(self, uri: str) -> dict[str, str] | None:
        """The values, still encoded, of all variables but the query's."""
        ends = [{len(uri)}]
        for part in reversed(self._parts):
            ends.append(part.starts(uri, ends[-1]))
            if not ends[-1]:
                return None
        if 0 not in ends[-1]:
            return None
        found: dict[str, str] = {}
        at = 0
        for part, reachable in zip(self._parts, reversed(ends[:-1]), strict=True):
            end = part.end(uri, at, reachable)
            if isinstance(part, _Span):
                found[part.name] = uri[at + len(part.opening) : end]
            at = end
        return found


_Expression = tuple[_Operator, tuple[str, ...]]


def _pieces(template: str) -> Iterator[str | _Expression]:
    """Literals, as they stand in a URI, and expressions."""
    for piece in _PIECE.finditer(template):
        expression, literal, brace = piece.groups()
        if brace:
            raise ValueError(f"the URI template {template!r} has a brace without its partner")
        if literal is None:
            yield _expression(template, expression)
            continue
        if _BAD_PERCENT.search(literal) or (bad := _NOT_LITERAL.search(literal)):
            what = "a % that starts no percent-encoded byte" if _BAD_PERCENT.search(literal) else repr(bad and bad[0])
            raise ValueError(f"the URI template {template!r} has {what} outside braces")
        yield quote(literal, safe=_RESERVED)


def _expression(template: str, text: str) -> _Expression:
    found = _EXPRESSION.fullmatch(text)
    names = tuple(found[2].split(",")) if found else ()
    for name in names:
        if name.endswith("*") or ":" in name:
            raise ValueError(f"the URI template {template!r} uses {{{text}}}: level 4 of RFC 6570 is not supported")
    if found is None or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError(
            f"the URI template {template!r} has the expression {{{text}}}; supported are names of letters, digits "
            "and _, separated by commas, after one of + # . / ; ? & or nothing"
        )
    return _OPERATORS[found[1]], names


def _query_of(template: str, pieces: tuple[str | _Expression, ...]) -> _Query | None:
    """The query at the end; several expressions there are one."""
    query: _Query | None = None
    for piece in pieces:
        operator = None if isinstance(piece, str) else piece[0]
        if operator is not None and operator.separator == "&" and (query is None or operator.first == "&"):
            names = piece[1] if query is None else (*query.names, *piece[1])
            query = _Query(tuple(names), operator.first if query is None else query.first)
        elif query is not None:
            raise ValueError(f"the URI template {template!r} goes on after a query expression; put that at the end")
    return query


def _parts(pieces: tuple[str | _Expression, ...]) -> Iterator[_Part]:
    for piece in pieces:
        if isinstance(piece, str):
            yield _Literal(piece)
        elif piece[0].separator != "&":
            yield from _spans(*piece)


def _spans(operator: _Operator, names: tuple[str, ...]) -> Iterator[_Part]:
    for at, name in enumerate(names):
        before = operator.separator if at else operator.first
        if operator.named:
            yield _Literal(before + name)
            yield _Span(name, operator.stops, 0, "=")
        else:
            if before:
                yield _Literal(before)
            yield _Span(name, operator.stops, 0 if operator.first else 1)


def _expanded(expression: _Expression, values: Mapping[str, str]) -> str:
    operator, names = expression
    parts = [_assigned(operator, name, values[name]) for name in names if name in values]
    return operator.first + operator.separator.join(parts) if parts else ""


def _assigned(operator: _Operator, name: str, value: str) -> str:
    text = _reserved(value) if operator.reserved else quote(value, safe="")
    if not operator.named:
        return text
    return name if operator.separator == ";" and not text else f"{name}={text}"


def _reserved(value: str) -> str:
    """Reserved characters and percent-encoded bytes stay; a lone percent sign does not."""
    return quote(_BAD_PERCENT.sub("%25", value), safe=_RESERVED)


def _decoded(values: dict[str, str]) -> dict[str, str] | None:
    try:
        if any(_BAD_PERCENT.search(value) for value in values.values()):
            return None
        return {name: unquote_to_bytes(value).decode() for name, value in values.items()}
    except UnicodeError:
        return None
