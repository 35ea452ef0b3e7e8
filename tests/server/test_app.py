"""Declaring features and calling them, through the in-memory client: every byte is really written and read."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct

from bascule import (
    Client,
    Context,
    DeclarationError,
    GetPromptResult,
    MCPError,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceContents,
    Server,
    TextContent,
    ToolAnnotations,
    ToolError,
)


class Forecast(Struct):
    city: str
    degrees: float


@dataclass
class Place:
    name: str


async def test_a_tool_is_declared_by_its_function():
    app = Server("weather", version="2.0", instructions="Ask for one city.")

    @app.tool(annotations=ToolAnnotations(read_only_hint=True), title="Weather")
    async def get_weather(
        city: Annotated[str, Meta(description="The city", min_length=1)],
        units: Literal["metric", "imperial"] = "metric",
    ) -> Forecast:
        """Current conditions.

        Args:
            units: how degrees are counted
        """
        return Forecast(city, 20.5 if units == "metric" else 69)

    async with Client(app) as client:
        assert client.server.name == "weather"
        assert client.instructions == "Ask for one city."
        (tool,) = await client.list_tools()
        result = await client.call_tool("get_weather", {"city": "Oslo"})
    assert (tool.name, tool.title, tool.description) == ("get_weather", "Weather", "Current conditions.")
    assert tool.annotations.read_only_hint is True
    assert tool.input_schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "description": "The city"},
            "units": {"enum": ["imperial", "metric"], "default": "metric", "description": "how degrees are counted"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert tool.output_schema["required"] == ["city", "degrees"]
    assert result.structured_content == {"city": "Oslo", "degrees": 20.5}
    assert result.content == [TextContent('{"city":"Oslo","degrees":20.5}')]


async def test_sync_functions_run_beside_the_loop_and_inline_ones_on_it():
    app = Server("t")
    loop_thread = threading.get_ident()

    @app.tool
    def pooled() -> bool:
        return threading.get_ident() == loop_thread

    @app.tool(inline=True)
    def inline() -> bool:
        return threading.get_ident() == loop_thread

    async with Client(app) as client:
        assert (await client.call_tool("pooled")).structured_content == {"result": False}
        assert (await client.call_tool("inline")).structured_content == {"result": True}


async def test_blocking_functions_do_not_stop_the_server():
    app = Server("t")
    gate = threading.Event()

    @app.tool
    def block() -> str:
        assert gate.wait(10)
        return "blocked"

    @app.tool
    async def free() -> str:
        return "free"

    async with Client(app) as client:
        blocked = [asyncio.create_task(client.call_tool("block")) for _ in range(40)]
        assert (await client.call_tool("free")).content[0].text == "free"
        gate.set()
        assert {(await task).content[0].text for task in blocked} == {"blocked"}


async def test_a_tool_error_speaks_and_any_other_exception_keeps_its_secrets(caplog):
    app = Server("t")

    @app.tool
    async def refuse() -> str:
        raise ToolError("The city is unknown; try Oslo.", details={"near": "Oslo"})

    @app.tool
    def crash() -> str:
        raise RuntimeError("password=hunter2 in /srv/secret.py")

    async with Client(app) as client:
        refused = await client.call_tool("refuse")
        crashed = await client.call_tool("crash")
    assert refused.is_error
    assert refused.content[0].text == "The city is unknown; try Oslo."
    assert refused.meta["dev.bascule/error"] == {"code": "tool_failed", "near": "Oslo"}
    assert crashed.is_error
    shown = repr(crashed)
    assert "hunter2" not in shown
    assert "RuntimeError" not in shown
    reference = crashed.meta["dev.bascule/error"]["reference"]
    assert reference in crashed.content[0].text
    assert reference in caplog.text
    assert "hunter2" in caplog.text


async def test_a_result_that_does_not_fit_its_declaration_is_the_servers_fault(caplog):
    app = Server("t")

    @app.tool
    async def wrong() -> int:
        return object()

    async with Client(app) as client:
        assert (await client.call_tool("wrong")).meta["dev.bascule/error"]["code"] == "internal"
    assert "wrong" in caplog.text


async def test_a_tool_from_a_raw_schema_keeps_it_and_takes_one_dict():
    app = Server("t")
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1}},
        "required": ["n"],
        "x-own": True,
    }

    @app.tool(input_schema=schema, output_schema={"type": "object"})
    async def raw(arguments: dict) -> dict:
        """Raw."""
        return {"double": arguments["n"] * 2}

    async with Client(app) as client:
        assert (await client.list_tools())[0].input_schema == schema
        assert (await client.call_tool("raw", {"n": 2})).structured_content == {"double": 4}
        assert (await client.call_tool("raw", {"n": 0})).is_error


async def test_resources_are_read_by_uri_and_templates_by_their_variables():
    app = Server("t")

    @app.resource("config://cities", mime_type="application/json", size=20)
    def cities() -> dict[str, list[str]]:
        """The cities."""
        return {"cities": ["Oslo"]}

    @app.resource("blob://{name}", mime_type="image/png")
    async def blob(name: str) -> bytes:
        return name.encode()

    async def rows(ctx: Context) -> list[Resource]:
        return [Resource("row://1", "one", description=str(ctx.protocol_version))]

    @app.resource("row://{id}{?verbose}", list=rows)
    async def row(id: int, verbose: bool = False) -> dict[str, object]:
        return {"id": id, "verbose": verbose}

    async with Client(app) as client:
        listed = {resource.uri: resource for resource in await client.list_resources()}
        templates = [template.uri_template for template in await client.list_resource_templates()]
        fixed = (await client.read_resource("config://cities")).contents[0]
        binary = (await client.read_resource("blob://a%20b")).contents[0]
        typed = (await client.read_resource("row://7?verbose=true")).contents[0]
        with pytest.raises(MCPError) as missing:
            await client.read_resource("nothing://here")
        with pytest.raises(MCPError) as mistyped:
            await client.read_resource("row://seven")
        with pytest.raises(MCPError):
            await client.read_resource("row://" + "7" * 10_000)
    assert set(listed) == {"config://cities", "row://1"}
    assert (listed["config://cities"].size, listed["config://cities"].description) == (20, "The cities.")
    assert templates == ["blob://{name}", "row://{id}{?verbose}"]
    assert (fixed.uri, fixed.mime_type, fixed.text) == ("config://cities", "application/json", '{"cities":["Oslo"]}')
    assert (binary.blob, binary.mime_type) == ("YSBi", "image/png")
    assert typed.text == '{"id":7,"verbose":true}'
    assert (missing.value.code, missing.value.data) == (-32602, {"uri": "nothing://here"})
    assert mistyped.value.code == -32602


async def test_prompts_take_strings_and_give_messages():
    app = Server("t")

    @app.prompt(title="Briefing")
    async def briefing(city: str, days: int = 3) -> list[PromptMessage | str]:
        """Prepare a trip.

        Args:
            city: where to
        """
        return [f"{city} for {days + 1}", PromptMessage("assistant", TextContent("Gladly."))]

    async with Client(app) as client:
        (prompt,) = await client.list_prompts()
        got = await client.get_prompt("briefing", {"city": "Oslo", "days": "4"})
        for wrong in ({}, {"city": "Oslo", "days": "many"}, {"city": "Oslo", "town": "x"}):
            with pytest.raises(MCPError) as caught:
                await client.get_prompt("briefing", wrong)
            assert caught.value.code == -32602
        with pytest.raises(MCPError):
            await client.get_prompt("nothing")
    assert [(one.name, one.required, one.description) for one in prompt.arguments] == [
        ("city", True, "where to"),
        ("days", False, None),
    ]
    assert [(message.role, message.content.text) for message in got.messages] == [
        ("user", "Oslo for 5"),
        ("assistant", "Gladly."),
    ]
    assert got.description == "Prepare a trip."


async def test_families_without_features_are_not_offered():
    async with Client(Server("empty")) as client:
        assert client.capabilities.tools is None
        assert client.capabilities.prompts is None
        with pytest.raises(MCPError) as caught:
            await client.list_tools()
    assert caught.value.code == -32601


async def test_context_tells_about_the_request():
    app = Server("t")
    seen = {}

    @app.tool
    async def look(ctx: Context) -> str:
        seen.update(
            client=ctx.client.info.name,
            version=ctx.protocol_version,
            principal=ctx.principal.key,
            meta=ctx.meta["dev.example/own"],
            headers=dict(ctx.headers),
            id=ctx.request_id,
        )
        return (await ctx.read_resource("cfg://a"))[0].text

    @app.resource("cfg://a")
    async def a() -> str:
        return "from the resource"

    async with Client(app, name="looker") as client:
        result = await client.call_tool("look", meta={"dev.example/own": [1]})
    assert result.content[0].text == "from the resource"
    assert seen["client"] == "looker"
    assert seen["meta"] == [1]
    assert seen["principal"] == ("", "local", "user")
    assert seen["headers"] == {}


async def test_lists_come_in_pages_that_the_client_puts_together():
    app = Server("t", page_size=10)
    for number in range(25):
        app.tool(name=f"tool_{number}", inline=True)(lambda: 1)

    async with Client(app) as client:
        assert [tool.name for tool in await client.list_tools()] == [f"tool_{number}" for number in range(25)]


async def test_a_mounted_server_is_reached_under_its_prefix_now_and_later():
    host, guest = Server("host"), Server("guest")

    @guest.tool
    async def query(ctx: Context) -> str:
        return "guest"

    @guest.resource("schema://{table}", list=lambda ctx: listed())
    async def schema(table: str) -> str:
        return table

    async def listed():
        return [Resource("schema://users", "users")]

    @guest.prompt
    async def ask() -> str:
        return "?"

    host.mount(guest, prefix="db")

    @guest.tool
    async def later() -> str:
        return "later"

    @guest.resource("fixed://one")
    async def one() -> str:
        return "1"

    async with Client(host) as client:
        assert [tool.name for tool in await client.list_tools()] == ["db_query", "db_later"]
        assert (await client.call_tool("db_later")).content[0].text == "later"
        assert [resource.uri for resource in await client.list_resources()] == ["fixed://db/one", "schema://db/users"]
        assert (await client.read_resource("schema://db/users")).contents[0].text == "users"
        assert (await client.read_resource("fixed://db/one")).contents[0].text == "1"
        assert [prompt.name for prompt in await client.list_prompts()] == ["db_ask"]
    with pytest.raises(DeclarationError, match="db_query"):
        host.mount(guest, prefix="db")


def declare(function=None, **options):
    app = Server("t")
    return app.tool(**options)(function) if options else app.tool(function)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: declare(lambda: 1), ["name"]),
        (lambda: declare(lambda: 1, name="a b"), ["'a b'", "A-Z"]),
        (lambda: declare(lambda: 1, name="x" * 129), ["128"]),
        (lambda: Server("t").resource("no-scheme")(lambda: 1), ["name"]),
        (lambda: Server("t").resource("no-scheme", name="r")(lambda: 1), ["'no-scheme'", "scheme"]),
        (lambda: Server("t").resource("a://{x", name="r")(lambda: 1), ["a://{x"]),
        (lambda: Server("t").resource("a://{x}", name="r")(lambda: 1), ["'x'", "parameter"]),
        (lambda: Server("t").resource("a://b", name="r")(lambda y: 1), ["'y'"]),
        (lambda: Server("t").resource("a://b", name="r", list=print)(lambda: 1), ["template"]),
        (lambda: Server("t").mount(with_tool(), prefix="a b"), ["'a b'"]),
    ],
)
def test_a_wrong_declaration_fails_at_once_and_says_what_to_do(attempt, words):
    with pytest.raises(DeclarationError) as caught:
        attempt()
    assert all(word in str(caught.value) for word in words)


def with_tool():
    app = Server("t")
    app.tool(name="x")(lambda: 1)
    return app


def test_one_name_cannot_be_declared_twice():
    app = with_tool()
    with pytest.raises(DeclarationError, match="'x'"):
        app.tool(name="x")(lambda: 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("scopes", "tools:read"),
        ("scopes", 1),
        ("scopes", [1]),
        ("rate", "fast"),
        ("rate", "0/s"),
        ("timeout", 0),
        ("timeout", -1),
        ("concurrency", 0),
        ("confirm", "maybe"),
        ("max_result_bytes", 0),
    ],
)
def test_a_demand_that_cannot_hold_is_refused_where_it_is_declared(option, value):
    for declare in (Server("t").tool, lambda **given: Server("t").resource("a://b", **given), Server("t").prompt):
        with pytest.raises(DeclarationError, match=option):
            declare(**{option: value})


@pytest.mark.parametrize(
    ("thrown", "code"),
    [
        (SystemExit(3), -32603),
        (asyncio.CancelledError(), -32603),
        (TimeoutError(), 1000),
        (ExceptionGroup("g", [OSError()]), -32603),
    ],
)
async def test_whatever_a_handler_throws_is_one_failed_call_and_never_the_servers_end(thrown, code):
    app = Server("t")

    @app.tool
    async def throws() -> str:
        raise thrown

    @app.tool
    def throws_in_a_thread() -> str:
        raise thrown

    @app.resource("x://y")
    async def resource() -> str:
        raise thrown

    async with Client(app, timeout=5) as client:
        for name in ("throws", "throws_in_a_thread"):
            try:
                assert (await client.call_tool(name)).is_error
            except MCPError as error:
                assert error.code == -32603
        with pytest.raises(MCPError) as caught:
            await client.read_resource("x://y")
        assert caught.value.code == code
        assert (await client.list_tools())[0].name == "throws"


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_resource_may_have_caching_hints_of_its_own(era):
    app = Server("t", cache_ttl_ms=5)

    @app.resource("note://fresh", cache_ttl_ms=60_000, cache_scope="public")
    async def fresh() -> str:
        return "fresh"

    @app.resource("note://usual")
    async def usual() -> str:
        return "usual"

    async with Client(app, era=era) as client:
        hints = [(await client.read_resource(f"note://{name}")) for name in ("fresh", "usual")]
    expected = [(60_000, "public"), (5, "private")] if era == "modern" else [(UNSET, UNSET)] * 2
    assert [(one.ttl_ms, one.cache_scope) for one in hints] == expected


async def test_cursors_are_signed_and_known_to_whoever_has_the_secret():
    def served(*secrets):
        app = Server("t", page_size=1)
        for name in ("a", "b", "c"):
            app.tool(name=name)(lambda: 1)
        if secrets:
            app.use_secrets(secrets)
        return app

    async def cursor_of(app):
        async with Client(app) as client:
            return (await client.request("tools/list", {})).next_cursor

    async def second(app, cursor):
        async with Client(app) as client:
            return (await client.request("tools/list", {"cursor": cursor})).tools[0].name

    cursor = await cursor_of(served("old secret"))
    assert await second(served("old secret"), cursor) == "b"
    assert await second(served("new secret", "old secret"), cursor) == "b", "keys rotate"
    for other in (served(), served("new secret")):
        with pytest.raises(MCPError) as refused:
            await second(other, cursor)
        assert refused.value.code == -32602
    for at in range(0, len(cursor), 3):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(MCPError):
            await second(served("old secret"), changed)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_prompt_or_resource_may_return_its_whole_result(era):
    app = Server("t", cache_ttl_ms=5)
    about = GetPromptResult(
        messages=[PromptMessage("assistant", TextContent("Gladly."))], description="own", meta={"com.example/a": 1}
    )
    contents = [ResourceContents("note://a", text="a"), ResourceContents("note://b", text="b")]
    notes = ReadResourceResult(contents=contents, ttl_ms=7, meta={"com.example/b": 2})

    @app.prompt
    async def brief() -> GetPromptResult:
        """Declared."""
        return about

    @app.prompt
    def undescribed() -> GetPromptResult:
        """Declared."""
        return GetPromptResult(messages=[])

    @app.resource("note://all", cache_ttl_ms=60_000, cache_scope="public")
    async def everything() -> ReadResourceResult:
        return notes

    @app.tool
    async def look(ctx: Context) -> int:
        return len(await ctx.read_resource("note://all"))

    async with Client(app, era=era) as client:
        for _ in range(2):
            got = await client.get_prompt("brief")
            assert (got.description, got.messages) == ("own", about.messages)
            read = await client.read_resource("note://all")
            assert read.contents == contents
        assert (await client.get_prompt("undescribed")).description == "Declared."
        assert (await client.call_tool("look")).structured_content == {"result": 2}
    hints = (7, "public") if era == "modern" else (UNSET, UNSET)
    assert (read.ttl_ms, read.cache_scope) == hints
    for kept, name in ((got, "com.example/a"), (read, "com.example/b")):
        assert name in msgspec.json.decode(msgspec.json.encode(kept.meta))
    assert about.meta == {"com.example/a": 1}, "what the author keeps stays as it is"


def test_a_name_that_a_mounting_server_has_taken_is_added_nowhere():
    outer, inner = Server("outer"), Server("inner")
    outer.tool(name="add")(lambda: 1)
    outer.mount(inner)
    with pytest.raises(DeclarationError, match="declared already"):
        inner.tool(name="add")(lambda: 2)
    assert inner.facts.capabilities.tools is None
