"""The official SDK's client calling a server that asks for API keys: `URL`, then keys as a JSON list, null for none.

Runs in the peers' own environment. Prints, for each era and key, the result of `add`, or what the refusal says.
"""

import json
import sys
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


def cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def called(url: str, key: str | None, mode: str) -> Any:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                return (await client.call_tool("add", {"a": 1, "b": 2})).structured_content
        except Exception as error:
            refusal = cause(error)
            if not isinstance(refusal, MCPError):
                raise
            return {"message": str(refusal), "data": refusal.error.data}


async def main() -> None:
    url, keys = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps([await called(url, key, mode) for mode in ("auto", "legacy") for key in keys]))


anyio.run(main)
