"""FastMCP's server, for the matrix: the same as bascule_server.py. Runs in FastMCP's own environment.

It has one way of asking for each era, so `ask` knows both.
"""

import asyncio
import sys
import warnings
from collections import defaultdict

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

SECONDS = 5
QUESTION = "What is your name?"

server = FastMCP("matrix", version="1")
cancelled = defaultdict(asyncio.Event)


class Sum(BaseModel):
    sum: int
    of: list[int]


class Person(BaseModel):
    name: str


@server.tool
async def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(sum=a + b, of=[a, b])


@server.tool
async def fail() -> str:
    """Fail, and say why."""
    raise ToolError("The moon is in the wrong phase.")


@server.tool
async def climb(steps: int, ctx: Context) -> str:
    """Tell of every step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return f"{steps} steps"


@server.tool
async def ask(ctx: Context) -> str | InputRequiredResult:
    """Ask the user's name."""
    if ctx.request_context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        answer = await ctx.elicit(QUESTION, Person)
        return f"Hello, {answer.data.name}." if answer.action == "accept" else f"Nothing: {answer.action}."
    if ctx.input_responses is None:
        form = ElicitRequestFormParams(message=QUESTION, requested_schema=Person.model_json_schema())
        return InputRequiredResult(input_requests={"name": ElicitRequest(params=form)})
    answer = ctx.input_responses["name"]
    return f"Hello, {answer.content['name']}." if answer.action == "accept" else f"Nothing: {answer.action}."


@server.tool
async def stall(key: str, ctx: Context) -> str:
    """Begin, and never end."""
    await ctx.report_progress(1)
    try:
        return await asyncio.Future()
    except asyncio.CancelledError:
        cancelled[key].set()
        raise


@server.tool
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


@server.prompt
def briefing(city: str) -> str:
    """Prepare a trip."""
    return f"What should I pack for {city}?"


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    if sys.argv[1] == "http":
        server.run("http", host="127.0.0.1", port=0, path="/mcp", show_banner=False)
    else:
        server.run(show_banner=False)
