"""Every guard through the public door: what a caller gets, in both eras, in memory, over stdio and over HTTP.

One server and one pass over the table for each way to it; each line of the table is then a test of its own. What lists
and completions show to whom is in test_visibility.py.
"""

import asyncio
import json
import math
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bascule import Client, ElicitResult, MCPError
from bascule.engine.settings import AuthSettings
from bascule.errors import ERROR_KEY
from bascule.guards import ORDER
from bascule.serve import authenticator, use_guards
from tests.details import a_reference, up_to, wrong_with
from tests.guards.guarded_server import MAX_CALLS, MAX_REPEATS, STRANGE, TOKEN, WORDS, make, settings
from tests.serving import serving

WAYS = [(place, era) for place in ("memory", "stdio", "http") for era in ("modern", "legacy")]
KINDS = ("tool", "resource", "template", "prompt")
KEY = "a-key-that-nobody-would-guess-0123456789"


class Outcome(NamedTuple):
    """What came of one call: the text of an answer, or the sentence and the details of a refusal."""

    text: str
    code: int | None = None
    """The JSON-RPC code of an error; None for a result."""
    details: Mapping[str, Any] | None = None
    status: int | None = None
    retry_after: float | None = None
    """What an error came with over HTTP, as the client knows it."""


class Case(NamedTuple):
    """How a feature is called, and what becomes of the last call; `right` are the details of a refusal."""

    feature: str
    right: Mapping[str, Any] | None = None
    kinds: tuple[str, ...] = KINDS
    times: int = 1
    at_once: int = 1
    asks: bool = True
    city: str = "Oslo"
    code: int = 1000
    """The JSON-RPC code where it is no tool that is refused."""
    always_error: bool = False
    """Whether a refused tool is an error of the protocol too, since calling it in another way would not help."""
    places: tuple[str, ...] = ("memory", "stdio", "http")
    guard: str | None = None
    """Which guard the audit log says to have refused it."""


def named(code, **more):
    return {"code": code, **more}


LIMITED = named("rate_limited", limit=1, remaining=0, resetAt=up_to(math.inf), retryAfter=up_to(3600))
REPEATED = named("repeated_call", limit=MAX_REPEATS, per=60.0, retryAfter=up_to(60))
WAITING = named("confirmation_required", approvalId=bool, expiresAt=bool)
MISSING = named("missing_scope", requiredScopes=["admin"], missingScopes=["admin"])
TOO_LARGE = named("result_too_large", limit=100, size=up_to(300))

CASES = {
    "nothing": Case("plain"),
    "deny": Case("denied", named("permission_denied"), guard="scopes"),
    "scopes": Case("scoped", MISSING, code=403, always_error=True, places=("http",), guard="scopes"),
    "scopes of the user at this machine": Case("scoped", places=("memory", "stdio")),
    "load": Case(
        "held", named("overloaded", retryAfter=1), at_once=MAX_CALLS + 1, code=503, always_error=True, guard="load"
    ),
    "own": Case("own", named("closed", opensAt=9)),
    "rate_limit": Case("rare", LIMITED, times=2, guard="rate_limit"),
    "concurrency": Case("single", named("overloaded", limit=1, retryAfter=1), at_once=2, guard="concurrency"),
    "repeats": Case("repeated", REPEATED, ("tool",), times=MAX_REPEATS + 1, guard="repeats"),
    "repeats of what polls": Case("polling", None, ("tool",), times=MAX_REPEATS + 1),
    "repeats of what is read": Case("repeated", None, ("resource", "template", "prompt"), times=MAX_REPEATS + 1),
    "confirm": Case("confirmed", named("confirmation_declined", action="decline"), guard="confirm"),
    "confirm unasked": Case(
        "confirmed",
        {"requiredCapabilities": {"elicitation": {}}},
        asks=False,
        code=-32021,
        always_error=True,
        guard="confirm",
    ),
    "confirm by an operator": Case("queued", WAITING, asks=False, guard="confirm"),
    "timeout": Case("slow", named("timed_out", timeout=0.1)),
    "size": Case("large", TOO_LARGE),
    "arguments": Case(
        "ruled", named("invalid_arguments", arguments={"city": "must be Oslo"}), ("tool",), city="Atlantis"
    ),
    "internal": Case("broken", named("internal", reference=a_reference), ("tool",)),
}
CELLS = [
    (place, era, name, kind)
    for place, era in WAYS
    for name, case in CASES.items()
    for kind in case.kinds
    if place in case.places
]


def text_of(result):
    """All that a result says."""
    blocks = getattr(result, "content", None) or getattr(result, "contents", None)
    blocks = blocks or [message.content for message in result.messages]
    return "\n".join(block.text for block in blocks)


async def ask(client, kind, case):
    """One call, with the argument where the feature has one."""
    given = {"city": case.city} if case.feature == "ruled" else {}
    try:
        if kind == "tool":
            result = await client.call_tool(case.feature, given)
        elif kind == "prompt":
            result = await client.get_prompt(case.feature, given)
        else:
            place = "fixed" if kind == "resource" else f"of/{case.city}"
            result = await client.read_resource(f"{case.feature}://{place}")
    except MCPError as error:
        return Outcome(error.message, error.code, error.data, error.status, error.retry_after)
    refused = getattr(result, "is_error", False)
    return Outcome(text_of(result), None, result.meta[ERROR_KEY] if refused else None)


async def called(client, kind, case):
    """The last of some calls one after the other; of those at once, the one that is refused."""
    for _ in range(case.times - 1):
        before = await ask(client, kind, case)
        assert before == Outcome("served")
    outcomes = await asyncio.gather(*(ask(client, kind, case) for _ in range(case.at_once)))
    served = [outcome for outcome in outcomes if outcome == Outcome("served")]
    assert len(served) >= case.at_once - 1, outcomes
    return next((outcome for outcome in outcomes if outcome not in served), outcomes[0])


