"""Asking: one spelling for both eras; answers fit their questions, and nobody can turn state to another use."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal

import httpx2
import msgspec
import pytest

from bascule import (
    Ask,
    Client,
    Context,
    CreateMessageResult,
    Elicit,
    ElicitResult,
    MCPError,
    Resource,
    Root,
    Roots,
    Sample,
    SamplingMessage,
    Server,
    TextContent,
    ToolError,
    ToolResultContent,
    ToolUseContent,
)
from tests.messages import META, PREFIX, headers, request
from tests.serving import serving

ERAS = ("modern", "legacy")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Booking(msgspec.Struct):
    """A struct as a form."""

    name: str
    seats: Annotated[int, msgspec.Meta(ge=1, le=9, description="How many?")] = 2
    colour: Colour = Colour.RED
    extras: list[Literal["window", "meal"]] = []
    note: str | None = None


def accept(**content):
    return lambda params: ElicitResult("accept", content)


@pytest.fixture
def app():
    app = Server("t")

    @app.tool
    async def book(ctx: Context) -> str:
        answer = await ctx.elicit("Whose seat?", Booking)
        if not answer.accepted:
            return answer.action
        return f"{answer.content.name} {answer.content.seats} {answer.content.colour.value} {answer.content.extras}"

    @app.tool
    async def everything(ctx: Context) -> str:
        found = await ctx.ask_all(
            {"name": Elicit("Name?", str), "greeting": Sample("Greet!", max_tokens=50), "places": Roots()}
        )
        return f"{found['name'].content} {found['greeting'].text} {[root.uri for root in found['places']]}"

    return app


def sampled(params):
    return CreateMessageResult("assistant", TextContent("Good day"), "model")


@pytest.mark.parametrize("era", ERAS)
async def test_a_form_comes_back_as_the_type_that_was_asked_for(app, era):
    seen = []

    async def on_elicit(params):
        seen.append(params)
        return ElicitResult("accept", {"name": "Ada", "seats": 3, "colour": "blue", "extras": ["meal"]})

    async with Client(app, era=era, on_elicit=on_elicit) as client:
        result = await client.call_tool("book")
    assert result.structured_content == {"result": "Ada 3 blue ['meal']"}
    assert seen[0].message == "Whose seat?"
    assert seen[0].requested_schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "seats": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many?", "default": 2},
            "colour": {"enum": ["blue", "red"], "default": "red", "type": "string", "title": "Colour"}
            if "title" in seen[0].requested_schema["properties"]["colour"]
            else {"enum": ["blue", "red"], "default": "red", "type": "string"},
            "extras": {"type": "array", "items": {"type": "string", "enum": ["meal", "window"]}, "default": []},
            "note": {"type": "string"},
        },
        "required": ["name"],
    }


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_declining_and_cancelling_can_be_told_apart(app, era, action):
    async with Client(app, era=era, on_elicit=lambda params: ElicitResult(action)) as client:
        assert (await client.call_tool("book")).structured_content == {"result": action}


@pytest.mark.parametrize("era", ERAS)
async def test_several_questions_take_one_round(app, era):
    async with Client(
        app, era=era, on_elicit=accept(value="Ada"), on_sample=sampled, on_roots=[Root("file:///a")]
    ) as client:
        result = await client.call_tool("everything")
    assert result.structured_content == {"result": "Ada Good day ['file:///a']"}


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_that_does_not_fit_is_asked_for_again(app, era):
    answers = [{"name": 5}, {}, {"name": "Ada"}]
    async with Client(app, era=era, on_elicit=lambda params: ElicitResult("accept", answers.pop(0))) as client:
        assert (await client.call_tool("book")).structured_content == {"result": "Ada 2 red []"}
    assert answers == []


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_that_never_fits_ends_the_call(app, era):
    asked = []

    def on_elicit(params):
        asked.append(params)
        return ElicitResult("accept", {"name": 5})

    async with Client(app, era=era, on_elicit=on_elicit) as client:
        if era == "legacy":
            assert (await client.call_tool("book")).is_error
        else:
            with pytest.raises(MCPError, match="asked back"):
                await client.call_tool("book")
    assert 1 < len(asked) <= 20


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_cannot_answer_is_not_asked(app, era):
    async with Client(app, era=era, on_sample=sampled) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("book")
    assert refused.value.code == -32021
    assert refused.value.data == {"requiredCapabilities": {"elicitation": {}}}


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_can_look_before_it_asks(era):
    app = Server("t")

    @app.tool
    async def look(ctx: Context) -> list[bool]:
        return [ctx.client.can(what) for what in ("elicitation", "elicitation.url", "sampling", "roots", "x/y")]

    async with Client(app, era=era, on_elicit=accept()) as client:
        assert (await client.call_tool("look")).structured_content == {"result": [True, True, False, False, False]}


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_and_resources_may_ask_too(era):
    app = Server("t")

    @app.prompt
    async def brief(ctx: Context) -> str:
        return f"about {(await ctx.elicit('What?', str)).content}"

    @app.resource("note://mine", mime_type="text/plain")
    async def note(ctx: Context) -> str:
        return f"note of {(await ctx.elicit('Whose?', str)).content}"

    async with Client(app, era=era, on_elicit=accept(value="Ada")) as client:
        assert (await client.get_prompt("brief")).messages[0].content.text == "about Ada"
        assert (await client.read_resource("note://mine")).contents[0].text == "note of Ada"


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_made_once_is_made_once(era):
    app = Server("t")
    made = []

    @app.tool
    async def order(ctx: Context) -> str:
        def make():
            made.append(1)
            return {"number": len(made)}

        first = await ctx.once("order", make, type=dict[str, int])
        await ctx.elicit("Sure?", bool)
        await ctx.elicit("Really?", bool)
        return str(first["number"])

    async with Client(app, era=era, on_elicit=accept(value=True)) as client:
        assert (await client.call_tool("order")).structured_content == {"result": "1"}
    assert len(made) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_questions_asked_side_by_side_are_all_answered(era):
    app = Server("t")

    @app.tool
    async def both(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(ctx.elicit("One?", str, key="one"))
            two = group.create_task(ctx.elicit("Two?", str, key="two"))
        return one.result().content + two.result().content

    async with Client(
        app, era=era, on_elicit=lambda params: ElicitResult("accept", {"value": params.message})
    ) as client:
        assert (await client.call_tool("both")).structured_content == {"result": "One?Two?"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_url_is_visited_and_nothing_comes_back(era):
    app = Server("t")
    seen = []

    @app.tool
    async def visit(ctx: Context) -> str:
        return (await ctx.elicit("Sign in", url="https://example.com/in")).action

    def on_elicit(params):
        seen.append(params)
        return ElicitResult("accept")

    async with Client(app, era=era, on_elicit=on_elicit) as client:
        assert (await client.call_tool("visit")).structured_content == {"result": "accept"}
    assert (seen[0].mode, seen[0].url) == ("url", "https://example.com/in")
    assert (seen[0].elicitation_id is not msgspec.UNSET) == (era == "legacy")


@pytest.mark.parametrize("era", ERAS)
async def test_a_handler_of_the_client_that_fails_fails_the_question(app, era):
    def on_elicit(params):
        raise RuntimeError("secret path")

    async with Client(app, era=era, on_elicit=on_elicit) as client:
        if era == "legacy":
            result = await client.call_tool("book")
            assert result.is_error
            assert "secret" not in result.content[0].text
        else:
            with pytest.raises(RuntimeError, match="secret path"):
                await client.call_tool("book")


@pytest.mark.parametrize(
    "wanted",
    [
        dict[str, int],
        list[int],
        list[Booking],
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object"},
    ],
)
async def test_a_form_that_no_client_can_show_is_refused_in_a_sentence(wanted):
    app = Server("t")
    said = []

    @app.tool
    async def ask(ctx: Context) -> str:
        try:
            await ctx.elicit("?", wanted)
        except TypeError as error:
            said.append(str(error))
            raise ToolError("no") from None
        return ""

    async with Client(app, on_elicit=accept()) as client:
        assert (await client.call_tool("ask")).is_error
    assert "form" in said[0]


@dataclass
class Pair:
    left: str
    right: float


@pytest.mark.parametrize(
    ("wanted", "content", "expected"),
    [
        (Pair, {"left": "a", "right": 2}, "Pair(left='a', right=2.0)"),
        (bool, {"value": False}, "False"),
        (Literal["a", "b"], {"value": "b"}, "'b'"),
        (
            {"type": "object", "properties": {"mail": {"type": "string", "format": "email"}}},
            {"mail": "a@b", "x": 1},
            "{'mail': 'a@b'}",
        ),
    ],
)
async def test_what_can_be_asked_for(wanted, content, expected):
    app = Server("t")

    @app.tool
    async def ask(ctx: Context) -> str:
        return repr((await ctx.elicit("?", wanted)).content)

    async with Client(app, on_elicit=lambda params: ElicitResult("accept", content)) as client:
        assert (await client.call_tool("ask")).structured_content == {"result": expected}


def roots() -> Sequence[Root]:
    return [Root("file:///work", "Work")]


@pytest.mark.parametrize("era", ERAS)
async def test_roots_may_be_given_or_made(era):
    app = Server("t")

    @app.tool
    async def where(ctx: Context) -> list[str]:
        return [root.uri for root in await ctx.roots()]

    for given in (roots, roots()):
        async with Client(app, era=era, on_roots=given) as client:
            assert (await client.call_tool("where")).structured_content == {"result": ["file:///work"]}


@pytest.mark.parametrize("era", ERAS)
async def test_declared_questions_are_answered_before_the_body_runs(era):
    app = Server("t")
    ran = []

    @app.tool
    async def book(city: str, seats: Annotated[int, Ask("How many?")], meal: Annotated[bool, Ask("A meal?")]) -> str:
        ran.append(city)
        return f"{city} {seats} {meal}"

    def on_elicit(params):
        return ElicitResult("accept", {"value": 2 if params.message == "How many?" else False})

    async with Client(app, era=era, on_elicit=on_elicit) as client:
        (tool,) = await client.list_tools()
        assert list(tool.input_schema["properties"]) == ["city"], "the caller does not see the questions"
        assert (await client.call_tool("book", {"city": "Oslo"})).structured_content == {"result": "Oslo 2 False"}
        wrong = await client.call_tool("book", {"city": "Oslo", "seats": 5})
        assert wrong.is_error, "and cannot answer them itself"
    assert ran == ["Oslo"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_declared_question_fails_the_call_or_falls_back_to_its_default(era):
    app = Server("t")

    @app.tool
    def must(ctx: Context, seats: Annotated[int, Ask("How many?")]) -> int:
        return seats

    @app.tool
    def may(seats: Annotated[int, Ask("How many?")] = 7) -> int:
        return seats

    @app.prompt
    def plan(city: str, days: Annotated[int, Ask("How long?")] = 3) -> str:
        return f"{city} {days}"

    async with Client(app, era=era, on_elicit=lambda params: ElicitResult("decline")) as client:
        refused = await client.call_tool("must")
        assert refused.is_error
        assert refused.meta["dev.bascule/error"] == {"code": "declined", "action": "decline"}
        assert (await client.call_tool("may")).structured_content == {"result": 7}
        assert (await client.get_prompt("plan", {"city": "Oslo"})).messages[0].content.text == "Oslo 3"
    async with Client(app, era=era) as client:
        assert (await client.call_tool("may")).structured_content == {"result": 7}, "nobody can be asked"
        with pytest.raises(MCPError):
            await client.call_tool("must")


def test_a_declared_question_that_nobody_can_answer_is_refused_at_once():
    app = Server("t")
    with pytest.raises(TypeError, match="form"):

        @app.tool
        def ask(what: Annotated[dict[str, int], Ask("What?")]) -> int:
            return 1

    with pytest.raises(TypeError, match="positional"):

        @app.tool
        def order(a: int, /, what: Annotated[int, Ask("What?")]) -> int:
            return a


def uses(*ids):
    return SamplingMessage("assistant", [ToolUseContent(id, "weather", {}) for id in ids])


def results(*ids):
    return [ToolResultContent(id, [TextContent("fine")]) for id in ids]


SAID = SamplingMessage("user", TextContent("Weather?"))


async def asked_to_sample(talk):
    """What a client's model is asked when a tool wants to hear it on such a conversation."""
    app = Server("t")
    asked = []

    @app.tool
    async def chat(ctx: Context) -> str:
        return (await ctx.sample(talk)).text

    def on_sample(params):
        asked.append(params)
        return sampled(params)

    async with Client(app, on_sample=on_sample) as client:
        await client.call_tool("chat")
    return asked


