"""The fixtures of the tasks extension: part of the suite's server."""

import asyncio
from typing import Annotated

from msgspec import Struct

from bascule import Ask, Context, MCPError, Server, ToolError


class Name(Struct):
    """A form with one field."""

    name: str


class Confirmation(Struct):
    """Another."""

    confirm: bool


def declare_tasks(app: Server) -> None:
    """Declare all of them."""

    @app.tool
    async def greet(name: str) -> str:
        """Greets, at once."""
        return f"Hello, {name}!"

    @app.tool(task="optional")
    async def slow_compute(seconds: float, label: str = "work") -> str:
        """Takes its time."""
        await asyncio.sleep(seconds)
        return f"Computed {label} in {seconds} seconds."

    @app.tool(task="required")
    async def failing_job() -> str:
        """Fails after a while, as tools do."""
        await asyncio.sleep(1)
        raise ToolError("The job failed")

    @app.tool(task="optional")
    async def protocol_error_job() -> str:
        """Fails after a while, as the protocol does."""
        await asyncio.sleep(0.2)
        raise MCPError("The job broke the protocol", code=-32603)

    @app.tool(task="optional")
    async def confirm_delete(filename: str, ctx: Context) -> str:
        """Asks once, while it works."""
        answer = await ctx.elicit(f"Delete {filename}?", Confirmation, key="confirm")
        return f"{filename}: {answer.action}"

    @app.tool(task="optional")
    async def multi_input(ctx: Context) -> str:
        """Asks two things at the same time."""
        async with asyncio.TaskGroup() as group:
            first = group.create_task(ctx.elicit("First name?", Name, key="first"))
            second = group.create_task(ctx.elicit("Second name?", Name, key="second"))
        return f"{first.result().action}, {second.result().action}"

    @app.tool(task="optional")
    async def test_tool_with_task(user_name: Annotated[Name, Ask("What is your name?")]) -> str:
        """Asks first, and works then."""
        return f"Hello, {user_name.name}!"
