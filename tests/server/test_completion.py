"""Completion: choices by themselves, functions of the author, and what is not there."""

from enum import Enum
from typing import Literal

import pytest

from bascule import Client, Context, MCPError, Server, ToolError

ERAS = ("modern", "legacy")


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@pytest.fixture
def app():
    app = Server("t")

    @app.prompt
    def order(dish: str, size: Size, tone: Literal["Kind", "keen", "curt"] = "Kind") -> str:
        return dish

    @app.resource("menu://{place}/{dish}")
    def menu(place: str, dish: str) -> str:
        return dish

    @app.completion(prompt="order", argument="dish")
    async def dishes(value: str) -> list[str]:
        return [f"{value}{number}" for number in range(150)]

    @app.completion(resource="menu://{place}/{dish}", argument="dish")
    def dishes_of(ctx: Context, value: str, others: dict[str, str]) -> list[str]:
        return [f"{others.get('place', '?')}-{value}-{ctx.protocol_version[:2]}"]

    return app


@pytest.mark.parametrize("era", ERAS)
async def test_choices_complete_themselves_and_functions_what_they_like(app, era):
    async with Client(app, era=era) as client:
        assert client.capabilities.completions == {}
        assert (await client.complete("tone", "k", prompt="order")).values == ["Kind", "keen"]
        assert (await client.complete("size", "", prompt="order")).values == ["large", "small"]
        found = await client.complete("dish", "x", prompt="order")
        assert (len(found.values), found.total, found.has_more) == (100, 150, True)
        given = {"place": "Oslo"}
        found = await client.complete("dish", "f", resource="menu://{place}/{dish}", given=given)
        assert found.values == ["Oslo-f-20"]
        assert (await client.complete("place", "f", resource="menu://{place}/{dish}")).values == []


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "asked",
    [
        {"argument": "dish", "prompt": "none"},
        {"argument": "no", "prompt": "order"},
        {"argument": "a", "resource": "x://y"},
    ],
)
async def test_what_is_not_there_cannot_be_completed(app, era, asked):
    async with Client(app, era=era) as client:
        with pytest.raises(MCPError) as refused:
            await client.complete(value="", **asked)
    assert refused.value.code == -32602


async def test_a_server_with_nothing_to_complete_does_not_offer_it():
    app = Server("t")

    @app.prompt
    def plain(text: str) -> str:
        return text

    async with Client(app) as client:
        assert client.capabilities.completions is None
        with pytest.raises(MCPError) as refused:
            await client.complete("text", "", prompt="plain")
    assert refused.value.code == -32601


async def test_a_function_that_fails_tells_no_more_than_it_should(app):
    @app.completion(prompt="order", argument="size")
    def broken(value: str) -> list[str]:
        raise RuntimeError("secret path")

    @app.completion(prompt="order", argument="tone")
    def sorry(value: str) -> list[str]:
        raise ToolError("The kitchen is closed")

    async with Client(app) as client:
        with pytest.raises(MCPError, match="Internal error") as refused:
            await client.complete("size", "", prompt="order")
        assert "secret" not in str(refused.value)
        with pytest.raises(MCPError, match="closed"):
            await client.complete("tone", "", prompt="order")


async def test_a_mounted_server_completes_under_its_new_names(app):
    outer = Server("outer")
    outer.mount(app, prefix="in")
    async with Client(outer) as client:
        assert (await client.complete("tone", "c", prompt="in_order")).values == ["curt"]
        found = await client.complete("dish", "f", resource="menu://in/{place}/{dish}")
        assert found.values == ["?-f-20"]


@pytest.mark.parametrize(
    "asked",
    [
        {"argument": "no", "prompt": "order"},
        {"argument": "dish"},
        {"argument": "dish", "prompt": "x"},
        {"argument": "a", "resource": "x"},
    ],
)
def test_a_completion_of_nothing_is_refused(app, asked):
    with pytest.raises(TypeError):
        app.completion(**asked)(lambda value: [])


def test_a_completion_of_other_parameters_is_refused(app):
    with pytest.raises(TypeError, match="takes the value"):
        app.completion(prompt="order", argument="dish")(lambda value, others, more: [])
