"""What is shown to whom: lists, completions and caches, by the scopes of a key, in both eras."""

import re
from contextlib import ExitStack
from typing import Literal

import pytest

from bascule import Client, ElicitResult, MCPError, Server
from bascule.engine.demands import Demands
from bascule.engine.settings import AuthSettings, Settings
from bascule.serve import authenticator, use_guards
from tests.serving import serving

ERAS = ("modern", "legacy")
READER, WRITER, ADMIN = ("a-key-that-nobody-guesses-" + name for name in ("reader", "writer", "admin"))
KEYS = (f"{READER}=read", f"{WRITER}=read+write", ADMIN)
CITIES = ["Odense", "Oslo"]


def make():
    """A server whose author lets everybody share what it answers, as far as that is the same for all."""
    app = Server("shop", cache_scope="public", cache_ttl_ms=60_000)
    for name, options in (
        ("open", {}),
        ("read", {"scopes": ["read"]}),
        ("write", {"scopes": ["read", "write"]}),
        ("denied", {}),
    ):
        app.tool(name=name, **options)(lambda: "served")
        app.resource(f"{name}://fixed", name=name, **options)(lambda: "served")
        app.resource(f"{name}://of/{{city}}", name=name, **options)(of_city)
        app.prompt(name=name, **options)(of_city)
    return app


def of_city(city: Literal["Oslo", "Odense"]) -> str:
    return city


@pytest.fixture(scope="module")
def places():
    """The server where lists hide, the same where they do not, and one that has the same for everybody."""
    with ExitStack() as stack:
        urls = {}
        for name, app, list_all in (("hides", make(), False), ("shows", make(), True), ("same", same(), False)):
            auth = AuthSettings(api_keys=KEYS, list_all=list_all)
            use_guards(app, Settings(auth=auth, policy={"denied*": Demands(deny=True)}))
            urls[name] = stack.enter_context(serving(app, door=authenticator(auth))).url
        yield urls


def same():
    app = Server("same", cache_scope="public", cache_ttl_ms=60_000)
    app.tool(name="open")(lambda: "served")
    app.tool(name="denied")(lambda: "served")
    app.resource("open://fixed", name="open")(lambda: "served")
    return app


def client(url, key, era):
    return Client(url, headers={"X-API-Key": key}, era=era)


async def names(connected):
    """All that the lists show, by family."""
    return {
        "tools": [one.name for one in await connected.list_tools()],
        "resources": [one.name for one in await connected.list_resources()],
        "templates": [one.name for one in await connected.list_resource_templates()],
        "prompts": [one.name for one in await connected.list_prompts()],
    }


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("key", "shown"),
    [(READER, ["open", "read"]), (WRITER, ["open", "read", "write"]), (ADMIN, ["open", "read", "write"])],
)
async def test_lists_show_what_a_key_may_use_and_nobody_what_is_denied(places, key, shown, era):
    async with client(places["hides"], key, era) as connected:
        found = await names(connected)
    assert found == dict.fromkeys(("tools", "resources", "templates", "prompts"), shown)


@pytest.mark.parametrize("era", ERAS)
async def test_the_user_at_this_machine_sees_all_but_what_is_denied(era):
    app = make()
    use_guards(app, Settings(policy={"denied*": Demands(deny=True)}))
    async with Client(app, era=era) as connected:
        found = await names(connected)
    assert set(map(tuple, found.values())) == {("open", "read", "write")}


@pytest.mark.parametrize("era", ERAS)
async def test_with_list_all_lists_show_what_a_key_may_not_use_and_still_nobody_uses_it(places, era):
    async with client(places["shows"], READER, era) as connected:
        found = await names(connected)
        assert set(map(tuple, found.values())) == {("open", "read", "write")}
        with pytest.raises(MCPError) as refused:
            await connected.call_tool("write")
    assert refused.value.data["code"] == "missing_scope"


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_hidden_is_refused_to_whoever_names_it_with_the_scope_that_is_missing(places, era):
    async with client(places["hides"], READER, era) as connected:
        for ask in (
            lambda: connected.call_tool("write"),
            lambda: connected.read_resource("write://fixed"),
            lambda: connected.read_resource("write://of/Oslo"),
            lambda: connected.get_prompt("write", {"city": "Oslo"}),
        ):
            with pytest.raises(MCPError, match="needs write, which your credentials do not grant") as refused:
                await ask()
            assert refused.value.data == {
                "code": "missing_scope",
                "requiredScopes": ["read", "write"],
                "missingScopes": ["write"],
            }
        assert (await connected.call_tool("read")).content[0].text == "served"


METHODS = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")


@pytest.mark.parametrize(("place", "scope"), [("hides", "private"), ("shows", "private"), ("same", "public")])
async def test_a_list_that_depends_on_the_key_is_for_no_other_ones_cache(places, place, scope):
    async with client(places[place], READER, "modern") as connected:
        methods = METHODS if place != "same" else ("tools/list", "resources/list")
        assert {(await connected.request(method)).cache_scope for method in methods} == {scope}


async def test_what_is_not_read_by_everybody_is_for_no_other_ones_cache(places):
    async with client(places["hides"], READER, "modern") as connected:
        scopes = {
            uri: (await connected.request("resources/read", {"uri": uri})).cache_scope
            for uri in ("open://fixed", "open://of/Oslo", "read://fixed", "read://of/Oslo")
        }
    assert scopes == {
        "open://fixed": "public",
        "open://of/Oslo": "public",
        "read://fixed": "private",
        "read://of/Oslo": "private",
    }


async def test_what_somebody_must_confirm_is_for_no_other_ones_cache():
    app = Server("t", cache_scope="public", cache_ttl_ms=60_000)
    app.resource("a://asked", name="asked", confirm=True, cache_scope="public")(lambda: "served")
    async with Client(app, era="modern", on_elicit=lambda _: ElicitResult("accept", {"confirm": True})) as connected:
        assert (await connected.read_resource("a://asked")).cache_scope == "private"


async def completed(connected, what):
    try:
        return (await connected.complete("city", "O", **what)).values
    except MCPError as error:
        return (error.code, error.message, error.data)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("what", ["prompt", "resource"])
async def test_nothing_of_what_is_hidden_is_completed_and_it_looks_like_what_there_is_not(places, what, era):
    def of(name):
        return {what: name if what == "prompt" else f"{name}://of/{{city}}"}

    async with client(places["hides"], READER, era) as connected:
        assert await completed(connected, of("read")) == CITIES
        hidden = {name: await completed(connected, of(name)) for name in ("write", "denied", "nowhere")}
    async with client(places["hides"], WRITER, era) as connected:
        assert await completed(connected, of("write")) == CITIES
    shapes = {re.sub("write|denied|nowhere", "…", str(one)) for one in hidden.values()}
    assert len(shapes) == 1, hidden
    assert hidden["write"][0] == -32602


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthenticated"),
        ({"X-API-Key": "wrong"}, 403, "unknown_key"),
        ({"Authorization": "Basic eA=="}, 401, "unauthenticated"),
    ],
)
async def test_without_a_key_that_is_known_there_is_nothing_to_see(places, headers, status, code, era):
    with pytest.raises(MCPError) as refused:
        async with Client(places["hides"], headers=headers, era=era):
            raise AssertionError("it was let in")
    assert (refused.value.code, refused.value.status, refused.value.data) == (status, status, {"code": code})