async def test_a_conversation_in_which_each_use_of_a_tool_has_its_result_is_sampled():
    answered = SamplingMessage("user", results("a", "b"))
    talk = [SAID, uses("b", "a"), answered, uses("c"), SamplingMessage("user", results("c"))]
    assert len(await asked_to_sample(talk)) == 1


@pytest.mark.parametrize(
    "talk",
    [
        [SAID, uses("a"), SamplingMessage("user", [TextContent("So:"), *results("a")])],
        [SAID, uses("a", "b"), SamplingMessage("user", results("a"))],
        [SAID, uses("a"), SamplingMessage("user", results("x"))],
        [SAID, uses("a")],
        [SAID, uses("a"), SAID, SamplingMessage("user", results("a"))],
        [SAID, SamplingMessage("user", results("a"))],
    ],
    ids=["mixed", "one missing", "another", "none", "too late", "unasked"],
)
async def test_a_conversation_with_unbalanced_tool_results_is_not_sampled(talk):
    assert await asked_to_sample(talk) == []


@pytest.mark.parametrize("url", ["", "in", "/in", "example.com", "https://", "https://a b/", "https://example.com/\n"])
async def test_a_url_that_is_none_is_not_sent(url):
    app = Server("t")
    asked = []

    @app.tool
    async def visit(ctx: Context) -> str:
        return (await ctx.elicit("Sign in", url=url)).action

    def on_elicit(params):
        asked.append(params)
        return ElicitResult("accept")

    async with Client(app, on_elicit=on_elicit) as client:
        assert (await client.call_tool("visit")).is_error
    assert asked == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/list", {}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
    ],
)
def test_only_calls_reads_and_prompts_end_with_questions(method, params):
    app = Server("t")

    async def members(ctx: Context) -> list[Resource]:
        await ctx.elicit("Which?", str)
        return []

    app.resource("note://{name}", name="note", list=members)(lambda name: name)
    app.prompt(name="p")(lambda a: a)

    @app.completion(prompt="p", argument="a")
    async def values(ctx: Context, value: str) -> list[str]:
        return [(await ctx.elicit("Which?", str)).content]

    meta = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}}
    message = request(method, params, meta=meta)
    with serving(app) as running:
        answer = httpx2.post(running.url, json=message, headers=headers(message)).json()
    assert "error" in answer


async def test_a_key_of_questions_without_one_is_refused():
    app = Server("t")

    @app.tool
    async def one(ctx: Context) -> str:
        return (await ctx.elicit("?", str, key="q1")).action

    @app.tool
    async def several(ctx: Context) -> str:
        return str(await ctx.ask_all({"q12": Elicit("?", str)}))

    async with Client(app, on_elicit=lambda params: ElicitResult("decline")) as client:
        for name in ("one", "several"):
            assert (await client.call_tool(name)).is_error


def test_a_client_that_can_neither_be_asked_nor_sent_somewhere_is_told_of_both():
    app = Server("t")

    @app.tool
    async def both(ctx: Context) -> str:
        return str(await ctx.ask_all({"form": Elicit("?", str), "page": Elicit("?", url="https://example.com/")}))

    message = request("tools/call", {"name": "both", "arguments": {}})
    with serving(app) as running:
        answer = httpx2.post(running.url, json=message, headers=headers(message)).json()
    assert answer["error"]["data"]["requiredCapabilities"] == {"elicitation": {"form": {}, "url": {}}}
