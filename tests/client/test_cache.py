"""Answers that are kept for as long as the server allows, and no longer than they are true."""

from typing import Any

import pytest

from bascule import Client, Server
from bascule.client import cache
from bascule.client.cache import ResponseCache
from bascule.engine.answers import ToolsPage
from bascule.wire.notices import RESOURCE_UPDATED, RESOURCES_CHANGED, TOOLS_CHANGED
from bascule.wire.tools import Tool


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> ResponseCache:
    return ResponseCache(clock)


def page(ttl_ms: Any = 1000) -> ToolsPage:
    return ToolsPage(tools=[], ttl_ms=ttl_ms)


def test_an_answer_is_kept_for_as_long_as_it_says(kept: ResponseCache, clock: Clock) -> None:
    first = page()
    kept.put("tools/list", {"a": 1, "b": 2}, first)
    assert kept.get("tools/list", {"b": 2, "a": 1}) == first
    assert kept.get("tools/list", {}) is None
    clock.now = 1.0
    assert kept.get("tools/list", {"a": 1, "b": 2}) is None
    assert len(kept) == 0


@pytest.mark.parametrize("ttl_ms", [0, -5])
def test_what_must_not_be_kept_is_not(kept: ResponseCache, ttl_ms: int) -> None:
    kept.put("tools/list", {}, page(ttl_ms))
    kept.put("tools/list", {}, {"ttlMs": 1000})
    assert len(kept) == 0


def test_no_server_has_its_answers_kept_for_ever(kept: ResponseCache, clock: Clock) -> None:
    kept.put("tools/list", {}, page(10**15))
    clock.now = 86_400.0
    assert kept.get("tools/list", {}) is None


def test_a_notice_ends_the_keeping_of_what_it_is_about(kept: ResponseCache) -> None:
    for method, params in (
        ("tools/list", {}),
        ("tools/list", {"cursor": "c"}),
        ("resources/list", {}),
        ("resources/templates/list", {}),
        ("resources/read", {"uri": "a"}),
        ("resources/read", {"uri": "b"}),
    ):
        kept.put(method, params, page())
    kept.note(TOOLS_CHANGED, {})
    assert len(kept) == 4
    kept.note(RESOURCES_CHANGED, {})
    assert len(kept) == 2
    kept.note(RESOURCE_UPDATED, {"uri": "a"})
    assert kept.get("resources/read", {"uri": "b"})
    kept.note(RESOURCE_UPDATED, ["odd"])
    kept.clear()
    assert len(kept) == 0


def test_it_is_bounded_and_the_least_used_goes_first(kept: ResponseCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    for name in ("a", "b"):
        kept.put("resources/read", {"uri": name}, page())
    kept.get("resources/read", {"uri": "a"})
    kept.put("resources/read", {"uri": "c"}, page())
    assert kept.get("resources/read", {"uri": "b"}) is None
    assert kept.get("resources/read", {"uri": "a"})


@pytest.mark.parametrize(("ttl", "era", "reads"), [(60_000, "modern", 1), (0, "modern", 2), (60_000, "legacy", 2)])
async def test_a_client_asks_once_where_the_server_allows_it(ttl: int, era: Any, reads: int) -> None:
    app = Server("t", cache_ttl_ms=ttl)
    times: list[int] = []

    @app.resource("note://a")
    async def note() -> str:
        times.append(1)
        return "text"

    async with Client(app, era=era) as client:
        for _ in range(2):
            assert (await client.read_resource("note://a")).contents[0].text == "text"
        assert len(times) == reads
        await client.forget()
        await client.read_resource("note://a")
        assert len(times) == reads + 1


async def test_what_a_caller_does_to_an_answer_changes_no_other() -> None:
    app = Server("t", cache_ttl_ms=60_000)
    reads = 0

    @app.tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @app.resource("note://a", name="a")
    def note() -> str:
        nonlocal reads
        reads += 1
        return "text"

    async with Client(app) as client:
        first = await client.read_resource("note://a")
        for _ in range(2):
            read = await client.read_resource("note://a")
            assert [content.text for content in read.contents] == ["text"]
            read.contents[0].text = "changed"
            read.contents.append(read.contents[0])
            first.contents.clear()
            (tool,) = await client.list_tools()
            assert (tool.description, tool.input_schema["required"]) == ("Add two numbers.", ["a", "b"])
            tool.description = "changed"
            tool.input_schema["required"].clear()
            tool.output_schema.clear()  # type: ignore[union-attr]
            page = await client.list_page("tools/list")
            page.tools.clear()
        assert reads == 1


async def test_a_result_is_held_against_the_schema_that_was_listed_whatever_became_of_it() -> None:
    app = Server("t")
    app.tool(name="one", output_schema={"type": "object", "required": ["x"]})(lambda: {"x": 1})
    async with Client(app) as client:
        (tool,) = await client.list_tools()
        assert tool.output_schema is not None
        tool.output_schema["required"] = ["y"]
        assert (await client.call_tool("one")).structured_content == {"x": 1}


def test_what_is_kept_is_what_came(kept: ResponseCache) -> None:
    odd = Tool("x", {"maximum": 10**30, "default": None, "enum": [1.5, True, "ü\u2028"]}, meta={"a": {}})
    came = ToolsPage(tools=[odd], ttl_ms=1000, cache_scope="private", next_cursor="c")
    kept.put("tools/list", {}, came)
    assert kept.get("tools/list", {}) == came
