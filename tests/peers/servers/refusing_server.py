"""A server that refuses whatever it is asked, each tool for a reason of its own: `refusing_server.py stdio`, or `http`.

What the declarations do not say stands in refusing.toml, and in the environment that it is started with.
"""

import asyncio
import sys
from typing import Annotated

from bascule import Rule, Server

SECRET = "hunter2 in /etc/shop.conf"


class Known(Rule):
    """The rule that an argument breaks."""

    def check(self, value):
        if value != "Oslo":
            raise ValueError("must be a city that is known here: Oslo")
        return value


app = Server("refusing", version="1")


@app.tool(rate="1/h")
async def rare() -> str:
    """May be called once an hour."""
    return "called"


@app.tool(scopes=["tools:admin"])
async def restart() -> str:
    """For those who hold a scope that nobody holds."""
    return "restarted"


@app.tool(timeout=0.1)
async def slow() -> str:
    """Never ends by itself."""
    return await asyncio.Future()


@app.tool(confirm=True)
async def drop(city: str) -> str:
    """Needs somebody's word first."""
    return f"{city} is gone"


@app.tool
async def forecast(city: Annotated[str, Known()]) -> str:
    """Takes one city only."""
    return f"{city}: rain"


@app.tool(max_result_bytes=100)
async def rows() -> dict[str, str]:
    """Has more to say than it may."""
    return {"row": "x" * 200}


@app.tool
async def broken() -> str:
    """Fails in a way that its author did not foresee."""
    raise RuntimeError(SECRET)


@app.tool
async def legacy() -> str:
    """Switched off by the operator."""
    return "done"


@app.tool(timeout=2)
async def hold() -> str:
    """Keeps the one place that its caller has."""
    return await asyncio.Future()


@app.resource("shop://prices", rate="1/h")
def prices() -> str:
    """May be read once an hour."""
    return "all of them"


@app.prompt(rate="1/h")
def brief() -> str:
    """May be rendered once an hour."""
    return "Be brief."


if __name__ == "__main__":
    app.run("http", port=0) if sys.argv[1] == "http" else app.run()
