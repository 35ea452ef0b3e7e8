"""A server of Bascule's with tools that talk while they work, for other people's clients: `chatty_server.py http`."""

import asyncio
import sys
import threading
from dataclasses import dataclass

from bascule import (
    Context,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    Server,
    TextContent,
    ToolError,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="

app = Server("chatty", version="1.2.3", instructions="Listen.", page_size=3)
given_up = asyncio.Event()


@dataclass
class Sum:
    total: int
    parts: list[int]


@app.tool
async def climb(steps: int, ctx: Context) -> str:
    """Tell of every step, as progress and as a log message."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await ctx.info({"step": step}, logger="climber")
    await ctx.debug("not asked for")
    await ctx.warning("on top")
    return f"{steps} steps"


@app.tool
async def stall(ctx: Context) -> str:
    """Begin, and never end."""
    await ctx.report_progress(1)
    try:
        return await asyncio.Future()
    except asyncio.CancelledError:
        given_up.set()
        raise


@app.tool
async def was_given_up() -> bool:
    """Wait until a call of `stall` was cancelled, and forget it; false where none is within five seconds."""
    try:
        async with asyncio.timeout(5):
            await given_up.wait()
    except TimeoutError:
        return False
    given_up.clear()
    return True


@app.tool
def hang() -> None:
    """Block a thread for ever."""
    threading.Event().wait()


@app.tool
def add(parts: list[int]) -> Sum:
    """Add up."""
    return Sum(sum(parts), parts)


@app.tool
def mixed() -> list[TextContent | ImageContent | EmbeddedResource | ResourceLink]:
    """Every kind of content."""
    return [
        TextContent("see"),
        ImageContent(PIXEL, "image/png"),
        EmbeddedResource(ResourceContents("note://a", mime_type="text/plain", text="A")),
        ResourceLink("note://b", "b"),
    ]


@app.tool
def fail() -> str:
    """Fail, and say why."""
    raise ToolError("The moon is in the wrong phase.")


@app.tool
def crash() -> str:
    """Fail by mistake."""
    raise KeyError("secret")


if __name__ == "__main__":
    app.run("http", port=0) if sys.argv[1:] == ["http"] else app.run()
