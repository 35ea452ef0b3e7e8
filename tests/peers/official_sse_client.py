"""The official SDK's HTTP+SSE client: shakes hands, lists, calls `steps`, and prints what came of it.

Runs in the peers' own environment, and knows nothing of Bascule. The one argument is the URL of the stream.
"""

import json
import sys
import warnings
from typing import Any

import anyio
from mcp import ClientSession
from mcp.client.sse import sse_client


async def main(url: str) -> dict[str, Any]:
    logs: list[Any] = []
    progress: list[Any] = []

    async def on_log(params: Any) -> None:
        logs.append(params.data)

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append([done, total])

    with anyio.fail_after(30):
        async with sse_client(url) as streams, ClientSession(*streams, logging_callback=on_log) as session:
            await session.initialize()
            tools = await session.list_tools()
            await session.set_logging_level("info")
            result = await session.call_tool("steps", {}, progress_callback=on_progress)
    names = [tool.name for tool in tools.tools]
    return {"tools": names, "text": result.content[0].text, "progress": progress, "logs": logs}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(anyio.run(main, sys.argv[1])))
