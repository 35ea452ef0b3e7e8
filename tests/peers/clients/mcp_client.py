"""The official Python SDK's client, for the matrix: see steps.py. Runs in the SDK's own environment."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client, StdioServerParameters
from mcp_types import ElicitResult
from steps import OnProgress, Order, main

MODES = {"old": "legacy", "any": "auto"}


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


class Official:
    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def facts(self) -> dict[str, Any]:
        return {"protocolVersion": self._client.protocol_version}

    async def names(self) -> dict[str, list[str]]:
        return {
            "tools": [tool.name for tool in (await self._client.list_tools()).tools],
            "resources": [resource.uri for resource in (await self._client.list_resources()).resources],
            "prompts": [prompt.name for prompt in (await self._client.list_prompts()).prompts],
        }

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> dict[str, Any]:
        async def tell(done: float, total: float | None, message: str | None) -> None:
            on_progress(done, total, message)

        callback = None if on_progress is None else tell
        return plain(await self._client.call_tool(tool, arguments, progress_callback=callback))

    async def read(self, uri: str) -> dict[str, Any]:
        return plain(await self._client.read_resource(uri))

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return plain(await self._client.get_prompt(name, arguments))


@asynccontextmanager
async def connect(order: Order) -> AsyncIterator[Official]:
    async def on_elicit(_: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content=order.form.fill(params.message, params.requested_schema))

    target = order.target
    if isinstance(target, list):
        target = StdioServerParameters(command=target[0], args=target[1:])
    async with Client(target, mode=MODES[order.era], elicitation_callback=on_elicit) as client:
        yield Official(client)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    main(connect)
