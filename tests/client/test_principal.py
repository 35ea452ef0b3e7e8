"""Who calls a server in memory: the user at this machine, or whom a test names."""

from typing import Any

import pytest

import bascule
from bascule import Client, ConfigError, Context, MCPError, Principal, Server

ERAS = ["modern", "legacy"]
ANN = Principal(issuer="tests", subject="ann", scopes=frozenset({"tools:read"}), anonymous=False)
BOB = Principal(issuer="tests", subject="bob", scopes=frozenset({"tools:read"}), anonymous=False)


def guarded() -> Server:
    app = Server("t")

    @app.tool(scopes=["tools:read"], rate="2/min")
    def look() -> str:
        return "seen"

    @app.tool(scopes=["tools:write"])
    def change() -> str:
        return "changed"

    return app


@pytest.mark.parametrize("era", ERAS)
async def test_the_scopes_of_the_principal_decide(era: Any) -> None:
    app = guarded()
    async with Client(app, era=era, principal=ANN) as client:
        assert [tool.name for tool in await client.list_tools()] == ["look"]
        assert not (await client.call_tool("look")).is_error
        with pytest.raises(MCPError) as refused:
            await client.call_tool("change")
    assert refused.value.data["code"] == "missing_scope"
    async with Client(app, era=era) as client:
        assert not (await client.call_tool("change")).is_error
    async with Client(app, era=era, principal=Principal()) as client:
        assert await client.list_tools() == []


@pytest.mark.parametrize("era", ERAS)
async def test_limits_are_counted_for_each_principal_over_all_its_clients(era: Any) -> None:
    app = guarded()
    async with Client(app, era=era, principal=ANN) as first, Client(app, era=era, principal=ANN) as second:
        await first.call_tool("look")
        await second.call_tool("look")
        assert (await first.call_tool("look")).is_error
        async with Client(app, era=era, principal=BOB) as other:
            assert not (await other.call_tool("look")).is_error


async def test_a_set_of_scopes_is_as_good_as_a_frozen_one() -> None:
    loose: Any = {"tools:read"}
    async with Client(guarded(), principal=Principal(scopes=loose)) as client:
        assert len(await client.list_tools()) == 1


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/mcp", "cat", ["cat"], {"command": "cat"}])
def test_no_other_server_lets_a_client_say_who_calls(target: Any) -> None:
    with pytest.raises(ConfigError, match="server object"):
        Client(target, principal=ANN)


@pytest.mark.parametrize("wrong", ["ann", Principal(scopes="tools:read")])  # type: ignore[arg-type]
def test_what_is_no_principal_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="frozenset"):
        Client(guarded(), principal=wrong)


async def test_a_handler_cannot_tell_it_from_one_over_http() -> None:
    assert bascule.Principal is Principal
    app = Server("t")
    seen: list[Principal] = []

    @app.tool
    def who(ctx: Context) -> None:
        seen.append(ctx.principal)

    async with Client(app, principal=ANN) as client:
        await client.call_tool("who")
    assert seen == [ANN]
