"""Attacks on a confirmation in the stateless era: what a client sends of its own accord is never a yes."""

import asyncio
import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.engine.exchange import ANONYMOUS, LOCAL, Principal
from bascule.eras.rounds import STATE_TTL
from bascule.guards.confirm import confirm
from bascule.stores.memory import MemoryMarks
from bascule.transports.memory import connect
from tests.guards.confirmed import in_memory, make
from tests.guards.desk import ABLE, SEALER, YES, Clock, Desk, posed, text
from tests.messages import META, headers, initialize, legacy, line, request
from tests.serving import serving

OTHER = Principal(issuer="local", subject="mallory", anonymous=False)
NAMESAKE = Principal(tenant="elsewhere", issuer="local", subject="user", anonymous=False)


@pytest.fixture
def ran():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(ran, clock):
    return Desk(make(ran.append, confirm(MemoryMarks(clock=clock))), clock)


async def test_an_unsolicited_yes_is_none(desk, ran):
    key, _ = await desk.posed()
    again, state = await desk.posed(responses={key: YES})
    assert again == key, "it is asked, as if nothing had been said"
    _, second = await desk.posed(state=state)
    assert ran == []
    await desk.posed(state=second)
    assert ran == [], "nor does the early answer travel along in the state"


async def test_a_yes_with_a_state_that_asked_something_else_is_none(ran):
    """The state of another question about the very same call: the tool asks, and only then becomes a guarded one."""
    open_desk = Desk(make(ran.append, lambda next, feature: next))
    guarded = Desk(in_memory(ran))
    _, early = await open_desk.posed("talk")
    key, _ = await guarded.posed("talk")
    again, _ = await guarded.posed("talk", responses={key: YES, "q1": {"action": "accept"}}, state=early)
    assert again == key
    assert ran == []


async def test_a_state_is_good_for_one_presentation(desk, ran):
    key, state = await desk.posed()
    assert text(await desk.call(responses={key: YES}, state=state)) == "dropped Paris"
    again = await desk.call(responses={key: YES}, state=state)
    assert again["error"]["code"] == -32602
    assert ran == ["Paris"]


async def test_what_one_handler_reads_at_once_is_asked_at_once_and_used_once(desk, ran):
    first = await desk.call("together", {})
    asked, state = first["result"]["inputRequests"], first["result"]["requestState"]
    assert len(asked) == 2, "what is read twice is asked once"
    given = dict.fromkeys(asked, YES)
    both = await asyncio.gather(*(desk.call("together", {}, responses=given, state=state) for _ in range(2)))
    assert [text(answer) for answer in both if not answer["result"].get("isError")] == ["secret b secret"]
    assert sorted(ran) == ["b", "secret", "secret"]


async def test_states_may_be_single_use_for_everything_besides(ran, clock):
    marks = MemoryMarks(clock=clock)
    desk = Desk(make(ran.append, confirm(marks)), clock, marks)
    key, state = await desk.posed()
    assert text(await desk.call(responses={key: YES}, state=state)) == "dropped Paris"
    assert (await desk.call(responses={key: YES}, state=state))["error"]["code"] == -32602


async def test_a_no_cannot_be_turned_into_a_yes(desk, ran):
    key, state = await desk.posed()
    declined = await desk.call(responses={key: {"action": "decline"}}, state=state)
    assert declined["result"]["isError"]
    assert (await desk.call(responses={key: YES}, state=state))["error"]["code"] == -32602
    assert ran == []


async def test_of_many_at_once_one_runs(desk, ran):
    key, state = await desk.posed()
    answers = await asyncio.gather(*(desk.call(responses={key: YES}, state=state) for _ in range(20)))
    assert sum("result" in answer for answer in answers) == 1
    assert ran == ["Paris"]


async def test_a_confirmed_call_that_asks_on_cannot_be_finished_twice(desk, ran):
    key, state = await desk.posed("talk")
    one, state = posed(await desk.call("talk", responses={key: YES}, state=state))
    two, last = posed(await desk.call("talk", responses={one: said("a")}, state=state))
    assert (await desk.call("talk", responses={one: said("b")}, state=state))["error"]["code"] == -32602
    assert text(await desk.call("talk", responses={two: said("b")}, state=last)) == "a b"
    assert (await desk.call("talk", responses={two: said("b")}, state=last))["error"]["code"] == -32602
    assert ran == ["Paris"]


