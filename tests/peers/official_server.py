"""A server of the official SDK's with every kind of feature: `official_server.py [http | pages]`, on a free port.

With `pages` it is another one, which lists its tools one to a page.

Runs in the peers' own environment, and knows nothing of Bascule.
"""

import asyncio
import os
import sys
import warnings
from typing import Any

from mcp.server import Server
from mcp.server.mcpserver import AssistantMessage, Context, Image, MCPServer, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp_types import ListToolsResult, PaginatedRequestParams, Tool
from pydantic import BaseModel

PIXEL = bytes.fromhex("89504e470d0a1a0a")

server = MCPServer("official", title="Official", version="4.5.6", instructions="Ask away.")
given_up = asyncio.Event()


class Weather(BaseModel):
    city: str
    celsius: float


@server.tool()
def add(a: int, b: int) -> int:
    """Add, in a thread."""
    return a + b


@server.tool()
async def shout(text: str) -> str:
    """Shout, on the loop."""
    return text.upper()


@server.tool(title="Weather")
async def weather(city: str, celsius: float = 21.5) -> Weather:
    """The weather, structured."""
    return Weather(city=city, celsius=celsius)


@server.tool()
async def climb(steps: int, ctx: Context) -> str:
    """Tell of every step, as progress and as a log message."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await ctx.info({"step": step}, logger_name="climber")
    return f"{steps} steps"


@server.tool()
async def stall(ctx: Context) -> str:
    """Begin, and never end."""
    await ctx.report_progress(1)
    try:
        return await asyncio.Future()
    except asyncio.CancelledError:
        given_up.set()
        raise


@server.tool()
async def was_given_up() -> bool:
    """Wait until a call of `stall` was cancelled, and forget it; false where none is within five seconds."""
    try:
        async with asyncio.timeout(5):
            await given_up.wait()
    except TimeoutError:
        return False
    given_up.clear()
    return True


@server.tool()
def process() -> int:
    """The number of this process."""
    return os.getpid()


@server.tool(structured_output=False)
def picture() -> list[Any]:
    """A picture and a word."""
    return [Image(data=PIXEL, format="png"), "a picture"]


@server.tool()
def fail() -> str:
    """Fail, and say why."""
    raise ToolError("The moon is in the wrong phase.")


@server.resource("note://welcome", mime_type="text/plain")
def welcome() -> str:
    """A fixed note."""
    return "Welcome."


@server.resource("note://bytes", mime_type="image/png")
def pixel() -> bytes:
    """A note that is no text."""
    return PIXEL


@server.resource("note://people/{name}", mime_type="text/plain")
async def person(name: str) -> str:
    """A note on anybody."""
    return f"{name} was here."


@server.prompt()
def review(code: str, tone: str = "kind") -> list[Any]:
    """Ask for a review."""
    return [UserMessage(f"Review this in a {tone} tone: {code}"), AssistantMessage("Gladly.")]


async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
    place = int(params.cursor) if params and params.cursor else 0
    tool = Tool(name=f"tool-{place}", input_schema={"type": "object"})
    return ListToolsResult(tools=[tool], next_cursor=str(place + 1) if place < 4 else None)


async def serve_pages() -> None:
    pages = Server("pages", on_list_tools=list_tools)
    async with stdio_server() as (reading, writing):
        await pages.run(reading, writing, pages.create_initialization_options())


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    if sys.argv[1:] == ["http"]:
        server.run("streamable-http", port=0)
    elif sys.argv[1:] == ["pages"]:
        asyncio.run(serve_pages())
    else:
        server.run("stdio")
