"""JSON as editors let people write it: with comments and trailing commas, and nothing else beyond the standard.

Knows text only. What editors add is blanked out, so that lines and columns stay, and the standard library parses the
rest; the libraries for JSON5 accept far more than editors do, and forget which names stand twice. Every pattern here is
possessive or bounded by its own end: no text takes more than linear time. Errors give a place, never what stands there.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from bascule.errors import ConfigError

_STRING = r'"(?:[^"\\]++|\\.)*+"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\n\r]*|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|[\[{{,]\s*+,|,(?=\s*+[\]}}])", re.DOTALL)
_VISIBLE = re.compile(r"[^\n\r]")


class JsonObject(dict[str, Any]):
    """A JSON object that knows which of its names stood in it more than once; the last one counts."""

    repeated: frozenset[str] = frozenset()


def parse(text: str) -> Any:
    """The value of a text; objects are JsonObjects. Raises ConfigError with the line and column of the fault."""
    try:
        plain = _COMMA.sub(_without_comma, _COMMENT.sub(_without_comment, text))
        return json.loads(plain, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as wrong:
        reason = f"{wrong.msg.rstrip(': ')} in line {wrong.lineno}, column {wrong.colno}"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as wrong:
        reason = str(wrong) if isinstance(wrong, ConfigError) else "a number in it has too many digits"
    raise ConfigError(reason)  # outside of the blocks above, whose exceptions hold the whole text


def _without_comment(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith('"'):
        return found
    if found.startswith("/*") and (len(found) < 4 or not found.endswith("*/")):
        raise ConfigError(f"a comment that begins in line {_line(match)} has no end")
    return _VISIBLE.sub(" ", found)


def _without_comma(match: re.Match[str]) -> str:
    return " " if match[0] == "," else match[0]


def _line(match: re.Match[str]) -> int:
    return match.string.count("\n", 0, match.start()) + 1


def _object(pairs: Iterable[tuple[str, Any]]) -> JsonObject:
    made = JsonObject()
    repeated = set()
    for name, value in pairs:
        if name in made:
            repeated.add(name)
        made[name] = value
    if repeated:
        made.repeated = frozenset(repeated)
    return made


def _no_constant(name: str) -> NoReturn:
    raise ConfigError(f"{name} is no JSON value")
