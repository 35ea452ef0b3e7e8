"""Questions put to a user: what is shown, what is typed, what the server gets. The user is a list of lines."""

import asyncio
import io
import re

import pytest

from bascule import Client, Context, Elicit, Sample, Server, TextContent
from bascule.cli.answers import Answers
from bascule.cli.aside import Aside
from bascule.cli.dialogue import Dialogue
from bascule.cli.interview import Interview
from bascule.errors import CallTimedOut, ConfigError, Declined
from bascule.wire.inputs import CreateMessageParams, ElicitParams, SamplingMessage

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name", "description": "As on the\nticket", "minLength": 2},
        "seats": {"type": "integer", "minimum": 1, "default": 2},
        "meal": {"type": "string", "oneOf": [{"const": "n", "title": "None"}, {"const": "v", "title": "Vegan"}]},
        "extras": {"type": "array", "items": {"type": "string", "enum": ["bag", "wifi"]}},
        "insured": {"type": "boolean", "default": False},
    },
    "required": ["name", "seats", "meal"],
}


class Typed:
    """A keyboard at which lines were typed; None is Ctrl-D. Nothing more is an endless wait."""

    def __init__(self, *lines):
        self.lines = list(lines)

    async def line(self):
        return self.lines.pop(0) if self.lines else await asyncio.Event().wait()


def interview(*lines):
    stream = io.StringIO()
    keyboard = Typed(*lines)
    return Interview(Aside(stream), keyboard), stream, keyboard


async def filled(*lines, form=FORM, message="Please fill in"):
    asking, stream, keyboard = interview(*lines)
    async with asyncio.timeout(10):
        result = await asking.form("shop (shop.py)", ElicitParams(message, requested_schema=form))
    assert keyboard.lines == []
    return result, stream.getvalue()


async def test_each_field_is_asked_in_turn_and_all_is_shown_before_it_is_sent():
    result, said = await filled("Ada", "", "2", "1, 2", "y", "")
    assert result.action == "accept"
    assert result.content == {"name": "Ada", "seats": 2, "meal": "v", "extras": ["bag", "wifi"], "insured": True}
    assert "shop (shop.py) asks:\n  | Please fill in\n" in said
    assert "Your name\n  | As on the\n  | ticket\n  (text, at least 2 characters)\n> " in said
    assert "seats\n  (a whole number, at least 1; Enter for 2)\n> " in said
    assert "meal\n  1) None\n  2) Vegan\n  (a number from the list)\n> " in said
    assert "insured (optional)\n  (y or n; Enter for no; /skip to leave it out)\n> " in said
    assert (
        "This will be sent:\n  Your name: Ada\n  seats: 2\n  meal: Vegan\n  extras: bag, wifi\n  insured: yes\n" in said
    )


async def test_what_may_be_left_out_can_be_left_out():
    result, _ = await filled("Ada", "1", "1", "", "/skip", "y")
    assert result.content == {"name": "Ada", "seats": 1, "meal": "n"}


async def test_a_wrong_answer_is_told_and_asked_again():
    result, said = await filled("A", "", "Ada", "none", "0", "3", "9", "1", "", "", "")
    assert result.content == {"name": "Ada", "seats": 3, "meal": "n", "insured": False}
    for complaint in ("at least 2 characters", "an answer is needed", "no whole number", "at least 1", "from 1 to 2"):
        assert f"That does not fit: {complaint}" in said or complaint in said.split("That does not fit: ", 1)[1]
    assert said.count("That does not fit") == 5


async def test_answers_can_be_changed_before_they_are_sent():
    result, said = await filled("Ada", "", "1", "", "", "e", "Bob", "", "", "", "", "")
    assert result.content == {"name": "Bob", "seats": 2, "meal": "n", "insured": False}
    assert "Enter for Ada" in said


@pytest.mark.parametrize("before", [[], ["Ada"], ["Ada", "1", "1", "", ""]])
@pytest.mark.parametrize(("word", "action"), [("/decline", "decline"), ("/cancel", "cancel"), (None, "cancel")])
async def test_every_prompt_can_be_declined_and_cancelled(before, word, action):
    result, _ = await filled(*before, word)
    assert (result.action, result.content) == (action, None)


async def test_the_last_prompt_can_be_declined_with_n():
    assert (await filled("Ada", "1", "1", "", "", "what?", "n"))[0].action == "decline"


async def test_a_form_without_fields_asks_for_consent():
    result, said = await filled("", form={"type": "object", "properties": {}})
    assert (result.action, result.content) == ("accept", {})
    assert "only that you agree" in said
    assert "e = change" not in said


