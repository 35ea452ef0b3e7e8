"""Confirmation: nothing begins before a person has said yes to exactly that call, in both eras, on all transports."""

import sys

import pytest

from bascule import Client, CreateMessageResult, ElicitResult, MCPError, TextContent
from bascule.engine.policy import Policy
from bascule.engine.settings import ApprovalSettings
from bascule.errors import ConfigError, InvalidArguments
from bascule.guards.confirm import confirm, published
from bascule.server.features import ERROR_KEY, ToolFeature
from bascule.stores.memory import MemoryMarks
from bascule.wire.tasks import EXTENSION
from tests.guards.confirmed import in_memory, yes
from tests.serving import serving

ERAS = ("modern", "legacy")


@pytest.fixture
def ran():
    return []


@pytest.fixture(params=["memory", "http", "stdio"])
def target(request, ran, tmp_path):
    """The server behind each transport; `ran` is brought up to date by calling the second."""
    if request.param == "stdio":
        log = tmp_path / "log"
        log.touch()
        command = [sys.executable, "-m", "tests.guards.confirmed", "server", str(tmp_path / "file"), str(log)]
        yield command, lambda: log.read_text().split()
        return
    app = in_memory(ran)
    if request.param == "memory":
        yield app, lambda: ran
        return
    with serving(app) as running:
        yield running.url, lambda: ran


def refused(result):
    assert result.is_error
    return result.meta[ERROR_KEY]


def environment(target):
    """Child processes find the tests as this one does."""
    return {"PYTHONPATH": ":".join(filter(None, sys.path))} if isinstance(target, list) else None


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_runs_once_the_user_has_said_yes_and_not_otherwise(target, era):
    server, ran = target
    asked = []
    answers = [
        ElicitResult("decline"),
        ElicitResult("cancel"),
        ElicitResult("accept", {"confirm": False}),
        ElicitResult("accept", {}),
        ElicitResult("accept", {"confirm": "true"}),
        ElicitResult("accept", {"confirm": 1}),
        ElicitResult("accept", {"confirm": True}),
    ]

    def on_elicit(params):
        asked.append(params)
        assert ran() == [], "nobody has said yes yet"
        return answers[len(asked) - 1]

    async with Client(server, era=era, on_elicit=on_elicit, env=environment(server)) as client:
        found = [await client.call_tool("drop", {"city": "Paris"}) for _ in answers]
        assert ran() == ["Paris"]
    codes = [refused(result) for result in found[:-1]]
    assert codes[:3] == [
        {"code": "confirmation_declined", "action": action} for action in ("decline", "cancel", "decline")
    ]
    assert {code["code"] for code in codes[3:]} == {"not_answered"}, "a client that fills nothing in asked nobody"
    assert found[-1].structured_content == {"result": "dropped Paris"}
    assert len(asked) == len(answers), "one question for each call"
    assert asked[0].message == (
        "Allow this tool to run? If you accept, that happens once, exactly as it stands here.\n\n"
        '```\ntool = "drop"\nargument city = "Paris"\n```'
    )
    assert asked[0].requested_schema["required"] == ["confirm"]
    assert list(asked[0].requested_schema["properties"]) == ["confirm"]
    assert "default" not in asked[0].requested_schema["properties"]["confirm"]


@pytest.mark.parametrize("era", ERAS)
async def test_reads_and_prompts_are_confirmed_alike(target, era):
    server, ran = target
    asked = []

    def on_elicit(params):
        asked.append(params.message)
        return yes(params) if len(asked) % 2 else ElicitResult("decline")

    async with Client(server, era=era, on_elicit=on_elicit, env=environment(server)) as client:
        for ask in (
            lambda: client.read_resource("secret://a"),
            lambda: client.read_resource("row://cities"),
            lambda: client.get_prompt("brief", {"city": "Rome"}),
        ):
            await ask()
            with pytest.raises(MCPError) as declined:
                await ask()
            assert declined.value.data == {"code": "confirmation_declined", "action": "decline"}
        assert ran() == ["secret", "cities", "Rome"]
    assert '\nresource = "row://cities"\n```' in asked[2]
    assert '\nprompt = "brief"\nargument city = "Rome"\n```' in asked[4]


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_ask_is_refused_by_what_it_lacks(target, era):
    server, ran = target
    async with Client(server, era=era, env=environment(server)) as client:
        with pytest.raises(MCPError, match="the user must confirm the tool drop") as lacking:
            await client.call_tool("drop", {"city": "Paris"})
        assert ran() == []
    assert lacking.value.code == -32021
    assert lacking.value.data == {"requiredCapabilities": {"elicitation": {}}}


@pytest.mark.parametrize("era", ERAS)
async def test_the_questions_of_a_handler_come_after_and_the_first_is_not_asked_again(target, era):
    server, ran = target
    asked = []

    def on_elicit(params):
        asked.append(params.message)
        return (
            yes(params)
            if "confirm" in params.requested_schema["properties"]
            else ElicitResult("accept", {"value": "so"})
        )

    async with Client(server, era=era, on_elicit=on_elicit, env=environment(server)) as client:
        result = await client.call_tool("talk", {"city": "Paris"})
        assert ran() == ["Paris"]
    assert result.structured_content == {"result": "so so"}
    assert asked[0].startswith("Allow this tool")
    assert asked[1:] == ["Why Paris?", "Really?"]


