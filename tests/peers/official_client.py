"""The official SDK's client, told from outside what to do: reads orders from standard input, prints what came of them.

Runs in the peers' own environment, and knows nothing of Bascule. The orders are a list in JSON, and are carried out one
after the other: `target` (a URL, or a command as a list), `mode` (the SDK's word for the era: "auto", "legacy" or a
version) and `steps`, each a method of the SDK's client with its arguments. `list_*` fetches all pages; `abandon` calls
a tool and gives it up at its first progress; `crowd` calls tools all at once. Printed are, for each order, the facts of
the connection, an answer for each step, all log messages, and how the server process ended; or `failed`, and why.
"""

import json
import sys
import traceback
import warnings
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters

SECONDS = 20
"""How long one order may take."""

PROCESSES: list[Any] = []
"""The processes that the SDK has started for an order: it does not tell how they ended."""

_open_process = anyio.open_process


async def open_process(*arguments: Any, **options: Any) -> Any:
    process = await _open_process(*arguments, **options)
    PROCESSES.append(process)
    return process


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


async def all_pages(client: Client, method: str) -> dict[str, Any]:
    pages: list[dict[str, Any]] = []
    cursor = None
    while not pages or cursor is not None:
        page = await getattr(client, method)(cursor=cursor)
        pages.append(plain(page))
        cursor = page.next_cursor
    items = {key: value for key, value in pages[0].items() if isinstance(value, list)}
    return {"pages": len(pages), **{key: [item for page in pages for item in page[key]] for key in items}}


async def call_tool(client: Client, **arguments: Any) -> dict[str, Any]:
    progress: list[Any] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total, message])

    result = await client.call_tool(progress_callback=on_progress, **arguments)
    return {**plain(result), "progress": progress}


async def abandon(client: Client, **arguments: Any) -> dict[str, Any]:
    with anyio.CancelScope() as scope:

        async def on_progress(*_: Any) -> None:
            scope.cancel()

        await client.call_tool(progress_callback=on_progress, **arguments)
    return {"abandoned": scope.cancelled_caught}


async def crowd(client: Client, calls: list[dict[str, Any]]) -> dict[str, Any]:
    results: dict[int, Any] = {}

    async def call(place: int, arguments: dict[str, Any]) -> None:
        results[place] = plain(await client.call_tool(**arguments))

    async with anyio.create_task_group() as group:
        for place, arguments in enumerate(calls):
            group.start_soon(call, place, arguments)
    return {"results": [results[place] for place in range(len(calls))]}


OWN = {"call_tool": call_tool, "abandon": abandon, "crowd": crowd}


async def take(client: Client, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """One step; an error of the server's, or a time-out, is an answer too."""
    try:
        if method.startswith("list_"):
            return await all_pages(client, method)
        if method in OWN:
            return await OWN[method](client, **arguments)
        return plain(await getattr(client, method)(**arguments))
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message, "data": error.data}}


async def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    target, logs = order["target"], []
    if isinstance(target, list):
        target = StdioServerParameters(command=target[0], args=target[1:])

    async def on_log(params: Any) -> None:
        logs.append(plain(params))

    options = {"mode": order["mode"], "log_level": "info", "read_timeout_seconds": SECONDS}
    async with Client(target, logging_callback=on_log, **options) as client:
        facts = {
            "protocolVersion": client.protocol_version,
            "server": client.server_info and plain(client.server_info),
            "capabilities": plain(client.server_capabilities),
            "instructions": client.instructions,
        }
        answers = [await take(client, method, arguments) for method, arguments in order["steps"]]
    return {**facts, "answers": answers, "logs": logs}


async def main(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = []
    for order in orders:
        PROCESSES.clear()
        try:
            with anyio.fail_after(SECONDS):
                got = await carry_out(order)
        except Exception:
            got = {"failed": traceback.format_exc()}
        ended = [{"pid": process.pid, "status": process.returncode} for process in PROCESSES]
        done.append({**got, "processes": ended})
    return done


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    anyio.open_process = open_process
    print(json.dumps(anyio.run(main, json.load(sys.stdin))))