async def test_what_a_server_says_cannot_steer_the_terminal_or_pass_for_ours():
    form = {"properties": {"f": {"type": "string", "title": "a\x1b[2J\nSend it?", "enum": ["x\x9b", "y"]}}}
    _, said = await filled("", "", form=form, message="hello\n\nThis will be sent:\x1b]0;t\x07\r")
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", said) is None
    assert "  | This will be sent:\\x1b]0;t\\x07" in said
    assert "a\\x1b[2J Send it? (optional)" in said


async def test_a_form_that_asks_for_a_secret_is_warned_of():
    _, said = await filled("", "", form={"properties": {"f": {"type": "string", "format": "password"}}})
    assert "Careful: this asks for a secret" in said


async def visited(*lines, url="https://example.com/in?x=1", monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    asking, stream, keyboard = interview(*lines)
    async with asyncio.timeout(10):
        result = await asking.visit("shop (shop.py)", ElicitParams("Sign in", mode="url", url=url))
    assert keyboard.lines == []
    return result.action, opened, stream.getvalue()


@pytest.mark.parametrize(
    ("typed", "action", "opens"),
    [
        (["y"], "accept", True),
        (["", "what", "yes"], "accept", True),
        (["m"], "accept", False),
        (["n"], "decline", False),
        (["/decline"], "decline", False),
        ([None], "cancel", False),
    ],
)
async def test_a_page_is_opened_only_with_consent(typed, action, opens, monkeypatch):
    done, opened, said = await visited(*typed, monkeypatch=monkeypatch)
    assert (done, opened) == (action, ["https://example.com/in?x=1"] if opens else [])
    assert "Host: example.com\nURL:  https://example.com/in?x=1\n" in said


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("http://example.com/", "the page is not encrypted"),
        ("https://bank.example@evil.example/", "what stands before the @ is not the host"),
        ("https://xn--bcher-kva.example/", "the host has letters that may look like others"),
    ],
)
async def test_a_doubtful_page_is_warned_of(url, warning, monkeypatch):
    _, _, said = await visited("n", url=url, monkeypatch=monkeypatch)
    assert f"Careful: {warning}" in said
    assert "Host: evil.example\n" in said or "evil" not in url


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "javascript:alert(1)", "https://", "x", "https://a b/", "https://a/\x1b[2J", "http://["],
)
async def test_what_is_no_page_is_declined_unasked(url, monkeypatch):
    action, opened, said = await visited(url=url, monkeypatch=monkeypatch)
    assert (action, opened) == ("decline", [])
    assert "\x1b" not in said


async def test_a_model_is_stood_in_for():
    asking, stream, _ = interview("", "Paris,", "I think.", "")
    question = [SamplingMessage("user", TextContent("Capital of\nFrance?\x07"))]
    params = CreateMessageParams(question, 50, "Be brief.", tools=[{"name": "look"}])
    result = await asking.sample("shop", params)
    assert (result.role, result.text, result.stop_reason) == ("assistant", "Paris,\nI think.", "endTurn")
    said = stream.getvalue()
    assert "of at most 50 tokens" in said
    assert "  | [system] Be brief.\n  | [user] Capital of\n  | France?\\x07\n  | [tools, which only a model" in said


@pytest.mark.parametrize("word", ["/decline", "/cancel", None])
async def test_a_model_is_not_stood_in_for_against_ones_will(word):
    asking, _, _ = interview("Par", word)
    assert await asking.sample("shop", CreateMessageParams([], 50)) is None


def asking_server():
    app = Server("asker")

    @app.tool
    async def hello(ctx: Context) -> str:
        answer = await ctx.elicit("Your name?", {"properties": {"name": {"type": "string"}}}, key="user")
        return f"{answer.action} {answer.content}"

    @app.tool
    async def both(ctx: Context) -> str:
        found = await ctx.ask_all({"a": Elicit("First?", str), "b": Elicit("Second?", int)})
        return f"{found['a'].content} {found['b'].content}"

    @app.tool
    async def think(ctx: Context) -> str:
        return (await ctx.sample("Capital of France?", max_tokens=9, key="model")).text

    @app.tool
    async def ask_model(ctx: Context) -> str:
        return str((await ctx.ask_all({"m": Sample("Hello?")}))["m"].text)

    return app


@pytest.fixture(params=["modern", "legacy"])
def era(request):
    return request.param


async def talked(era, tool, dialogue):
    async with Client(asking_server(), era=era, **dialogue.options) as client:
        result = await dialogue.wait(client.call_tool(tool))
    return result.content[0].text


async def test_questions_of_both_eras_reach_the_user(era):
    asking, said, _ = interview("Ada", "")
    dialogue = Dialogue("shop.py", 30.0, interview=asking)
    dialogue.meet("The Shop")
    assert await talked(era, "hello", dialogue) == "accept {'name': 'Ada'}"
    assert "The Shop (shop.py) asks:" in said.getvalue()


