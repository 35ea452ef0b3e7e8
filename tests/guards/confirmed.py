"""A server whose every feature must be confirmed, for tests; as a program, it serves itself over stdio.

    python -m tests.guards.confirmed MODE FILE LOG

keeps marks and approvals in FILE and writes one line to LOG for each run of a tool.
"""

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from bascule import Context, ElicitResult, Server
from bascule.engine.policy import Policy
from bascule.guards.confirm import confirm
from bascule.stores.memory import MemoryMarks
from bascule.stores.sqlite_approvals import SqliteApprovals

SKIPPED = ("plain", "together")


def confirmed(app, guard, mode="server"):
    """The same server with the guard around every feature."""

    def around(next, feature):
        if feature.name in SKIPPED:
            return next
        return guard(next, replace(feature, policy=Policy(confirm=mode)))

    app.guard(around, before="confirm")
    return app


def make(ran, guard, mode="server"):
    """The server; `ran` is told of each run of a feature."""
    app = Server("confirmed", version="1")

    _tools(app, ran)
    _asking_tools(app, ran)

    @app.resource("secret://a")
    def secret() -> str:
        ran("secret")
        return "secret"

    @app.resource("row://{table}")
    def row(table: str) -> str:
        ran(table)
        return table

    @app.prompt
    def brief(city: str) -> str:
        ran(city)
        return city

    return confirmed(app, guard, mode)


def _tools(app, ran):
    @app.tool
    async def drop(city: str, seats: float = 1) -> str:
        ran(city)
        return f"dropped {city}"

    @app.tool
    async def anything(value: dict | None = None) -> str:
        ran(value)
        return "done"


def _asking_tools(app, ran):
    @app.tool
    async def talk(ctx: Context, city: str) -> str:
        first = await ctx.elicit(f"Why {city}?", str)
        second = await ctx.elicit("Really?", str)
        ran(city)
        return f"{first.content} {second.content}"

    @app.tool
    async def think(ctx: Context, city: str) -> str:
        said = await ctx.sample(city)
        ran(city)
        return said.text

    @app.tool(task="optional")
    async def later(city: str) -> str:
        ran(city)
        return city

    @app.tool
    async def plain(ctx: Context) -> str:
        return (await ctx.read_resource("secret://a"))[0].text

    @app.tool
    async def together(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(ctx.read_resource(uri)) for uri in ("secret://a", "row://b", "secret://a")]
        return " ".join(read.result()[0].text for read in reads)

    @app.tool
    async def nested(ctx: Context) -> str:
        return (await ctx.read_resource("secret://a"))[0].text


def yes(params):
    return ElicitResult("accept", {"confirm": True})


def main(mode, file, path):
    def ran(value):
        with Path(path).open("a") as log:
            log.write(f"{value}\n")

    store = SqliteApprovals(file)
    make(ran, confirm(store, store, server="confirmed"), mode).run()


def in_memory(ran, mode="server", **options):
    """The server with marks of this process."""
    return make(ran.append, confirm(MemoryMarks(), **options), mode)


if __name__ == "__main__":
    main(*sys.argv[1:])
