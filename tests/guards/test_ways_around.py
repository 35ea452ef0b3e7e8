"""No limit is got around by speaking otherwise: in another era, header or spelling, or with other arguments."""

import asyncio
from contextlib import contextmanager

import pytest

from bascule import Client, MCPError, Server
from bascule.engine.demands import Demands
from bascule.engine.settings import AuthSettings, LoadSettings, Settings
from bascule.errors import ERROR_KEY
from bascule.serve import authenticator, use_guards
from tests.serving import serving

ONE, OTHER = "a-key-that-nobody-guesses-one", "a-key-that-nobody-guesses-other"
WAYS = [
    {"era": "modern", "headers": {"X-API-Key": ONE}},
    {"era": "legacy", "headers": {"X-API-Key": ONE}},
    {"era": "modern", "headers": {"Authorization": f"Bearer {ONE}"}},
    {"era": "legacy", "headers": {"Authorization": f"bearer {ONE}"}},
]


def ids(way):
    return f"{way['era']}-{'-'.join(way['headers'])}"


@contextmanager
def served(app, **settings):
    """The URL of the server, which two keys open."""
    use_guards(app, Settings(**settings))
    with serving(app, door=authenticator(AuthSettings(api_keys=(ONE, OTHER)))) as running:
        yield running.url


def limited():
    app = Server("t")
    app.tool(name="rare", rate="1/h")(lambda city="Oslo": city)
    app.resource("rare://of/{city}", name="rare", rate="1/h")(lambda city: city)
    app.prompt(name="rare", rate="1/h")(lambda city="Oslo": city)
    return app


async def codes(client, city):
    """What refuses a tool, a resource and a prompt; None for what is answered."""
    found = []
    result = await client.call_tool("rare", {"city": city})
    found.append(result.meta[ERROR_KEY]["code"] if result.is_error else None)
    for ask in (lambda: client.read_resource(f"rare://of/{city}"), lambda: client.get_prompt("rare", {"city": city})):
        try:
            await ask()
            found.append(None)
        except MCPError as error:
            found.append(error.data["code"])
    return found


@pytest.mark.parametrize("first", WAYS, ids=ids)
async def test_a_rate_is_one_for_a_key_whichever_way_it_comes_and_whatever_it_asks_for(first):
    with served(limited()) as url:
        async with Client(url, **first) as client:
            assert await codes(client, "Oslo") == [None] * 3
        for way in WAYS:
            async with Client(url, **way) as client:
                for city in ("Oslo", "Rome", "%4Fslo"):
                    assert await codes(client, city) == ["rate_limited"] * 3
        async with Client(url, headers={"X-API-Key": OTHER}) as client:
            assert await codes(client, "Oslo") == [None] * 3


@pytest.mark.parametrize("holder", WAYS[:2], ids=ids)
@pytest.mark.parametrize("way", WAYS, ids=ids)
async def test_a_share_of_the_load_is_one_for_a_key_whichever_way_it_comes(holder, way):
    app = Server("t")
    begun, gate = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @app.tool
    async def hold() -> str:
        loop.call_soon_threadsafe(begun.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(gate.wait(), loop))
        return "served"

    app.tool(name="quick")(lambda: "served")
    with served(app, load=LoadSettings(max_calls=3, max_calls_per_principal=1, max_waiting=0)) as url:
        async with Client(url, **holder) as client, Client(url, **way) as same:
            held = asyncio.ensure_future(client.call_tool("hold"))
            await begun.wait()
            with pytest.raises(MCPError) as refused:
                await same.call_tool("quick")
            assert refused.value.data == {"code": "overloaded", "retryAfter": 1.0}
            async with Client(url, headers={"X-API-Key": OTHER}) as other:
                assert (await other.call_tool("quick")).content[0].text == "served"
            gate.set()
            assert (await held).content[0].text == "served"
            assert (await same.call_tool("quick")).content[0].text == "served"


SPELLINGS = [
    "denied",
    "DENIED",
    " denied",
    "denied ",
    "denied\u200b",
    "d\u0435nied",
    "tool:denied",
    "denied\x00",
    "./denied",
]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_what_is_denied_runs_under_no_spelling_of_its_name(era):
    ran = []
    app = Server("t")
    app.tool(name="denied")(lambda: ran.append("tool"))
    app.prompt(name="denied")(lambda: ran.append("prompt") or "x")
    app.resource("denied://a/b", name="denied")(lambda: ran.append("resource") or "x")
    app.resource("denied://of/{city}", name="denied")(lambda city: ran.append("template") or "x")
    use_guards(app, Settings(policy={"denied*": Demands(deny=True)}))
    uris = (
        "denied://a/b",
        "DENIED://a/b",
        "denied://A/b",
        "denied://a%2Fb",
        "denied://a/./b",
        "denied://of/x",
        "denied://of/%78",
        "denied://of/x#y",
    )
    async with Client(app, era=era) as client:
        for name in SPELLINGS:
            for ask in (lambda name=name: client.call_tool(name), lambda name=name: client.get_prompt(name)):
                try:
                    assert (await ask()).is_error
                except MCPError as error:
                    assert error.code in {1000, -32602}
        for uri in uris:
            with pytest.raises(MCPError):
                await client.read_resource(uri)
    assert ran == []