@contextmanager
def server(place, folder):
    """The arguments of a client of the server."""
    if place == "stdio":
        command = [sys.executable, "-m", "tests.guards.guarded_server", str(folder)]
        yield {"target": command, "env": {"PYTHONPATH": ":".join(filter(None, sys.path))}}
        return
    app = make()
    use_guards(app, settings(folder))
    if place == "memory":
        yield {"target": app}
        return
    with serving(app, door=authenticator(AuthSettings(api_keys=(f"{KEY}=tools:read",)))) as running:
        yield {"target": running.url, "headers": {"X-API-Key": KEY}}


async def all_of(place, era, given):
    """What came of every line of the table, by one way."""
    found = {}
    for asks in (True, False):
        asking = {"on_elicit": lambda _: ElicitResult("decline")} if asks else {}
        async with Client(**given, era=era, retries=0, timeout=10, **asking) as client:
            for name, case in CASES.items():
                if place in case.places and case.asks == asks:
                    found |= {(name, kind): await called(client, kind, case) for kind in case.kinds}
            if asks:
                for name in ("strange", "leaky"):
                    found |= {(name, kind): await called(client, kind, Case(name)) for kind in KINDS}
    return found


class Seen(NamedTuple):
    outcomes: dict[tuple[str, str], Outcome]
    audited: list[dict[str, Any]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was seen by each way; each is gone once."""
    known: dict[tuple[str, str], Seen] = {}

    def by(place, era):
        if (place, era) not in known:
            folder: Path = tmp_path_factory.mktemp(f"{place}-{era}")
            with server(place, folder) as given:
                outcomes = asyncio.run(all_of(place, era, given))
            lines = (folder / "audit.jsonl").read_text().splitlines()
            known[place, era] = Seen(outcomes, [json.loads(line) for line in lines])
        return known[place, era]

    return by


@pytest.mark.parametrize(("place", "era", "name", "kind"), CELLS)
def test_the_last_call_comes_to_what_the_table_says(place, era, name, kind, seen):
    case = CASES[name]
    outcome = seen(place, era).outcomes[name, kind]
    assert WORDS not in str(outcome)
    if case.right is None:
        assert outcome == Outcome("served")
        return
    assert outcome.details is not None, f"it was not refused: {outcome.text}"
    assert wrong_with(case.right, outcome.details) == []
    assert outcome.code == (case.code if case.always_error or kind != "tool" else None)
    assert outcome.text[0].isupper(), "a sentence"
    assert "\n" not in outcome.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_missing_scopes_and_load_are_http_statuses_in_both_eras(era, kind, seen):
    outcomes = seen("http", era).outcomes
    assert outcomes["scopes", kind].status == 403
    assert (outcomes["load", kind].status, outcomes["load", kind].retry_after) == (503, 1.0)
    assert outcomes["deny", kind].status in {None, 200}, "what a guard refuses of one call is none of the transport's"


@pytest.mark.parametrize(("place", "era"), WAYS)
def test_the_audit_log_says_of_each_refusal_which_guard_it_was(place, era, seen):
    lines = [line for line in seen(place, era).audited if line["kind"] == "call" and line["outcome"] == "refused"]
    found = {(line["feature"].partition(":")[0], line["type"], line["guard"], line["code"]) for line in lines}
    assert found == {
        (case.feature, kind, case.guard, case.right.get("code", str(case.code)))
        for case in CASES.values()
        if case.guard is not None and place in case.places
        for kind in case.kinds
    }


@pytest.mark.parametrize(("place", "era"), WAYS)
def test_what_ran_and_failed_is_no_refusal_of_a_guard_and_is_written_down_too(place, era, seen):
    lines = {line["feature"]: line for line in seen(place, era).audited if line["kind"] == "call"}
    for feature, code in (("slow", "timed_out"), ("broken", "internal"), ("ruled", "invalid_arguments")):
        assert lines[feature]["outcome"] == "error"
        assert lines[feature]["code"] == code
    assert lines["strange"]["outcome"] == "ok"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("place", "era"), WAYS)
def test_what_strangers_wrote_comes_in_an_envelope_and_no_secret_leaves(place, era, kind, seen):
    outcomes = seen(place, era).outcomes
    strange = outcomes["strange", kind].text
    assert f'source="guarded, {kind} strange"' in strange
    assert "Rain." in strange
    assert STRANGE not in strange
    assert "<|im_start|>" not in strange
    assert outcomes["leaky", kind] == Outcome("token [redacted:github_token]")
    assert TOKEN not in str(outcomes)


def test_the_table_has_every_guard_that_refuses():
    named = {name.partition(" ")[0] for name in CASES}
    assert {step.name for step in ORDER} - named == {"telemetry", "audit", "sanitise"}


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("rate_limit", "tool", "The tool rare allows 1 call in 3600 s, and no more are left; try again in 3600 s"),
        (
            "concurrency",
            "template",
            "The resource single already serves as many calls as it may (1); wait a moment, then try again",
        ),
        (
            "size",
            "tool",
            "The result is too large: 210 bytes of structured content, and 100 are allowed. Ask for less of it.",
        ),
        ("size", "prompt", "The result is too large: 200 bytes of messages, and 100 are allowed. Ask for less of it."),
    ],
)
def test_the_sentence_is_plain_english(name, kind, sentence, seen):
    assert seen("memory", "modern").outcomes[name, kind].text == sentence
