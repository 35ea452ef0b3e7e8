"""Bascule's server: `bascule_server.py stdio | http PORT`. BENCH_TOOLS is how many tools it has in all.

BENCH_SYNC=1 makes the tools plain functions, which run in threads; BENCH_TELEMETRY=1 loads OpenTelemetry's API.
"""

import os
import sys

from bascule import Context, Server

if os.environ.get("BENCH_TELEMETRY"):
    import opentelemetry.trace  # noqa: F401  # it is there for Bascule to find

app = Server("bench", version="1")

LARGEST = 4 * 1024 * 1024
"""What a result may have: `big` is asked for one megabyte, which with its name in JSON is more than the default."""


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


FUNCTIONS = (add, echo, big) if os.environ.get("BENCH_SYNC") else (add_async, echo_async, big_async)
for function in FUNCTIONS:
    app.tool(name=function.__name__.removesuffix("_async"), max_result_bytes=LARGEST)(function)


@app.tool
async def steps(n: int, ctx: Context) -> str:
    """Send n progress notices."""
    for step in range(1, n + 1):
        await ctx.report_progress(step, n)
    return f"{n} steps"


@app.resource("bench://greeting", mime_type="text/plain")
async def greeting() -> str:
    """A greeting."""
    return "Hello"


for number in range(4, int(os.environ.get("BENCH_TOOLS", "4"))):
    app.tool(name=f"add_{number}")(FUNCTIONS[0])

if __name__ == "__main__":
    if sys.argv[1] == "http":
        app.run("http", port=int(sys.argv[2]))
    else:
        app.run()
