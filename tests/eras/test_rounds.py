"""Sealed state: it carries what earlier rounds brought, and is good for one principal, one request and a while."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bascule.engine.asking import MAX_ROUNDS, Asking, Question, asking_in
from bascule.engine.exchange import ANONYMOUS, CLOSED, LOCAL, Exchange, Peer
from bascule.eras import rounds
from bascule.eras.rounds import MAX_STATE, STATE_TTL, Rounds
from bascule.eras.sealing import Sealer
from bascule.errors import InternalError, InvalidParams, InvalidRequest, MissingCapability
from bascule.stores.memory import MemoryMarks
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import ClientCapabilities
from bascule.wire.tools import CallToolParams

QUESTION = Question("elicitation/create", b'{"message":"?"}', "elicitation")
OTHER = Question("elicitation/create", b'{"message":"!"}', "elicitation")
ABLE = Peer("x", None, ClientCapabilities(elicitation={}))


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sealer():
    return Sealer([b"a key of sixteen bytes"])


@pytest.fixture
def served(clock, sealer):
    return Rounds(lambda: sealer, clock)


def exchange(params=None, principal=LOCAL, method="tools/call", served=None, peer=ABLE):
    return Exchange(
        method=method,
        request_id=1,
        params=params or call(),
        raw_params=None,
        peer=peer,
        principal=principal,
        channel=CLOSED,
        inquire=served.inquire if served else None,
    )


def call(name="book", arguments=b'{"a":1,"b":[1.0]}', **given):
    return CallToolParams(name=name, arguments=Raw(arguments), **given)


def issued(served, **given):
    """A state for the usual call."""
    return served.pose(exchange(**given), Asking({"q": QUESTION})).request_state


def resumed(served, state, params=None, **given):
    params = params or call()
    params.request_state = state
    found = exchange(params, **given)
    served.resume(found, params)
    return found.dialogue


async def test_answers_of_earlier_rounds_come_back_and_a_missing_one_ends_the_round(served):
    first = exchange(call(input_responses={"q": Raw(b'{"action":"accept"}'), "noise": Raw(b"1")}))
    served.resume(first, first.params)
    assert await served.inquire(first, {"q": QUESTION}) == {"q": Raw(b'{"action":"accept"}')}
    with pytest.raises(Asking) as asking:
        await served.inquire(first, {"q": QUESTION, "r": OTHER})
    assert set(asking.value.questions) == {"r"}
    result = served.pose(first, asking.value)
    assert set(result.input_requests) == {"r"}
    dialogue = resumed(served, result.request_state)
    assert bytes(dialogue.answers["q"]) == b'{"action":"accept"}'
    assert dialogue.rounds == 1


async def test_an_answer_counts_for_the_question_that_it_was_given_to(served):
    dialogue = resumed(served, issued(served), call(input_responses={"q": Raw(b"{}")}))
    assert dialogue.open_questions({"q": QUESTION}) == {}
    assert dialogue.open_questions({"q": OTHER}) == {"q": OTHER}, "the same key, another question"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"principal": ANONYMOUS}, "another principal"),
        ({"params": call("sell")}, "another request"),
        ({"params": call(arguments=b'{"a":2,"b":[1.0]}')}, "another request"),
        ({"params": GetPromptParams(name="book"), "method": "prompts/get"}, "another request"),
    ],
)
def test_a_state_is_good_for_nothing_else(served, caplog, change, reason):
    state = issued(served)
    with caplog.at_level(logging.WARNING), pytest.raises(InvalidParams) as refused:
        resumed(served, state, **change)
    assert refused.value.code == -32602
    assert reason in caplog.text
    assert reason not in refused.value.message, "the client is not told which"


def test_arguments_may_be_spelled_otherwise(served):
    assert resumed(served, issued(served), call(arguments=b'{ "b": [1], "a": 1.0 }')).rounds == 1


def test_a_state_expires(served, clock, caplog):
    state = issued(served)
    clock.now += STATE_TTL + 1
    with pytest.raises(InvalidParams):
        resumed(served, state)
    assert "expired" in caplog.text


def test_a_state_survives_a_change_of_keys_but_not_the_loss_of_its_key(served, clock):
    state = issued(served)
    rotated = Sealer([b"a newer key of sixteen", b"a key of sixteen bytes"])
    assert resumed(Rounds(lambda: rotated, clock), state).rounds == 1
    with pytest.raises(InvalidParams):
        resumed(Rounds(lambda: Sealer([b"a newer key of sixteen"]), clock), state)


def test_what_was_sealed_for_something_else_is_no_state(served, sealer):
    with pytest.raises(InvalidParams):
        resumed(served, sealer.seal(b"x", "session"))


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_state(text):
    with pytest.raises(InvalidParams):
        resumed(Rounds(lambda: Sealer([b"a key of sixteen bytes"])), text)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_state_with_one_bit_changed_is_refused(at, change):
    served = Rounds(lambda: Sealer([b"a key of sixteen bytes"]))
    raw = bytearray(issued(served).encode())
    raw[at % len(raw)] ^= change
    with pytest.raises(InvalidParams):
        resumed(served, raw.decode("latin-1"))


def test_rounds_end(served):
    dialogue = None
    for _ in range(MAX_ROUNDS):
        found = exchange()
        found.dialogue = dialogue
        dialogue = resumed(served, served.pose(found, Asking({"q": QUESTION})).request_state)
    found = exchange()
    found.dialogue = dialogue
    with pytest.raises(InvalidRequest, match="asked back"):
        served.pose(found, Asking({"q": QUESTION}))


def test_a_state_does_not_grow_without_bound(served):
    found = exchange(call(input_responses={"big": Raw(json.dumps("x" * MAX_STATE).encode())}))
    served.resume(found, found.params)
    with pytest.raises(InternalError, match="too large"):
        served.pose(found, Asking({"q": QUESTION}))


async def test_only_what_the_client_can_answer_is_asked(served):
    unable = exchange(peer=Peer("x", None, ClientCapabilities(sampling={}, elicitation={"form": {}})))
    questions = {
        "u": Question("elicitation/create", b"{}", "elicitation.url"),
        "r": Question("roots/list", None, "roots"),
        "t": Question("sampling/createMessage", b"{}", "sampling.tools"),
    }
    with pytest.raises(MissingCapability) as refused:
        await served.inquire(unable, questions)
    needed = {"elicitation": {"url": {}}, "roots": {}, "sampling": {"tools": {}}}
    assert refused.value.data == {"requiredCapabilities": needed}


def test_questions_are_found_in_groups_and_only_there():
    one, two = Asking({"a": QUESTION}), Asking({"b": OTHER})
    group = BaseExceptionGroup("g", [one, BaseExceptionGroup("h", [two])])
    assert set(asking_in(group).questions) == {"a", "b"}
    assert asking_in(BaseExceptionGroup("g", [one, ValueError()])) is None
    assert asking_in(ValueError()) is None
    assert rounds.MAX_STATE == MAX_STATE


async def test_a_state_may_be_good_for_one_use_only(clock, sealer):
    served = Rounds(lambda: sealer, clock, marks=MemoryMarks(clock=clock))
    ran = []

    async def answer(application, exchange):
        ran.append(exchange)

    once = served.once(answer)
    state = issued(served)
    for expected in (1, 1):
        params = call(request_state=state)
        found = exchange(params)
        served.resume(found, params)
        try:
            await once(None, found)
        except InvalidParams as refused:
            assert refused.code == -32602
        assert len(ran) == expected
    await once(None, exchange())
    assert len(ran) == 2, "a request without state is as free as ever"


async def test_marks_are_bounded_and_fail_closed():
    now = [0.0]
    marks = MemoryMarks(max_marks=2, clock=lambda: now[0])
    assert [await marks.take(mark, 10) for mark in ("a", "a", "b", "c")] == [True, False, True, False]
    now[0] = 11
    assert await marks.take("c", 20)
