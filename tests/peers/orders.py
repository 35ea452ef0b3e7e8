"""What the clients of the matrix are told to do, what must come of it, and whether it has.

Knows the two surfaces that servers have: the one that those in servers/ share, and server-everything's own.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.peers.parties import ERAS, Cell


class Step(NamedTuple):
    """What a client is told to do, and what must come of it: see `fits`."""

    order: Mapping[str, Any]
    right: Any


def said(text: Any) -> list[Any]:
    """Content of one block of text."""
    return [{"type": "text", "text": text}]


ANSWER = {"name": "Ada"}
OWN = {
    "list": Step(
        {},
        {
            "tools": {"add", "fail", "climb", "ask", "stall", "noticed"},
            "resources": {"matrix://greeting"},
            "prompts": {"briefing"},
        },
    ),
    "call": Step({"tool": "add", "arguments": {"a": 2, "b": 3}}, {"structuredContent": {"sum": 5, "of": [2, 3]}}),
    "error": Step({"tool": "fail", "arguments": {}}, {"isError": True, "content": said(re.compile("wrong phase"))}),
    "read": Step(
        {"uri": "matrix://greeting"},
        {"contents": [{"uri": "matrix://greeting", "mimeType": "text/plain", "text": "Hello."}]},
    ),
    "prompt": Step(
        {"name": "briefing", "arguments": {"city": "Oslo"}},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "What should I pack for Oslo?"}}]},
    ),
    "progress": Step(
        {"tool": "climb", "arguments": {"steps": 3}},
        {"progress": [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]], "content": said("3 steps")},
    ),
    "elicit": Step(
        {"tool": "ask", "arguments": {}},
        {"asked": [["What is your name?", ["name"]]], "content": said("Hello, Ada.")},
    ),
    "cancel": Step(
        {"tool": "stall", "arguments": {"key": "{token}"}, "witness": "noticed"},
        {"givenUp": True, "content": said("yes")},
    ),
}
EVERYTHING = {
    "list": Step(
        {},
        {
            "tools": {"echo", "get-sum", "trigger-elicitation-request"},
            "resources": {"demo://resource/static/document/architecture.md"},
            "prompts": {"simple-prompt", "args-prompt"},
        },
    ),
    "call": Step(
        {"tool": "get-structured-content", "arguments": {"location": "Chicago"}},
        {"structuredContent": {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}},
    ),
    "error": Step(
        {"tool": "get-sum", "arguments": {"a": "x", "b": 1}},
        {"isError": True, "content": said(re.compile("[Ii]nvalid"))},
    ),
    "read": Step(
        {"uri": "demo://resource/dynamic/text/7"},
        {"contents": [{"uri": "demo://resource/dynamic/text/7", "text": re.compile("^Resource 7:")}]},
    ),
    "prompt": Step(
        {"name": "args-prompt", "arguments": {"city": "Ghent"}},
        {"messages": [{"role": "user", "content": {"type": "text", "text": re.compile("weather in Ghent")}}]},
    ),
    "progress": Step(
        {"tool": "trigger-long-running-operation", "arguments": {"duration": 0.1, "steps": 3}},
        {"progress": [[1, 3, None], [2, 3, None], [3, 3, None]], "content": said(re.compile("completed"))},
    ),
    "elicit": Step(
        {"tool": "trigger-elicitation-request", "arguments": {}},
        {"asked": [[re.compile("Please provide inputs"), ["name"]]], "content": [{}, *said(re.compile("Ada")), {}]},
    ),
}
"""server-everything has tools of its own, and none that tells whether it was cancelled."""


def steps_of(server: str) -> dict[str, Step]:
    return EVERYTHING if server == "everything" else OWN


def fits(right: Any, got: Any) -> bool:
    """Whether an outcome is what it must be: of an object what is named, of a set at least its members."""
    if isinstance(right, dict):
        return isinstance(got, dict) and all(fits(value, got.get(key)) for key, value in right.items())
    if isinstance(right, list):
        return isinstance(got, list) and len(right) == len(got) and all(map(fits, right, got))
    if isinstance(right, set):
        return isinstance(got, list) and right <= set(got)
    if isinstance(right, re.Pattern):
        return isinstance(got, str) and right.search(got) is not None
    return bool(right == got)


def judged(cell: Cell, got: Mapping[str, Any]) -> dict[str, str]:
    """Why steps failed, by name. Where connecting did, there is nothing else to say."""
    connected = {"protocolVersion": ERAS[cell.era]}
    if not fits(connected, got["connect"]):
        return {"connect": wrong(connected, got["connect"])}
    steps = steps_of(cell.server)
    return {
        name: wrong(step.right, got.get(name)) for name, step in steps.items() if not fits(step.right, got.get(name))
    }


def wrong(right: Any, got: Any) -> str:
    if isinstance(got, dict) and "failed" in got:
        return str(got["failed"])
    return f"it must be {right}, and is {json.dumps(got)}"
