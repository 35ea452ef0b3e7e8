"""What the user of the official Python SDK's client gets when it is refused: see refusals.py."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from refusals import Session, cause, main

MODES = {"old": "legacy", "any": "auto"}


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


class Official:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return plain(await self._client.call_tool(of, arguments))

    async def read(self, of: str, _: dict[str, Any]) -> dict[str, Any]:
        return plain(await self._client.read_resource(of))

    async def prompt(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return plain(await self._client.get_prompt(of, arguments))


@asynccontextmanager
async def connect(session: Session) -> AsyncIterator[Official]:
    async def decline(*_: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    asking = {"elicitation_callback": decline} if session.asks else {}
    async with httpx2.AsyncClient(headers=session.headers) as http:
        target: Any = session.target
        if isinstance(target, list):
            target = StdioServerParameters(command=target[0], args=target[1:])
        else:
            target = streamable_http_client(target, http_client=http)
        async with Client(target, mode=MODES[session.era], **asking) as client:
            yield Official(client)


def told(error: BaseException) -> dict[str, Any]:
    error = cause(error)
    if not isinstance(error, MCPError):
        return {"kind": type(error).__name__, "message": str(error)}
    return {"kind": "MCPError", "message": str(error), "code": error.code, "data": error.data}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(connect, told)
