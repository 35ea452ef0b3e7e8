"""A secret leaves a server in no way that a call has: not in progress, in log messages, or in what it asks."""

from types import SimpleNamespace

import pytest

from bascule import Client, Context, ElicitResult, Redactor, Server
from bascule.engine.asking import Question
from bascule.guards.outgoing import Outgoing, change_outgoing
from bascule.wire.jsonrpc import Request
from bascule.wire.notices import MESSAGE, LogMessageParams

ERAS = ["modern", "legacy"]
SECRET = "correct horse battery"
HIDDEN = "[redacted:secret]"


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.redact(Redactor([SECRET]))

    @app.tool
    async def work(ctx: Context) -> str:
        await ctx.report_progress(1, message=f"using {SECRET}", meta={"example.com/key": SECRET})
        await ctx.warning({"dsn": [SECRET, 12345678901234567890]}, logger=SECRET, meta={"example.com/key": SECRET})
        first = await ctx.elicit(f"Is {SECRET} right?", str)
        second = await ctx.elicit(f"Is {first.content}, {SECRET} right?", str)
        await ctx.elicit(f"Sign in for {SECRET}", url="https://example.com/?password=hunter2hunter2")
        return f"{first.content} {second.content}"

    @app.tool(confirm=True)
    async def send(text: str) -> str:
        return "sent"

    return app


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_that_leaves_while_a_call_runs_holds_a_secret(app, era):
    wire, asked, urls = [], [], []

    async def answer(question):
        asked.append(question.message)
        urls.append(getattr(question, "url", None))
        return ElicitResult(action="accept", content=None if urls[-1] else {"value": f"a{len(asked)}"})

    seen = []
    async with Client(
        app, era=era, on_elicit=answer, on_log=lambda *told: seen.append(told), on_wire=lambda *m: wire.append(repr(m))
    ) as client:
        await client.set_log_level("debug")
        progress = []
        result = await client.call_tool("work", on_progress=lambda *told: progress.append(told))
    assert result.content[0].text == "a1 a2"
    assert asked == [f"Is {HIDDEN} right?", f"Is a1, {HIDDEN} right?", f"Sign in for {HIDDEN}"]
    assert urls[2] == "https://example.com/?password=hunter2hunter2"
    assert HIDDEN in repr(progress)
    assert HIDDEN in repr(seen)
    assert "12345678901234567890" in repr(seen)
    assert len(wire) > 4
    assert not [message for message in wire if SECRET in message]


@pytest.mark.parametrize("era", ERAS)
async def test_who_confirms_a_call_sees_its_arguments_as_they_are(app, era):
    asked = []

    async def answer(question):
        asked.append(question.message)
        return ElicitResult(action="accept", content={"confirm": True})

    async with Client(app, era=era, on_elicit=answer) as client:
        result = await client.call_tool("send", {"text": SECRET})
    assert result.content[0].text == "sent"
    assert len(asked) == 1
    assert SECRET in asked[0]


async def test_two_redactors_both_have_their_say():
    told = []

    class Wire:
        async def notify(self, notice):
            told.append(notice)

    exchange = SimpleNamespace(channel=Wire(), inquire=None)
    change_outgoing(exchange, lambda text: text.replace("a", "-"))
    change_outgoing(exchange, lambda text: text.replace("b", "_"))
    assert isinstance(exchange.channel, Outgoing)
    await exchange.channel.notify(Request(MESSAGE, LogMessageParams("info", "abc")))
    assert bytes(told[0].params.data) == b'"-_c"'


async def test_a_question_is_the_same_in_every_round():
    asked = []

    async def inquire(exchange, questions):
        asked.append(questions)
        return {}

    exchange = SimpleNamespace(channel=None, inquire=inquire)
    change_outgoing(exchange, lambda text: text.replace(SECRET, HIDDEN))
    questions = {
        "plain": Question("elicitation/create", b'{"message":"correct horse battery"}', "elicitation"),
        "sealed": Question("elicitation/create", b'{"message":"correct horse battery"}', "elicitation", sealed=True),
        "none": Question("roots/list", None, "roots"),
    }
    await exchange.inquire(exchange, questions)
    await exchange.inquire(exchange, questions)
    assert asked[0] == asked[1]
    assert asked[0]["sealed"] is questions["sealed"]
    assert asked[0]["none"] is questions["none"]
    assert asked[0]["plain"].params == b'{"message":"[redacted:secret]"}'
