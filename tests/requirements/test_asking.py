"""What a server asks back in the stateless era, and what it makes of the state that comes back, over HTTP."""

import asyncio

import httpx2
import pytest

from bascule import Context, Elicit, Roots, Sample, SamplingMessage, Server, TextContent
from bascule.wire.tools import Tool
from tests.messages import META, PREFIX
from tests.requirements.conftest import Door
from tests.serving import serving


def able(**capabilities):
    """The `_meta` of a client that can do this."""
    return {**META, PREFIX + "clientCapabilities": capabilities}


ABLE = able(elicitation={"form": {}, "url": {}}, sampling={"tools": {}}, roots={})


@pytest.fixture(scope="module")
def ran():
    return []


@pytest.fixture(scope="module")
def asking(ran):
    app = Server("asking")

    @app.tool
    async def everything(ctx: Context) -> str:
        page = Elicit("Sign in", url="https://example.com/in")
        await ctx.ask_all({"name": Elicit("Name?", str), "page": page, "said": Sample("Greet!"), "places": Roots()})
        return "asked"

    @app.tool
    async def form(ctx: Context) -> str:
        return (await ctx.elicit("Name?", str)).content

    @app.tool
    async def visit(ctx: Context) -> str:
        return (await ctx.elicit("Sign in", url="https://example.com/in")).action

    @app.tool
    async def chat(ctx: Context) -> str:
        talk = [SamplingMessage("user", TextContent("Hi")), SamplingMessage("assistant", [TextContent("Hello")])]
        return (await ctx.sample(talk)).text

    @app.tool
    async def with_tools(ctx: Context) -> str:
        return (await ctx.sample("Weather?", tools=[Tool("weather", {"type": "object"})])).text

    @app.tool
    async def steps(ctx: Context, order: int = 0) -> str:
        first = await ctx.elicit("First?", str)
        second = await ctx.elicit("Second?", str)
        ran.append(order)
        return f"{first.content} {second.content}"

    @app.tool
    async def together(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ctx.elicit(question, str)) for question in ("One?", "Two?")]
        return " ".join(one.result().content for one in asked)

    @app.tool
    async def who(ctx: Context) -> list[str]:
        return [*ctx.principal.key, str(ctx.principal.anonymous)]

    with serving(app) as running, httpx2.Client(timeout=10) as http:
        yield Door(running.url, http)


def retry(door, name, responses=None, state=None, arguments=None, meta=ABLE):
    """A call that answers what was asked before."""
    params = {"name": name, "arguments": arguments or {}, "inputResponses": responses, "requestState": state}
    return door.ask("tools/call", {key: value for key, value in params.items() if value is not None}, meta=meta)


def accepted(value):
    return {"action": "accept", "content": {"value": value}}


def posed(answer):
    """The result that asks: its questions and its state."""
    result = answer.json()["result"]
    assert result["resultType"] == "input_required"
    return result["inputRequests"], result["requestState"]


def test_questions_travel_inside_a_result_and_never_as_requests(asking):
    answer = asking.call("everything", meta=ABLE, id="it")
    assert answer.headers["content-type"] == "application/json", "one message, and no stream of others"
    assert set(answer.json()) == {"jsonrpc", "id", "result"}
    questions, state = posed(answer)
    assert state
    assert {key: question["method"] for key, question in questions.items()} == {
        "name": "elicitation/create",
        "page": "elicitation/create",
        "said": "sampling/createMessage",
        "places": "roots/list",
    }
    assert all(set(question) <= {"method", "params"} for question in questions.values())


def test_questions_to_the_user_have_the_parameters_of_their_mode(asking):
    questions, _ = posed(asking.call("everything", meta=ABLE))
    schema = {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]}
    assert questions["name"]["params"] == {"mode": "form", "message": "Name?", "requestedSchema": schema}
    assert questions["page"]["params"] == {"mode": "url", "message": "Sign in", "url": "https://example.com/in"}


def test_messages_to_the_model_have_a_role_and_a_content(asking):
    questions, _ = posed(asking.call("chat", meta=ABLE))
    (question,) = questions.values()
    assert question["params"]["messages"] == [
        {"role": "user", "content": {"type": "text", "text": "Hi"}},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    ]
    questions, _ = posed(asking.call("everything", meta=ABLE))
    assert questions["said"]["params"]["messages"] == [{"role": "user", "content": {"type": "text", "text": "Greet!"}}]