async def test_a_confirmed_call_that_asks_on_cannot_be_turned_to_other_arguments(desk, ran):
    key, state = await desk.posed("talk")
    one, state = posed(await desk.call("talk", responses={key: YES}, state=state))
    for name, arguments in (("talk", {"city": "Rome"}), ("drop", {"city": "Paris"})):
        answer = await desk.call(name, arguments, responses={key: YES, one: said("a")}, state=state)
        assert answer["error"]["code"] == -32602
    assert ran == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"city": "Rome"},
        {"city": "paris"},
        {"city": "Paris", "seats": 1},
        {"city": "Paris\u200b"},
        {},
        {"Paris": "city"},
    ],
)
async def test_swapped_arguments_are_refused(desk, ran, arguments):
    key, state = await desk.posed()
    assert (await desk.call("drop", arguments, responses={key: YES}, state=state))["error"]["code"] == -32602
    assert ran == []


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city":"Paris","seats":1}',
        '{ "seats" : 1.0 , "city" : "Paris" }',
        '{"seats":1e0,"city":"\\u0050ari\\u0073"}',
        '{"seats":10E-1,"city":"Rome","city":"Paris"}',
    ],
)
async def test_the_same_arguments_written_otherwise_pass(desk, ran, arguments):
    key, state = await desk.posed("drop", {"city": "Paris", "seats": 1})
    params = request("tools/call", {"name": "drop", "inputResponses": {key: YES}, "requestState": state}, meta=ABLE)
    raw = line(params).replace(b'"name"', b'"arguments":' + arguments.encode() + b',"name"', 1)
    assert text(await desk.send(raw)) == "dropped Paris"
    assert ran == ["Paris"]


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
)
def test_any_arguments_pass_when_written_otherwise_and_the_question_is_the_same(value):
    async def both():
        ran = []
        desk = Desk(in_memory(ran))
        first = await desk.call("anything", {"value": value})
        key, state = posed(first)
        turned = {"value": dict(reversed(list(value.items())))}
        again = await desk.call("anything", turned)
        assert again["result"]["inputRequests"] == first["result"]["inputRequests"]
        params = request(
            "tools/call",
            {"name": "anything", "arguments": turned, "inputResponses": {key: YES}, "requestState": state},
            meta=ABLE,
        )
        assert text(await desk.send(json.dumps(params, indent=3, ensure_ascii=False).encode())) == "done"
        assert ran == [value]

    asyncio.run(both())


@pytest.mark.parametrize("stranger", [OTHER, NAMESAKE, ANONYMOUS])
async def test_the_state_of_another_caller_is_refused(desk, ran, stranger):
    key, state = await desk.posed()
    for sender in (stranger, LOCAL):
        answer = await desk.call(responses={key: YES}, state=state, principal=sender)
        assert ("result" in answer) is (sender is LOCAL), "and a failed theft does not use it up"
    assert ran == ["Paris"]


async def test_a_tampered_state_is_refused(desk, ran):
    key, state = await desk.posed()
    middle = len(state) // 2
    for forged in (
        state[:-1],
        state[1:],
        state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :],
    ):
        assert (await desk.call(responses={key: YES}, state=forged))["error"]["code"] == -32602
    assert ran == []


async def test_a_yes_that_comes_late_is_none(desk, ran, clock):
    key, state = await desk.posed()
    clock.now += STATE_TTL + 1
    assert (await desk.call(responses={key: YES}, state=state))["error"]["code"] == -32602
    assert ran == []


async def test_when_no_more_can_be_remembered_nothing_runs(ran):
    desk = Desk(make(ran.append, confirm(MemoryMarks(max_marks=1))))
    for expected in (1, 1):
        key, state = await desk.posed()
        await desk.call(responses={key: YES}, state=state)
        assert len(ran) == expected


async def test_when_the_disk_fails_nothing_runs(ran, caplog):
    class Full:
        async def take(self, mark, until):
            raise OSError("disk full")

    desk = Desk(make(ran.append, confirm(Full())))
    key, state = await desk.posed()
    assert (await desk.call(responses={key: YES}, state=state))["error"]["code"] == -32602
    assert ran == []
    assert "disk full" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        b'{"value":{"a":"\\ud800x"}}',
        b'{"value":{"a":"\\udc00"}}',
        b'{"value":{"\\udfff":1}}',
        b'{"value":{"a":1e999}}',
        b'{"value":{"a":' + b"9" * 5000 + b"}}",
    ],
)
async def test_arguments_that_are_no_text_are_refused_before_anybody_is_asked(desk, ran, arguments):
    key, state = await desk.posed("anything", {})
    for more in ({}, {"inputResponses": {key: YES}, "requestState": state}):
        raw = line(request("tools/call", {"name": "anything", **more}, meta=ABLE))
        answer = await desk.send(raw.replace(b'"name"', b'"arguments":' + arguments + b',"name"', 1))
        assert answer.get("error", {}).get("code") in (-32700, -32602) or answer["result"]["isError"]
    assert ran == []


