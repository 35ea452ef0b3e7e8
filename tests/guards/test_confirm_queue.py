"""Approvals by an operator: where the client cannot ask, the call waits, and passes once when it was approved."""

import json

import pytest
from msgspec.structs import replace

from bascule import Client, CreateMessageResult, TextContent
from bascule.engine.exchange import ANONYMOUS, LOCAL, Conversation, Peer, Principal
from bascule.engine.policy import Policy
from bascule.engine.settings import ApprovalSettings
from bascule.guards.confirm import confirm
from bascule.server.features import ERROR_KEY
from bascule.stores.memory import MemoryMarks
from bascule.stores.sqlite_approvals import SqliteApprovals
from bascule.wire.requests import ClientCapabilities
from tests.guards.confirmed import make, yes
from tests.guards.desk import ABLE, YES, Clock, Desk, able, posed, text
from tests.messages import META, PREFIX, line, request

ERAS = ("modern", "legacy")


@pytest.fixture
def ran():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path, clock):
    made = SqliteApprovals(str(tmp_path / "approvals"), clock=clock)
    yield made
    await made.close()


@pytest.fixture
def app(ran, clock, store):
    return make(ran.append, confirm(MemoryMarks(clock=clock), store, server="shop"), "queue")


@pytest.fixture
def desk(app, clock):
    return Desk(app, clock)


def failed(answer):
    assert answer["result"]["isError"], answer
    return answer["result"]["_meta"][ERROR_KEY]


async def plain(desk, name="drop", arguments=None, **more):
    return await desk.call(name, arguments, meta=META, **more)


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_waits_and_passes_once_when_it_was_approved(app, ran, store, era):
    async with Client(app, era=era) as client:
        first = await client.call_tool("drop", {"city": "Paris"})
        told = first.meta[ERROR_KEY]
        assert told["code"] == "confirmation_required"
        assert told["expiresAt"].endswith("Z")
        assert "must be approved by a person" in first.content[0].text
        assert told["approvalId"] in first.content[0].text
        assert "approve " not in first.content[0].text, "the model is not told how to do that itself"
        assert (await client.call_tool("drop", {"city": "Paris"})).meta[ERROR_KEY] == told
        assert ran == []
        await store.decide(told["approvalId"], approve=True, by="ann")
        assert (await client.call_tool("drop", {"city": "Rome"})).is_error
        done = await client.call_tool("drop", {"city": "Paris"})
        assert done.structured_content == {"result": "dropped Paris"}
        assert (await client.call_tool("drop", {"city": "Paris"})).is_error
    assert ran == ["Paris"]
    kept = await store.find(told["approvalId"])
    assert (kept.state, kept.wanted.server, kept.wanted.owner) == ("spent", "shop", ("", "local", "user", ""))


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_can_ask_is_asked(app, ran, store, era):
    async with Client(app, era=era, on_elicit=yes) as client:
        assert not (await client.call_tool("drop", {"city": "Paris"})).is_error
    assert await store.listed(everything=True) == []
    assert ran == ["Paris"]


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_denied_is_declined(app, ran, store, era):
    async with Client(app, era=era) as client:
        told = (await client.call_tool("drop", {"city": "Paris"})).meta[ERROR_KEY]
        await store.decide(told["approvalId"], approve=False, by="ann")
        refused = (await client.call_tool("drop", {"city": "Paris"})).meta[ERROR_KEY]
    assert refused == {"code": "confirmation_declined", "approvalId": told["approvalId"]}
    assert ran == []


@pytest.mark.parametrize("era", ERAS)
async def test_the_questions_of_a_handler_cost_no_second_approval(app, ran, store, era):
    sampled = CreateMessageResult("assistant", TextContent("thought"), "model")
    async with Client(app, era=era, on_sample=lambda params: sampled) as client:
        told = (await client.call_tool("think", {"city": "Paris"})).meta[ERROR_KEY]
        await store.decide(told["approvalId"], approve=True, by="ann")
        assert (await client.call_tool("think", {"city": "Paris"})).structured_content == {"result": "thought"}
        assert (await client.call_tool("think", {"city": "Paris"})).is_error
    assert ran == ["Paris"]


async def test_an_approved_call_that_asks_on_cannot_be_finished_twice(desk, ran, store):
    sampling = able(sampling={})
    told = failed(await desk.call("think", meta=sampling))
    await store.decide(told["approvalId"], approve=True, by="ann")
    key, state = posed(await desk.call("think", meta=sampling))
    answer = {key: {"role": "assistant", "content": {"type": "text", "text": "so"}, "model": "m"}}
    assert text(await desk.call("think", responses=answer, state=state, meta=sampling)) == "so"
    again = await desk.call("think", responses=answer, state=state, meta=sampling)
    assert again["error"]["code"] == -32602
    other = await desk.call("think", {"city": "Rome"}, responses=answer, state=state, meta=sampling)
    assert other["error"]["code"] == -32602
    assert ran == ["Paris"]


