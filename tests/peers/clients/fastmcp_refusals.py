"""What the user of FastMCP's client gets when it is refused: see refusals.py. Runs in FastMCP's own environment."""

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from refusals import Session, cause, main

MODES = {"old": "legacy", "any": "auto"}


def plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


class FastMCP:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]:
        got = await self._client.call_tool(of, arguments, raise_on_error=False)
        return {"isError": got.is_error, "content": [plain(block) for block in got.content], "_meta": got.meta}

    async def raising(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """As users call, who have not said otherwise: a failed result is an exception."""
        return {"data": await self._client.call_tool(of, arguments)}

    async def read(self, of: str, _: dict[str, Any]) -> dict[str, Any]:
        return {"contents": [plain(one) for one in await self._client.read_resource(of)]}

    async def prompt(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return plain(await self._client.get_prompt(of, arguments))


@asynccontextmanager
async def connect(session: Session) -> AsyncIterator[FastMCP]:
    async def decline(*_: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    target: Any = session.target
    if isinstance(target, list):
        target = StdioTransport(target[0], target[1:], keep_alive=False)
    else:
        target = StreamableHttpTransport(target, headers=session.headers)
    asking = {"elicitation_handler": decline} if session.asks else {}
    async with Client(target, mode=MODES[session.era], **asking) as client:
        yield FastMCP(client)


def told(error: BaseException) -> dict[str, Any]:
    error = cause(error)
    return {
        "kind": type(error).__name__,
        "message": str(error),
        **{name: getattr(error, name) for name in ("code", "data") if hasattr(error, name)},
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(connect, told)
