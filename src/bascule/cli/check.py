"""`bascule check`: the checks of arguments on the command line, so that a policy can be tried before it is trusted.

Reads JSON lines on standard input and writes one verdict for each, in order and at once. A line that cannot be read is
rejected, like what may not be used: the exit code is 0 when every line got its verdict.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from bascule.cli import exits
from bascule.errors import ToolError

Judge = Callable[[dict[str, Any]], None]
"""Raises ToolError for what is rejected."""


def verdicts(judge: Judge) -> int:
    """Write the verdict of `judge` on every line of standard input."""
    for line in sys.stdin.buffer:
        if line.strip():
            print(json.dumps(_verdict(line, judge)), flush=True)
    return exits.OK


def text(asked: dict[str, Any], field: str) -> str:
    """A field that must be there, as a text. Raises ToolError."""
    value = asked.get(field)
    if not isinstance(value, str):
        raise ToolError(f"The field {field!r} must be a text")
    return value


def _refused(word: str) -> None:
    """NaN and the infinities, which Python reads, and which are no JSON."""
    raise ValueError(word)


def _verdict(line: bytes, judge: Judge) -> dict[str, Any]:
    number = None
    try:
        asked = json.loads(line, parse_constant=_refused)
        if not isinstance(asked, dict):
            raise ToolError("The line is no JSON object")
        number = asked.get("id")
        judge(asked)
    except ToolError as error:
        return {"id": number, "verdict": "reject", "reason": error.message}
    except (ValueError, RecursionError):
        return {"id": number, "verdict": "reject", "reason": "The line is no JSON"}
    return {"id": number, "verdict": "allow", "reason": "it is allowed"}
