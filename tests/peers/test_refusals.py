"""What a user of somebody else's client gets when a guard or the door refuses: sentence, word and details, by each way.

Clients and the server run as programs of their own: see refusals.py, and told.py for how clients give it.
"""

import math
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from bascule.errors import MissingCapability
from tests.details import a_reference, up_to, wrong_with
from tests.peers.conftest import wanted
from tests.peers.known import PAGE
from tests.peers.parties import CLIENTS, program
from tests.peers.refusals import PER_ADDRESS, SECRET_WORDS, SITUATIONS, WAYS, Way, offered, run, served
from tests.peers.told import KNOWN, Told, known_refusals, told_of

KNOWN_REFUSALS = known_refusals(KNOWN.read_text())
CELLS = [(way, situation) for way in WAYS for situation in SITUATIONS if offered(way, situation)]


class Right(NamedTuple):
    """What must arrive: words of the sentence, and all details."""

    sentence: str
    data: dict[str, Any]


def rate_limited(limit, what):
    soon = {"resetAt": up_to(math.inf), "retryAfter": up_to(3600)}
    return Right(f"{what} .*try again in", {"code": "rate_limited", "limit": limit, "remaining": 0, **soon})


def invalid(name, reason):
    return Right(f'"{name}" {reason}', {"code": "invalid_arguments", "arguments": {name: reason}})


TOO_LARGE = Right("too large.*Ask for less", {"code": "result_too_large", "limit": 100, "size": 210})
RIGHT = {
    "rate": rate_limited(1, "The tool rare"),
    "resource rate": rate_limited(1, "The resource prices"),
    "prompt rate": rate_limited(1, "The prompt brief"),
    "scope": Right(
        "needs tools:admin.*ask the operator",
        {"code": "missing_scope", "requiredScopes": ["tools:admin"], "missingScopes": ["tools:admin"]},
    ),
    "timeout": Right("slow was stopped after 0.1 s", {"code": "timed_out", "timeout": 0.1}),
    "declined": Right("asked to confirm.*declined", {"code": "confirmation_declined", "action": "decline"}),
    "rule": invalid("city", "must be a city that is known here: Oslo"),
    "unknown argument": invalid("town", "is not a parameter"),
    "size": TOO_LARGE,
    "internal": Right("failed unexpectedly", {"code": "internal", "reference": a_reference}),
    "deny": Right("switched off by the operator", {"code": "permission_denied"}),
    "load": Right("calls are under way.*try again in", {"code": "overloaded", "retryAfter": 1}),
    "cannot ask": Right("the user must confirm the tool drop", {"requiredCapabilities": {"elicitation": {}}}),
    "no key": Right("asks for an API key", {"code": "unauthenticated"}),
    "wrong key": Right("is not known here", {"code": "unknown_key"}),
    "too many failures": Right("try again in", {"code": "too_many_failures", "retryAfter": up_to(3600)}),
    "address": rate_limited(PER_ADDRESS, "This address"),
    "raised": TOO_LARGE,
}


@pytest.fixture(scope="module")
def outcomes(request) -> Iterator[dict[str, Future[Any]]]:
    """What came of all situations, by client, of those that this session has tests for; two run at a time."""
    asked = [item.callspec.params.get("way") for item in request.session.items if hasattr(item, "callspec")]
    clients = {way.client: None for way in asked if isinstance(way, Way) and program(CLIENTS[way.client].environment)}
    with served() as places, ThreadPoolExecutor(2) as pool:
        yield {client: pool.submit(run, client, places) for client in clients}


def expected(way, situation) -> tuple[str, ...]:
    entries = [entry.how for entry in KNOWN_REFUSALS if (way, situation) in entry.cells]
    return entries[0] if entries else ("decoded",)


