"""Counts of the work that one call takes a client: in memory with its server, and over HTTP with one that only answers.

As in `counted`, every count is the difference of a longer and a shorter run. Over HTTP the other end is in this process
and its few calls count too: it writes an answer for each request that it reads.
"""

import asyncio
import json
import sys
from typing import cast

from bascule import Client
from bench.counted import FEW, Calls, count
from bench.servers.bascule_server import app

_DISCOVERED = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
_CALLED = {"resultType": "complete", "content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}}


class Answering(asyncio.Protocol):
    """The least that a client takes for a server; a request comes in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        result = _CALLED if message["method"] == "tools/call" else _DISCOVERED
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def everything() -> dict[str, float]:
    """All counts of clients, by path and name."""
    found: dict[str, float] = {}
    async with Client(app) as client:
        found |= {f"client.memory.{name}": value for name, value in (await _counted(client)).items()}
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp") as client:
        found |= {f"client.http.{name}": value for name, value in (await _counted(client)).items()}
    return found


async def _counted(client: Client) -> dict[str, float]:
    calls = _calls(client)
    await calls(FEW)
    return await count(calls)


def _calls(client: Client) -> Calls:
    async def calls(number: int) -> None:
        for _ in range(number):
            result = await client.call_tool("add", {"a": 1, "b": 2})
            if result.structured_content != {"result": 3}:
                raise ValueError(f"the answer is wrong: {result}")

    return calls


def main() -> None:
    sys.stdout.write(json.dumps(asyncio.run(everything())) + "\n")


if __name__ == "__main__":
    main()