@pytest.mark.parametrize("answer", [None, 1, "accept", [], {}, {"action": "yes"}, {"action": "accept", "content": [1]}])
async def test_an_answer_of_the_wrong_shape_is_no_yes(desk, ran, answer):
    key, state = await desk.posed()
    refused = await desk.call(responses={key: answer}, state=state)
    assert "error" in refused or refused["result"]["isError"]
    assert ran == []


async def test_a_client_that_forgets_its_capability_after_the_question_is_still_heard(desk, ran):
    key, state = await desk.posed()
    declined = await desk.call(responses={key: {"action": "decline"}}, state=state, meta=META)
    assert declined["result"]["isError"]
    assert ran == []


def test_over_http_each_is_refused_with_its_own_status(ran):
    with serving(in_memory(ran)) as running, httpx2.Client(timeout=10) as http:

        def call(meta=ABLE, **more):
            message = request("tools/call", {"name": "drop", "arguments": {"city": "Paris"}, **more}, meta=meta)
            return http.post(running.url, json=message, headers=headers(message))

        lacking = call(META)
        assert (lacking.status_code, lacking.json()["error"]["code"]) == (400, -32021)
        key, state = posed(call().json())
        given = {"inputResponses": {key: YES}, "requestState": state}
        assert text(call(**given).json()) == "dropped Paris"
        again = call(**given)
        assert (again.status_code, again.json()["error"]["code"]) == (200, -32602)
        batch = [request("tools/call", {"name": "drop", "arguments": {"city": "Paris"}, **given}, meta=ABLE)] * 3
        http.post(running.url, json=batch, headers=headers(batch[0]))
    assert ran == ["Paris"]


def test_over_http_in_the_handshake_era_an_answer_before_the_question_is_none(ran):
    accept = {"accept": "application/json, text/event-stream"}
    hello = initialize()
    hello["params"]["capabilities"] = {"elicitation": {}}
    early = [{"jsonrpc": "2.0", "id": f"ask-{name}-1", "result": YES} for name in ("0" * 12, "", "1")]
    with serving(in_memory(ran)) as running, httpx2.Client(timeout=10, headers=accept) as http:
        session = {"mcp-session-id": http.post(running.url, json=hello).headers["mcp-session-id"]}
        for message in early:
            http.post(running.url, json=message, headers=session)
        params = {"name": "drop", "arguments": {"city": "Paris"}, "inputResponses": {"confirm": YES}}
        with http.stream("POST", running.url, json=legacy("tools/call", params), headers=session) as answer:
            events = answer.iter_lines()
            event = next(event for event in events if "elicitation/create" in event)
            assert ran == [], "it waits for the answer to its own question"
            asked = json.loads(event.removeprefix("data: "))
            other = {"mcp-session-id": http.post(running.url, json=hello).headers["mcp-session-id"]}
            http.post(running.url, json={"jsonrpc": "2.0", "id": asked["id"], "result": YES}, headers=other)
            assert ran == [], "nor does the answer of another session count"
            http.post(running.url, json={"jsonrpc": "2.0", "id": asked["id"], "result": YES}, headers=session)
            assert any("dropped Paris" in event for event in events)
    assert ran == ["Paris"]


def said(value):
    return {"action": "accept", "content": {"value": value}}


async def test_each_call_of_a_batch_is_confirmed_by_itself(ran):
    heard = asyncio.Queue()
    stream = connect(in_memory(ran), lambda: SEALER)
    await stream.start(lambda data: heard.put_nowait(json.loads(data)), lambda error: None)
    hello = initialize("2025-03-26")
    hello["params"]["capabilities"] = {"elicitation": {}}
    stream.write(line(hello))
    await heard.get()
    calls = [
        legacy("tools/call", {"name": "drop", "arguments": {"city": city}}, id=at)
        for at, city in enumerate(("Paris", "Rome", "Paris"))
    ]
    stream.write(line(calls))
    asked = [await heard.get() for _ in calls]
    assert ran == []
    assert len({question["id"] for question in asked}) == 3, "two equal calls are two questions"
    answers = [YES, {"action": "decline"}, {"action": "cancel"}]
    for question, answer in zip(asked, answers, strict=True):
        stream.write(line({"jsonrpc": "2.0", "id": question["id"], "result": answer}))
    found = await heard.get()
    assert sorted(answer["result"].get("isError", False) for answer in found) == [False, True, True]
    assert len(ran) == 1
    await stream.close()