@pytest.mark.parametrize("era", ERAS)
async def test_what_a_handler_reads_on_its_own_is_confirmed_too(ran, era):
    asked = []

    def on_elicit(params):
        asked.append(params.message.split("\n")[3])
        return yes(params) if len(asked) < 5 else ElicitResult("decline")

    async with Client(in_memory(ran), era=era, on_elicit=on_elicit) as client:
        assert (await client.call_tool("plain")).structured_content == {"result": "secret"}
        assert asked == ['resource = "secret://a"']
        assert (await client.call_tool("nested")).structured_content == {"result": "secret"}
        assert asked[1:] == ['tool = "nested"', 'resource = "secret://a"']
        with pytest.raises(MCPError, match="declined"):
            await client.call_tool("nested")
    assert set(ran) == {"secret"}


async def test_a_task_begins_after_the_confirmation(ran):
    answers = [ElicitResult("decline"), ElicitResult("accept", {"confirm": True})]
    began = []

    def on_elicit(params):
        began.append(list(ran))
        return answers[len(began) - 1]

    async with Client(in_memory(ran), on_elicit=on_elicit) as client:
        assert EXTENSION in (client.capabilities.extensions or {})
        declined = await client.call_tool("later", {"city": "Paris"})
        assert refused(declined)["code"] == "confirmation_declined"
        await client.call_tool("later", {"city": "Paris"})
    assert began == [[], []]
    assert ran == ["Paris"]


async def test_nobody_is_asked_about_arguments_that_would_be_refused(ran):
    seen = []

    def check(exchange):
        seen.append(exchange.feature.name)
        raise InvalidArguments("Invalid arguments: no")

    app = in_memory(ran, check=check)
    async with Client(app, on_elicit=lambda params: pytest.fail("asked")) as client:
        assert refused(await client.call_tool("drop", {"nowhere": 1}))["code"] == "invalid_arguments"
    assert seen == ["drop"]


def test_where_nothing_is_to_be_confirmed_there_is_no_guard():
    async def handler(exchange):
        raise AssertionError

    guard = confirm(MemoryMarks())
    for mode in ("off", "host"):
        assert guard(handler, feature(mode)) is handler
    assert guard(handler, feature("server")) is not handler


def test_a_queue_that_is_nowhere_is_an_error_at_the_start():
    with pytest.raises(ConfigError, match="file"):
        confirm(MemoryMarks())(None, feature("queue"))


def feature(mode):
    return ToolFeature("t", None, None, policy=Policy(confirm=mode))


def test_a_definition_says_that_it_is_confirmed():
    assert published(Policy()) == ({}, {})
    for mode in ("server", "queue", "host"):
        meta = {"confirmRequired": True, "dev.bascule/confirm": mode}
        assert published(Policy(confirm=mode)) == (meta, {"destructiveHint": True})


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_too_long_to_be_shown_is_said_so_or_refused(ran, era):
    asked = []

    def on_elicit(params):
        asked.append(params.message)
        return yes(params)

    value = {"value": {"note": "x" * 64 * 1024, "to": "mallory"}}
    async with Client(in_memory(ran), era=era, on_elicit=on_elicit) as client:
        assert not (await client.call_tool("anything", value)).is_error
    assert "CAUTION" in asked[0].split("```")[0]
    assert " characters NOT SHOWN; sha256" in asked[0]
    assert 'argument value.to = "mallory"' in asked[0], "a long value hides no other"
    assert len(asked[0]) < 10_000
    refusing = ApprovalSettings(too_long="refuse")
    async with Client(in_memory(ran, settings=refusing), era=era, on_elicit=on_elicit) as client:
        assert refused(await client.call_tool("anything", value))["code"] == "invalid_arguments"
        assert not (await client.call_tool("anything", {"value": {"a": "x" * 3000}})).is_error
    assert len(asked) == 2


async def test_deep_arguments_are_shown_like_any_other(ran):
    deep = {}
    for _ in range(100):
        deep = {"a": deep}
    asked = []

    def on_elicit(params):
        asked.append(params.message)
        return yes(params)

    async with Client(in_memory(ran), on_elicit=on_elicit) as client:
        assert not (await client.call_tool("anything", {"value": deep})).is_error
    assert "steps NOT SHOWN" in asked[0]
    assert max(map(len, asked[0].splitlines())) < 300


async def test_sampling_does_for_a_question_of_the_handler_but_not_for_a_confirmation(ran):
    sampled = CreateMessageResult("assistant", TextContent("thought"), "model")
    async with Client(in_memory(ran), on_sample=lambda params: sampled) as client:
        with pytest.raises(MCPError):
            await client.call_tool("think", {"city": "Paris"})
    async with Client(in_memory(ran), on_sample=lambda params: sampled, on_elicit=yes) as client:
        assert (await client.call_tool("think", {"city": "Paris"})).structured_content == {"result": "thought"}
    assert ran == ["Paris"]
