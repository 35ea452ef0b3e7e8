"""Bascule's server, for the matrix: `bascule_server.py stdio TOKEN`, or `http` on a free port; TOKEN only marks it.

`stall` never ends; `noticed`, given the same key, tells whether its handler was cancelled, and waits for that.
"""

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass

from bascule import Context, Server, ToolError

SECONDS = 5

app = Server("matrix", version="1")
cancelled = defaultdict(asyncio.Event)


@dataclass
class Sum:
    sum: int
    of: list[int]


@dataclass
class Person:
    name: str


@app.tool
async def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(a + b, [a, b])


@app.tool
async def fail() -> str:
    """Fail, and say why."""
    raise ToolError("The moon is in the wrong phase.")


@app.tool
async def climb(steps: int, ctx: Context) -> str:
    """Tell of every step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
    return f"{steps} steps"


@app.tool
async def ask(ctx: Context) -> str:
    """Ask the user's name."""
    answer = await ctx.elicit("What is your name?", Person)
    return f"Hello, {answer.content.name}." if answer.accepted else f"Nothing: {answer.action}."


@app.tool
async def stall(key: str, ctx: Context) -> str:
    """Begin, and never end."""
    await ctx.report_progress(1)
    try:
        return await asyncio.Future()
    except asyncio.CancelledError:
        cancelled[key].set()
        raise


@app.tool
async def noticed(key: str) -> str:
    """Whether a call of `stall` was cancelled, "yes" or "no"."""
    try:
        async with asyncio.timeout(SECONDS):
            await cancelled[key].wait()
    except TimeoutError:
        return "no"
    return "yes"


@app.resource("matrix://greeting", mime_type="text/plain")
def greeting() -> str:
    """A greeting."""
    return "Hello."


@app.prompt
def briefing(city: str) -> str:
    """Prepare a trip."""
    return f"What should I pack for {city}?"


if __name__ == "__main__":
    app.run("http", port=0) if sys.argv[1] == "http" else app.run()
