"""What a user was told of a refusal, read from what a client gave: the sentence, the word for programs, the details.

A client gives them "decoded" (in a result's `_meta`, or in the code and data of an exception), as "text" (the answer's
body, which its user has to decode), as the "challenge" of the WWW-Authenticate header (the scopes that are needed, as
OAuth clients know them), or the "sentence" alone. All but the first is a client's fault or choice, and stands with the
reason in known_refusals.toml. Knows no client by name.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bascule.errors import ERROR_KEY
from tests.peers.refusals import SITUATIONS, WAYS, Way

KNOWN = Path(__file__).with_name("known_refusals.toml")
_BODY = re.compile(r'\{"jsonrpc".*\}', re.DOTALL)


class Told(NamedTuple):
    """How a client gave a refusal, and what it gave."""

    how: str
    sentence: str
    data: Mapping[str, Any]


def told_of(outcome: Mapping[str, Any]) -> Told:
    """What came of one situation. AssertionError for what is no refusal."""
    if outcome.get("isError"):
        (block,) = outcome["content"]
        return Told("decoded", block["text"], (outcome.get("_meta") or {}).get(ERROR_KEY, {}))
    assert "kind" in outcome, f"it was not refused: {json.dumps(outcome)}"
    data = outcome.get("data") or {}
    if outcome.get("requiredScope"):
        scopes = outcome["requiredScope"].split()
        return Told("challenge", outcome.get("errorDescription") or "", {"requiredScopes": scopes})
    body = _BODY.search(data.get("text") or outcome["message"])
    if body is not None:
        error = json.loads(body[0])["error"]
        return Told("text", error["message"], error["data"])
    return Told("decoded" if data else "sentence", outcome["message"], data)


class Known(NamedTuple):
    """A way in which a refusal does not arrive as it should: of which situations, how instead, and why."""

    cells: frozenset[tuple[Way, str]]
    how: tuple[str, ...]
    reason: str


def known_refusals(text: str) -> list[Known]:
    """Read from TOML. A key that is left out means all; KeyError for a name that is none."""
    return [
        Known(frozenset(_cells(entry)), tuple(_list(entry["how"])), entry["reason"])
        for entry in tomllib.loads(text)["refusal"]
    ]


def _cells(entry: Mapping[str, Any]) -> list[tuple[Way, str]]:
    parts = {"client": 0, "transport": 1, "era": 2}
    situations = _list(entry.get("situation", SITUATIONS))
    if not set(situations) <= set(SITUATIONS):
        raise KeyError(situations)
    for name, place in parts.items():
        if not set(_list(entry.get(name, []))) <= {way[place] for way in WAYS}:
            raise KeyError(entry[name])
    ways = [way for way in WAYS if all(way[parts[key]] in _list(entry.get(key, way[parts[key]])) for key in parts)]
    return list(product(ways, situations))


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
