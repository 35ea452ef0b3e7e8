"""FastMCP's client, for the matrix: see steps.py. Runs in FastMCP's own environment."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from steps import OnProgress, Order, main

MODES = {"old": "legacy", "any": "auto"}


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


class FastMCP:
    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def facts(self) -> dict[str, Any]:
        return {"protocolVersion": self._client.protocol_version}

    async def names(self) -> dict[str, list[str]]:
        return {
            "tools": [tool.name for tool in await self._client.list_tools()],
            "resources": [str(resource.uri) for resource in await self._client.list_resources()],
            "prompts": [prompt.name for prompt in await self._client.list_prompts()],
        }

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> dict[str, Any]:
        async def tell(done: float, total: float | None, message: str | None) -> None:
            on_progress(done, total, message)

        handler = None if on_progress is None else tell
        return plain(await self._client.call_tool_mcp(tool, arguments, progress_handler=handler))

    async def read(self, uri: str) -> dict[str, Any]:
        return plain(await self._client.read_resource_mcp(uri))

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return plain(await self._client.get_prompt(name, arguments))


@asynccontextmanager
async def connect(order: Order) -> AsyncIterator[FastMCP]:
    async def on_elicit(message: str, _: Any, params: Any, __: Any) -> dict[str, Any]:
        return order.form.fill(message, params.requested_schema)

    target = order.target
    if isinstance(target, list):
        target = StdioTransport(target[0], target[1:], keep_alive=False)
    async with Client(target, mode=MODES[order.era], elicitation_handler=on_elicit) as client:
        yield FastMCP(client)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    main(connect)
