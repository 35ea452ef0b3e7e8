"""The official Python SDK's server, for the matrix: as bascule_server.py. Runs in the SDK's own environment."""

import asyncio
import sys
import warnings
from collections import defaultdict
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

SECONDS = 5

server = MCPServer("matrix", version="1")
cancelled = defaultdict(asyncio.Event)


class Sum(BaseModel):
    sum: int
    of: list[int]


class Person(BaseModel):
    name: str


async def who() -> Elicit[Person]:
    return Elicit("What is your name?", Person)


@server.tool()
async def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(sum=a + b, of=[a, b])


@server.tool()
async def fail() -> str:
    """Fail, and say why."""
    raise ToolError("The moon is in the wrong phase.")


@server.tool()
async def climb(steps: int, ctx: Context) -> str:
    """Tell of every step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return f"{steps} steps"


@server.tool()
async def ask(person: Annotated[Person, Resolve(who)]) -> str:
    """Ask the user's name."""
    return f"Hello, {person.name}."


@server.tool()
async def stall(key: str, ctx: Context) -> str:
    """Begin, and never end."""
    await ctx.report_progress(1)
    try:
        return await asyncio.Future()
    except asyncio.CancelledError:
        cancelled[key].set()
        raise


@server.tool()
async def noticed(key: str) -> str:
    """Whether a call of `stall` was cancelled, "yes" or "no"."""
    try:
        async with asyncio.timeout(SECONDS):
            await cancelled[key].wait()
    except TimeoutError:
        return "no"
    return "yes"


@server.resource("matrix://greeting", mime_type="text/plain")
def greeting() -> str:
    """A greeting."""
    return "Hello."


@server.prompt()
def briefing(city: str) -> str:
    """Prepare a trip."""
    return f"What should I pack for {city}?"


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    server.run("streamable-http", port=0) if sys.argv[1] == "http" else server.run("stdio")
