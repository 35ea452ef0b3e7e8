"""Bascule's client, for the matrix: see steps.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from steps import OnProgress, Order, main

from bascule import Client, ElicitResult

ERAS = {"old": "legacy", "any": None}


class Bascule:
    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def facts(self) -> dict[str, Any]:
        return {"protocolVersion": self._client.protocol_version}

    async def names(self) -> dict[str, list[str]]:
        return {
            "tools": [tool.name for tool in await self._client.list_tools()],
            "resources": [resource.uri for resource in await self._client.list_resources()],
            "prompts": [prompt.name for prompt in await self._client.list_prompts()],
        }

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> dict[str, Any]:
        return msgspec.to_builtins(await self._client.call_tool(tool, arguments, on_progress=on_progress))

    async def read(self, uri: str) -> dict[str, Any]:
        return msgspec.to_builtins(await self._client.read_resource(uri))

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]:
        return msgspec.to_builtins(await self._client.get_prompt(name, arguments))


@asynccontextmanager
async def connect(order: Order) -> AsyncIterator[Bascule]:
    def on_elicit(params: Any) -> ElicitResult:
        return ElicitResult("accept", order.form.fill(params.message, params.requested_schema))

    async with Client(order.target, era=ERAS[order.era], on_elicit=on_elicit) as client:
        yield Bascule(client)


if __name__ == "__main__":
    main(connect)