def test_each_question_of_a_request_has_a_key_of_its_own(asking):
    questions, state = posed(asking.call("together", meta=ABLE))
    assert {question["params"]["message"] for question in questions.values()} == {"One?", "Two?"}
    answers = {key: accepted(question["params"]["message"]) for key, question in questions.items()}
    assert retry(asking, "together", answers, state).json()["result"]["structuredContent"] == {"result": "One? Two?"}
    first, state = posed(asking.call("steps", meta=ABLE))
    second, _ = posed(retry(asking, "steps", dict.fromkeys(first, accepted("a")), state))
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    ("tool", "can", "missing"),
    [
        ("form", {}, {"elicitation": {}}),
        ("form", {"elicitation": {"url": {}}}, {"elicitation": {}}),
        ("visit", {"elicitation": {}}, {"elicitation": {"url": {}}}),
        ("visit", {"elicitation": {"form": {}}}, {"elicitation": {"url": {}}}),
        ("chat", {"elicitation": {}}, {"sampling": {}}),
        ("with_tools", {"sampling": {}}, {"sampling": {"tools": {}}}),
        ("everything", {"elicitation": {"form": {}, "url": {}}}, {"sampling": {}, "roots": {}}),
    ],
)
def test_a_client_is_asked_only_what_it_can_answer_and_told_what_it_lacks(asking, tool, can, missing):
    assert posed(asking.call(tool, meta=ABLE)), "what an earlier request declared counts no more"
    answer = asking.call(tool, meta=able(**can))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["data"]) == (400, -32021, {"requiredCapabilities": missing})


def test_what_earlier_rounds_brought_is_known_by_the_state_and_by_nothing_else(asking, ran):
    first, state = posed(asking.call("steps", meta=ABLE))
    second, later = posed(retry(asking, "steps", dict.fromkeys(first, accepted("a")), state))
    answers = dict.fromkeys(second, accepted("b"))
    again, _ = posed(retry(asking, "steps", answers))
    assert again == first, "without the state the first question is open"
    ran.clear()
    done = retry(asking, "steps", answers, later).json()["result"]
    assert (done["resultType"], done["structuredContent"]) == ("complete", {"result": "a b"})
    assert ran == [0]


def test_clients_that_never_come_back_or_answer_in_part_keep_nobody_waiting(asking):
    states = [posed(asking.call("everything", meta=ABLE))[1] for _ in range(200)]
    assert asking.call("who").json()["result"]["resultType"] == "complete"
    left, _ = posed(retry(asking, "everything", {"name": accepted("a"), "noise": 1}, states[0]))
    assert set(left) == {"page", "said", "places"}


def test_a_state_that_was_changed_or_belongs_to_another_request_is_refused(asking, ran):
    first, state = posed(asking.call("steps", {"order": 1}, meta=ABLE))
    answers = dict.fromkeys(first, accepted("a"))
    _, later = posed(retry(asking, "steps", answers, state, {"order": 1}))
    ran.clear()
    at = len(later) // 2
    forged = later[:at] + ("A" if later[at] != "A" else "B") + later[at + 1 :]
    second = {"q2": accepted("b")}
    for name, arguments, shown in (
        ("steps", {"order": 1}, forged),
        ("steps", {"order": 1}, later[:-8]),
        ("steps", {"order": 1}, "made up"),
        ("steps", {"order": 2}, later),
        ("together", {}, later),
    ):
        assert retry(asking, name, second, shown, arguments).json()["error"]["code"] == -32602
    assert ran == []


def test_who_calls_is_never_taken_from_what_a_client_says_of_itself(asking):
    def caller(meta, **extra):
        return asking.call("who", meta=meta, **extra).json()["result"]["structuredContent"]["result"]

    plain = caller(META)
    assert plain[-1] == "True"
    boasting = {**META, PREFIX + "clientInfo": {"name": "root", "version": "1"}, "user": "root", "sub": "root"}
    headers = {"x-user": "root", "x-forwarded-user": "root", "remote-user": "root", "authorization": "Bearer root"}
    for name, value in headers.items():
        assert caller(boasting, **{name: value}) == plain


def test_a_state_is_taken_once_where_the_settings_say_so(ran):
    app = Server("once")

    @app.tool
    async def redeem(ctx: Context) -> str:
        answer = await ctx.elicit("Code?", str)
        ran.append(answer.content)
        return answer.content

    ran.clear()
    with serving(app, single_use_state=True) as running, httpx2.Client(timeout=10) as http:
        door = Door(running.url, http)
        questions, state = posed(door.call("redeem", meta=ABLE))
        answers = dict.fromkeys(questions, accepted("a"))
        assert retry(door, "redeem", answers, state).json()["result"]["structuredContent"] == {"result": "a"}
        assert retry(door, "redeem", answers, state).json()["error"]["code"] == -32602
    assert ran == ["a"]