@pytest.mark.parametrize(("way", "situation"), CELLS, ids=lambda part: str(part).replace(" ", "-"))
def test_the_sentence_the_word_and_the_details_arrive(way, situation, request):
    wanted(CLIENTS[way.client].environment)
    outcome = request.getfixturevalue("outcomes")[way.client].result()[way, situation]
    told, right, how = told_of(outcome), RIGHT[situation], expected(way, situation)
    assert told.how in how, f"it arrives as {told.how}; see {KNOWN.name}: {outcome}"
    assert told.how == "challenge" or re.search(right.sentence, told.sentence), outcome
    assert SECRET_WORDS not in str(outcome)
    if situation == "cannot ask":  # for which the specification has a code, and no word
        assert outcome["code"] == MissingCapability.code
    if told.how == "challenge":
        assert told.data == {"requiredScopes": right.data["requiredScopes"]}
    elif told.how != "sentence":
        assert wrong_with(right.data, told.data) == [], outcome


def test_every_situation_has_one_right_answer_and_every_way_is_there():
    assert RIGHT.keys() == set(SITUATIONS)
    assert {way.client for way in WAYS} == CLIENTS.keys() - {"bascule"}
    assert len(WAYS) == 2 * (3 * 2 + 1)


def test_every_known_refusal_is_of_situations_that_there_are_and_none_is_known_twice():
    known = [cell for entry in KNOWN_REFUSALS for cell in entry.cells if offered(*cell)]
    assert len(known) == len(set(known))
    for entry in KNOWN_REFUSALS:
        assert entry.cells & set(CELLS)
        assert entry.reason
        assert set(entry.how) <= {"decoded", "text", "challenge", "sentence"}
        assert entry.how != ("decoded",)
    for name in ("client", "transport", "era", "situation"):
        with pytest.raises(KeyError):
            known_refusals(f'[[refusal]]\n{name} = "nothing"\nhow = "text"\nreason = "x"')


def test_the_page_for_users_tells_every_reason():
    page = " ".join(PAGE.read_text().split())
    assert [entry.reason for entry in KNOWN_REFUSALS if entry.reason not in page] == []


BODY = '{"jsonrpc":"2.0","error":{"code":503,"message":"Too much","data":{"code":"overloaded"}},"id":1}'


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (
            {"isError": True, "content": [{"text": "No"}], "_meta": {"dev.bascule/error": {"code": "a"}}},
            Told("decoded", "No", {"code": "a"}),
        ),
        ({"isError": True, "content": [{"text": "No"}], "_meta": None}, Told("decoded", "No", {})),
        ({"kind": "E", "message": "No", "data": {"code": "a"}}, Told("decoded", "No", {"code": "a"})),
        ({"kind": "E", "message": "No"}, Told("sentence", "No", {})),
        ({"kind": "E", "message": f"Error: {BODY}"}, Told("text", "Too much", {"code": "overloaded"})),
        (
            {"kind": "E", "message": "Error", "data": {"status": 503, "text": BODY}},
            Told("text", "Too much", {"code": "overloaded"}),
        ),
        (
            {"kind": "E", "message": "Insufficient scope", "requiredScope": "a b", "errorDescription": "Ask"},
            Told("challenge", "Ask", {"requiredScopes": ["a", "b"]}),
        ),
    ],
)
def test_what_a_client_gave_is_read_whichever_way_it_gives_it(outcome, told):
    assert told_of(outcome) == told


def test_a_call_that_went_through_and_details_that_differ_are_no_refusal():
    with pytest.raises(AssertionError, match="not refused"):
        told_of({"content": [{"text": "done"}]})
    assert wrong_with({"a": 1, "b": up_to(2)}, {"a": 1, "b": 2}) == []
    assert wrong_with({"a": 1}, {"a": 2}) == ["a is 2"]
    assert wrong_with({"a": 1}, {"a": 1, "b": 2}) == ["b: only on one side"]
    assert wrong_with({"a": up_to(2)}, {"a": 3}) == ["a is 3"]
