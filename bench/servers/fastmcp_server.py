"""FastMCP's server: `fastmcp_server.py stdio | http PORT`. BENCH_TOOLS is how many tools it has in all.

As its guide shows it: plain functions, replies as event streams. BENCH_JSON=1: async functions and JSON replies.
"""

import os
import sys

from fastmcp import Context, FastMCP

JSON = bool(os.environ.get("BENCH_JSON"))
server = FastMCP("bench", version="1")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def echo(text: str) -> str:
    """Return the text."""
    return text


def big(n: int) -> str:
    """Return n kilobytes of text."""
    return "x" * (n * 1024)


async def add_async(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def echo_async(text: str) -> str:
    """Return the text."""
    return text


async def big_async(n: int) -> str:
    """Return n kilobytes of text."""
    return "x" * (n * 1024)


async def steps(n: int, ctx: Context) -> str:
    """Send n progress notices."""
    for step in range(1, n + 1):
        await ctx.report_progress(step, n)
    return f"{n} steps"


FUNCTIONS = (add_async, echo_async, big_async, steps) if JSON else (add, echo, big, steps)
for function in FUNCTIONS:
    server.tool(function, name=function.__name__.removesuffix("_async"))
for number in range(4, int(os.environ.get("BENCH_TOOLS", "4"))):
    server.tool(FUNCTIONS[0], name=f"add_{number}")


@server.resource("bench://greeting", mime_type="text/plain")
async def greeting() -> str:
    """A greeting."""
    return "Hello"


if __name__ == "__main__":
    if sys.argv[1] == "http":
        quiet = {"access_log": False, "log_level": "warning", "ws": "none"}
        server.run(
            "http",
            host="127.0.0.1",
            port=int(sys.argv[2]),
            path="/mcp",
            show_banner=False,
            json_response=JSON,
            log_level="WARNING",
            uvicorn_config=quiet,
        )
    else:
        server.run(show_banner=False, log_level="WARNING")