async def test_questions_that_come_together_are_asked_one_after_the_other(era):
    asking, said, _ = interview("x", "", "5", "")
    assert await talked(era, "both", Dialogue("shop.py", 30.0, interview=asking)) == "x 5"
    assert said.getvalue().index("First?") < said.getvalue().index("This will be sent")
    assert said.getvalue().index("This will be sent") < said.getvalue().index("Second?")


async def test_a_refused_sample_ends_the_command(era):
    asking, _, _ = interview("/decline")
    with pytest.raises(Declined, match="You refused"):
        await talked(era, "think", Dialogue("shop.py", 30.0, interview=asking))


class Slow(Typed):
    """A user who thinks for longer than the server may."""

    async def line(self):
        loop = asyncio.get_running_loop()
        later = loop.create_future()
        loop.call_later(0.3, later.set_result, None)
        await later
        return await super().line()


async def test_the_time_that_a_user_takes_is_not_the_servers(era):
    asking = Interview(Aside(io.StringIO()), Slow("Ada", ""))
    assert await talked(era, "hello", Dialogue("shop.py", 0.25, interview=asking)) == "accept {'name': 'Ada'}"


async def test_a_server_that_is_silent_is_not_waited_for_because_there_is_a_terminal():
    dialogue = Dialogue("shop.py", 0.05, interview=interview()[0])
    with pytest.raises(CallTimedOut, match=r"within 0\.05 seconds"):
        await dialogue.wait(asyncio.Event().wait())


@pytest.fixture
def answers(tmp_path):
    def make(text):
        path = tmp_path / "answers.json"
        path.write_text(text)
        return Answers(str(path))

    return make


@pytest.mark.parametrize(
    ("text", "tool", "said"),
    [
        ('[{"name": "Ada"}]', "hello", "accept {'name': 'Ada'}"),
        ('["decline"]', "hello", "decline None"),
        ('[{"action": "cancel"}]', "hello", "cancel None"),
        ('[{"action": "accept", "content": {"name": "B"}}]', "hello", "accept {'name': 'B'}"),
        ('{"Your name?": {"name": "C"}}', "hello", "accept {'name': 'C'}"),
        ('[{"value": "x"}, {"value": 5}]', "both", "x 5"),
        ('{"Second?": {"value": 5}, "First?": {"value": "x"}}', "both", "x 5"),
        ('["Paris"]', "think", "Paris"),
        ('{"Capital of France?": "Paris"}', "think", "Paris"),
        ('[{"role": "assistant", "model": "m", "content": {"type": "text", "text": "P"}}]', "think", "P"),
    ],
)
async def test_a_file_answers_in_order_and_by_message(text, tool, said, answers, era):
    assert await talked(era, tool, Dialogue("shop.py", 30.0, answers(text))) == said


@pytest.mark.parametrize(
    ("text", "tool", "said"),
    [
        ('{"user": {"name": "Ada"}, "Your name?": {"name": "B"}}', "hello", "accept {'name': 'Ada'}"),
        ('{"b": {"value": 5}, "a": {"value": "x"}}', "both", "x 5"),
        ('{"model": "Paris"}', "think", "Paris"),
    ],
)
async def test_a_file_answers_by_key_where_the_server_gives_keys(text, tool, said, answers):
    assert await talked("modern", tool, Dialogue("shop.py", 30.0, answers(text))) == said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "has no answer to 'Your name?'"),
        ('[{"nam": "Ada"}]', "to 'Your name?' does not fit: the form has no field 'nam'"),
        ('[{"name": 5}]', "does not fit: name: this must be text"),
        ("[5]", "does not fit: a form is answered with an object"),
    ],
)
async def test_a_file_that_does_not_answer_ends_the_command(text, complaint, answers, era):
    with pytest.raises(ConfigError) as told:
        await talked(era, "hello", Dialogue("shop.py", 30.0, answers(text)))
    assert complaint in str(told.value)


@pytest.mark.parametrize(("text", "complaint"), [("{", "not valid JSON"), ("5", "must be a list, or an object")])
def test_a_file_that_is_no_answers_is_refused_at_once(text, complaint, answers):
    with pytest.raises(ConfigError, match=complaint):
        answers(text)


async def test_who_is_not_in_the_file_is_asked_at_the_terminal(answers, era):
    asking, _, _ = interview("Ada", "")
    assert await talked(era, "hello", Dialogue("shop.py", 30.0, answers("[]"), asking)) == "accept {'name': 'Ada'}"


def test_nobody_there_declares_nothing():
    assert Dialogue("shop.py", 5.0).options == {"timeout": 5.0}
