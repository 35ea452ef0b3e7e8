"""What handlers of questions are told of where a question comes from, and who is told."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest

from bascule import Asked, Client, Clients, Context, ElicitResult, Root, Server
from bascule.client.inputs import told


def asking_server(name: str = "shop") -> Server:
    app = Server(name)

    @app.tool
    async def book(ctx: Context) -> str:
        seat = await ctx.elicit("Which seat?", str, key="seat")
        roots = await ctx.roots(key="folders")
        return f"{seat.content} {[root.uri for root in roots]}"

    @app.prompt
    async def greet(ctx: Context) -> str:
        return str((await ctx.elicit("Whom?", str, key="who")).content)

    @app.resource("note://a", name="a")
    async def note(ctx: Context) -> str:
        return str((await ctx.elicit("Which page?", str, key="page")).content)

    return app


class Listening:
    """Handlers that keep what they were told."""

    def __init__(self) -> None:
        self.heard: list[Asked] = []

    def elicit(self, params: Any, asked: Asked) -> ElicitResult:
        self.heard.append(asked)
        return ElicitResult("accept", {"value": params.message})

    async def roots(self, asked: Asked) -> list[Root]:
        self.heard.append(asked)
        return [Root("file:///a")]


async def test_a_handler_that_wants_to_know_is_told_the_key_and_who_asks() -> None:
    listening = Listening()
    async with Client(asking_server(), era="modern", on_elicit=listening.elicit, on_roots=listening.roots) as client:
        result = await client.call_tool("book")
        await client.get_prompt("greet")
        await client.read_resource("note://a")
    assert result.content[0].text == "Which seat? ['file:///a']"  # type: ignore[union-attr]
    assert listening.heard == [
        Asked("shop", "seat", "tools/call", "book"),
        Asked("shop", "folders", "tools/call", "book"),
        Asked("shop", "who", "prompts/get", "greet"),
        Asked("shop", "page", "resources/read", "note://a"),
    ]


async def test_in_the_handshake_era_it_is_told_the_server_alone() -> None:
    listening = Listening()
    async with Client(asking_server(), era="legacy", on_elicit=listening.elicit, on_roots=listening.roots) as client:
        await client.call_tool("book")
    assert listening.heard == [Asked("shop"), Asked("shop")]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_one_handler_for_many_servers_is_told_which_by_its_name_in_the_list(era: Any) -> None:
    listening = Listening()
    servers = {"mine": asking_server("same"), "yours": asking_server("same")}
    async with Clients(servers, era=era, on_elicit=listening.elicit, on_roots=listening.roots) as clients:
        await clients.call_tool("yours", "book")
        await clients.call_tool("mine", "book")
    assert [asked.server for asked in listening.heard] == ["yours", "yours", "mine", "mine"]


async def test_many_servers_take_handlers_of_the_question_alone_and_plain_roots() -> None:
    def on_elicit(params: Any) -> ElicitResult:
        return ElicitResult("accept", {"value": "7a"})

    async with Clients({"a": asking_server()}, on_elicit=on_elicit, on_roots=[Root("file:///b")]) as clients:
        result = await clients.call_tool("a", "book")
    assert result.content[0].text == "7a ['file:///b']"


def two(question: str, asked: str) -> str:
    return question + asked


def one(question: str) -> str:
    return question


def one_and_a_default(question: str, times: int = 1) -> str:
    return question * times


def any_number(*questions: str) -> str:
    return "".join(questions)


def by_name(question: str, *, asked: str = "?") -> str:
    return question


class Callback:
    def __call__(self, question: str, asked: str) -> str:
        return question + asked


@pytest.mark.parametrize(
    ("handler", "given"),
    [
        (two, "qa"),
        (Callback(), "qa"),
        (partial(two), "qa"),
        (partial(two, asked="x"), "qx"),
        (one, "q"),
        (one_and_a_default, "q"),
        (any_number, "q"),
        (by_name, "q"),
        (str, "q"),
    ],
)
def test_only_a_further_argument_without_a_default_is_filled(handler: Callable[..., Any], given: str) -> None:
    assert told(handler, 1)("q", "a") == given


async def test_a_mock_is_called_with_the_question_alone() -> None:
    mock = AsyncMock(return_value=ElicitResult("accept", {"value": "x"}))
    async with Client(asking_server(), on_elicit=mock) as client:
        await client.get_prompt("greet")
    assert len(mock.await_args.args) == 1  # type: ignore[union-attr]