async def test_an_unsolicited_yes_is_no_approval(desk, ran):
    key, state = await desk.posed()
    assert failed(await plain(desk, responses={key: YES}))["code"] == "confirmation_required"
    declined = failed(await plain(desk, responses={key: {"action": "decline"}}, state=state))
    assert declined["code"] == "confirmation_declined", "the user was asked, and has said no"
    assert ran == []


@pytest.mark.parametrize(
    "stranger",
    [
        Principal(issuer="local", subject="mallory", anonymous=False),
        Principal(tenant="t", issuer="local", subject="user", anonymous=False),
        ANONYMOUS,
    ],
)
async def test_an_approval_is_of_no_use_to_others(desk, ran, store, stranger):
    told = failed(await plain(desk))
    await store.decide(told["approvalId"], approve=True, by="ann")
    assert failed(await plain(desk, principal=stranger))["code"] == "confirmation_required"
    assert text(await plain(desk, principal=LOCAL)) == "dropped Paris"


async def test_callers_without_credentials_are_told_apart_by_their_sessions(app, ran, store):
    sent = []

    async def handler(exchange):
        sent.append(exchange.conversation.key)

    feature = replace(app._registry.tools["drop"], policy=Policy(confirm="queue"))
    guarded = confirm(MemoryMarks(), store)(handler, feature)
    desk = Desk(app)
    found = {}
    for session in ("one", "two"):
        exchange = desk.opened(line(request("tools/call", {"name": "drop", "arguments": {}}, meta=META)), ANONYMOUS)
        exchange.conversation = Conversation(Peer("x", None, ClientCapabilities()), session)
        with pytest.raises(Exception, match="must be approved") as refused:
            await guarded(exchange)
        found[session] = (refused.value.details["approvalId"], exchange)
    assert found["one"][0] != found["two"][0]
    await store.decide(found["one"][0], approve=True, by="ann")
    with pytest.raises(Exception, match="must be approved"):
        await guarded(found["two"][1])
    await guarded(found["one"][1])
    assert sent == ["one"]


@pytest.mark.parametrize("arguments", ['{"seats":1,"city":"Paris"}', '{ "city":"\\u0050aris", "seats":1.0 }'])
async def test_the_same_arguments_written_otherwise_are_approved(desk, ran, store, arguments):
    told = failed(await plain(desk, arguments={"city": "Paris", "seats": 1}))
    await store.decide(told["approvalId"], approve=True, by="ann")
    raw = line(request("tools/call", {"name": "drop"}, meta=META))
    assert text(await desk.send(raw.replace(b'"name"', b'"arguments":' + arguments.encode() + b',"name"', 1)))
    assert ran == ["Paris"]


async def test_an_approval_expires(desk, ran, store, clock):
    told = failed(await plain(desk))
    await store.decide(told["approvalId"], approve=True, by="ann")
    clock.now += ApprovalSettings().ttl + 1
    assert failed(await plain(desk))["code"] == "confirmation_required"
    assert ran == []


async def test_too_many_are_told(desk, ran):
    for number in range(ApprovalSettings().max_pending_per_principal):
        assert "approvalId" in failed(await plain(desk, arguments={"city": f"{number}"}))
    assert failed(await plain(desk)) == {"code": "confirmation_required"}


@pytest.mark.parametrize("meta", [META, ABLE])
async def test_what_is_too_long_for_anybody_is_refused_unseen(desk, store, meta):
    long = {"value": {"a": "x" * ApprovalSettings().max_arguments_bytes}}
    assert failed(await desk.call("anything", long, meta=meta))["code"] == "invalid_arguments"
    assert await store.listed() == []


async def test_a_disk_that_fails_refuses(ran, clock, caplog):
    class Full:
        async def present(self, wanted):
            raise OSError("disk full")

    desk = Desk(make(ran.append, confirm(MemoryMarks(clock=clock), Full()), "queue"), clock)
    answer = await plain(desk)
    assert answer["error"]["code"] == -32603
    assert "disk" not in json.dumps(answer)
    assert "disk full" in caplog.text
    assert ran == []


async def test_a_question_about_urls_only_is_none(desk):
    only = {**META, PREFIX + "clientCapabilities": {"elicitation": {"url": {}}}}
    assert failed(await desk.call(meta=only))["code"] == "confirmation_required"
