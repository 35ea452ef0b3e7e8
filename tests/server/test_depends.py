"""Dependencies: values that a function gives, per call or per run, opened before the body and closed after it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from bascule import Ask, Client, Context, DeclarationError, Depends, ElicitResult, Server, ToolError


class Log(list[str]):
    """What happened, in order."""


def server_with(function: Any) -> Server:
    app = Server("t")
    app.tool(name="x")(function)
    return app


async def call(app: Server, **arguments: Any) -> Any:
    async with Client(app) as client:
        result = await client.call_tool("x", arguments)
        return result.structured_content["result"] if not result.is_error else result


async def test_a_caller_neither_sees_nor_sets_what_a_function_gives() -> None:
    async def pool() -> str:
        return "pool"

    async def tool(a: int, pool: Annotated[str, Depends(pool)], ctx: Context, b: int = 2) -> str:
        return f"{a} {pool} {b} {ctx.request_id is not None}"

    app = server_with(tool)
    async with Client(app) as client:
        (listed,) = await client.list_tools()
        assert set(listed.input_schema["properties"]) == {"a", "b"}
        assert (await client.call_tool("x", {"a": 1})).structured_content == {"result": "1 pool 2 True"}
        refused = await client.call_tool("x", {"a": 1, "pool": "mine"})
        assert refused.is_error
        assert "pool" in refused.content[0].text


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_generator_cleans_up_after_the_body_whatever_becomes_of_it(asynchronous: bool) -> None:
    log = Log()

    async def async_made() -> AsyncIterator[str]:
        log.append("open")
        try:
            yield "value"
        finally:
            log.append("close")

    def made() -> Iterator[str]:
        log.append("open")
        try:
            yield "value"
        finally:
            log.append("close")

    async def tool(fail: bool, value: Annotated[str, Depends(async_made if asynchronous else made)]) -> str:
        log.append("body")
        if fail:
            raise ToolError("no")
        return value

    app = server_with(tool)
    assert await call(app, fail=False) == "value"
    assert (await call(app, fail=True)).content[0].text == "no"
    assert log == ["open", "body", "close"] * 2


async def test_a_cancelled_call_cleans_up_too() -> None:
    closed, began = asyncio.Event(), asyncio.Event()

    async def made() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.set()

    async def tool(value: Annotated[int, Depends(made)]) -> int:
        began.set()
        await asyncio.Event().wait()
        return value

    async with Client(server_with(tool)) as client:
        calling = asyncio.create_task(client.call_tool("x"))
        await began.wait()
        calling.cancel()
        await asyncio.wait_for(closed.wait(), 5)


async def test_one_function_makes_one_value_for_a_call_also_for_others_that_need_it() -> None:
    made = Log()

    def base() -> str:
        made.append("base")
        return f"base{len(made)}"

    async def upper(base: Annotated[str, Depends(base)], ctx: Context) -> str:
        return base.upper() + ctx.protocol_version[:2]

    def tool(first: Annotated[str, Depends(base)], second: Annotated[str, Depends(upper)]) -> str:
        return f"{first} {second}"

    app = server_with(tool)
    async with Client(app) as client:
        for expected in ("base1 BASE120", "base2 BASE220"):
            assert (await client.call_tool("x")).structured_content == {"result": expected}


async def test_what_belongs_to_the_process_is_made_once_and_closed_with_it() -> None:
    log = Log()

    async def pool() -> AsyncIterator[int]:
        log.append("open")
        await asyncio.sleep(0)
        yield len(log)
        log.append("close")

    async def tool(pool: Annotated[int, Depends(pool, per="process")]) -> int:
        return pool

    app, outer = server_with(tool), Server("outer")
    outer.mount(app, prefix="in")
    async with Client(app) as client:
        results = await asyncio.gather(*(client.call_tool("x") for _ in range(20)))
        assert {result.structured_content["result"] for result in results} == {1}
        assert log == ["open"]
    assert log == ["open", "close"]
    async with Client(outer) as client:
        await client.call_tool("in_x")
        assert log == ["open", "close", "open"]
    assert log == ["open", "close"] * 2


async def test_what_could_not_be_made_is_tried_again_and_is_one_failed_call() -> None:
    tries = Log()

    async def pool() -> int:
        tries.append("try")
        if len(tries) == 1:
            raise ConnectionRefusedError("10.0.0.3")
        return 7

    async def tool(pool: Annotated[int, Depends(pool, per="process")]) -> int:
        return pool

    async with Client(server_with(tool)) as client:
        failed = await client.call_tool("x")
        assert failed.meta["dev.bascule/error"]["code"] == "upstream_failed"
        assert (await client.call_tool("x")).structured_content == {"result": 7}


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_user_is_asked_before_anything_is_opened(era: str) -> None:
    log = Log()

    async def connection() -> AsyncIterator[str]:
        log.append("open")
        yield "connection"
        log.append("close")

    async def tool(name: Annotated[str, Ask("Who?")], through: Annotated[str, Depends(connection)]) -> str:
        return f"{name} {through}"

    def answer(params: Any) -> ElicitResult:
        log.append("asked")
        return ElicitResult("accept", {"value": "Ada"})

    async with Client(server_with(tool), era=era, on_elicit=answer) as client:
        result = await client.call_tool("x")
        assert not result.is_error, result.content
    assert log == ["asked", "open", "close"]


async def test_resources_and_prompts_may_depend_too() -> None:
    app = Server("t")

    def name() -> str:
        return "Ada"

    @app.resource("who://{kind}")
    def who(kind: str, name: Annotated[str, Depends(name)]) -> str:
        return f"{kind} {name}"

    @app.prompt
    async def greet(name: Annotated[str, Depends(name)]) -> str:
        return f"Greet {name}"

    async with Client(app) as client:
        assert (await client.read_resource("who://user")).contents[0].text == "user Ada"
        assert (await client.get_prompt("greet")).messages[0].content.text == "Greet Ada"
        assert not (await client.list_prompts())[0].arguments


def wants_more(host: str) -> str:
    return host


def wants_call(ctx: Context) -> str:
    return "x"


@pytest.mark.parametrize(
    ("make", "per", "told"),
    [
        ("pool", "call", "a function"),
        (wants_more, "call", "'host'"),
        (wants_call, "process", "once for a process"),
        (wants_call, "request", "per must be"),
    ],
)
def test_what_cannot_be_made_is_told_where_it_is_declared(make: Any, per: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        Depends(make, per=per)
