"""Scripted peers: servers that say just what a test wants, on a stream in this process and over loopback HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

MODERN = "2026-07-28"
LEGACY = "2025-11-25"

Message = dict[str, Any]
Script = Callable[[Message], Iterable[Message | bytes]]


def answer(request: Message, result: Any) -> Message:
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def error(request: Message, code: int, message: str = "no", data: Any = None) -> Message:
    body = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request["id"], "error": body}


def notice(method: str, **params: Any) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": params}


DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": [MODERN],
    "capabilities": {"tools": {}},
    "instructions": "Be kind.",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
}
INITIALIZED = {
    "protocolVersion": LEGACY,
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "scripted", "version": "1"},
}


def modern(results: Mapping[str, Any] | None = None) -> Script:
    """A server of the stateless era: a result for each method, or a function of the request that gives messages."""
    return _scripted({"server/discover": DISCOVERED, **(results or {})})


def legacy(results: Mapping[str, Any] | None = None) -> Script:
    """A server of the handshake era."""
    return _scripted({"initialize": INITIALIZED, "ping": {}, **(results or {})})


def _scripted(results: Mapping[str, Any]) -> Script:
    def script(message: Message) -> Iterable[Message | bytes]:
        if "id" not in message or "method" not in message:
            return []
        result = results.get(message["method"])
        if callable(result):
            return list(result(message))
        if result is None:
            return [error(message, -32601, "Method not found")]
        return [answer(message, result)]

    return script


class ScriptedStream:
    """The client's end of a stream to a script; `sent` keeps what the client wrote."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sent: list[Message] = []
        self.closed = False
        self._on_line: Callable[[bytes], None] | None = None
        self._on_close: Callable[[Exception | None], None] | None = None
        self._arrived = asyncio.Event()

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        self._on_line, self._on_close = on_line, on_close

    def write(self, line: bytes) -> None:
        assert b"\n" not in line
        message = json.loads(line)
        self.sent.append(message)
        self._arrived.set()
        for reply in self.script(message):
            self.say(reply)

    def say(self, message: Message | bytes) -> None:
        assert self._on_line is not None
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        asyncio.get_running_loop().call_soon(self._on_line, data)

    def end(self, cause: Exception | None = None) -> None:
        assert self._on_close is not None
        asyncio.get_running_loop().call_soon(self._on_close, cause)

    async def until_sent(self, method: str) -> Message:
        """Wait until the client has sent a message of this method."""
        while True:
            for message in self.sent:
                if message.get("method") == method:
                    return message
            self._arrived.clear()
            await self._arrived.wait()

    async def drain(self) -> None:
        return

    async def close(self) -> None:
        self.closed = True

    def methods(self) -> list[str]:
        return [message.get("method", "(answer)") for message in self.sent]


class Posted:
    """One HTTP request as it arrived, and the means to answer it."""

    def __init__(
        self, verb: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.verb = verb
        self.path = path
        self.headers = headers
        self.message: Message = json.loads(body) if body else {}
        self.gone = asyncio.Event()
        self._writer = writer

    async def json(self, message: Any, status: int = 200, **headers: str) -> None:
        await self.send(json.dumps(message).encode(), status, "application/json", **headers)

    async def send(self, body: bytes = b"", status: int = 202, kind: str = "", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()} | (
            {"Content-Type": kind} if kind else {}
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self._writer.drain()

    async def events(self, *parts: Message | bytes, end: bool = True) -> None:
        """A stream of events, one HTTP chunk each; without `end` it stays open."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._writer.write(head)
        for part in parts:
            data = part if isinstance(part, bytes) else b"event: message\ndata: " + json.dumps(part).encode() + b"\n\n"
            self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        if end:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def chunk(self, message: Message) -> None:
        """One more event of a stream that is open."""
        data = b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self._writer.drain()

    def hang_up(self) -> None:
        self._writer.close()


Handler = Callable[[Posted], Awaitable[None]]


class ScriptedHTTP:
    """A loopback HTTP server; `posted` keeps what came."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.posted: list[Posted] = []
        self.connections = 0
        self.url = ""
        self._arrived = asyncio.Event()

    def methods(self) -> list[str]:
        return [posted.message.get("method", posted.verb) for posted in self.posted]

    async def until_posted(self, method: str) -> Posted:
        while True:
            for posted in self.posted:
                if posted.message.get("method", posted.verb) == method:
                    return posted
            self._arrived.clear()
            await self._arrived.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        verb, path, _ = head[0].split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        posted = Posted(verb, path, headers, body, writer)
        self.posted.append(posted)
        self._arrived.set()
        handling = asyncio.ensure_future(self.handler(posted))
        watching = asyncio.ensure_future(reader.read(1))
        await asyncio.wait([handling, watching], return_when=asyncio.FIRST_COMPLETED)
        if not handling.done():
            posted.gone.set()
            handling.cancel()
            await asyncio.wait([handling])
            return False
        await handling
        watching.cancel()
        await asyncio.wait([watching])
        return not writer.is_closing()


@asynccontextmanager
async def http(handler: Handler) -> AsyncIterator[ScriptedHTTP]:
    """Serve `handler` on a free loopback port."""
    scripted = ScriptedHTTP(handler)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield scripted
    finally:
        server.close()


def speaking(script: Script, session: str | None = None) -> Handler:
    """A handler that answers every POST from a script, in JSON, or in events where there are several messages."""

    async def handler(posted: Posted) -> None:
        headers = {} if session is None else {"mcp_session_id": session}
        replies: list[Any] = list(script(posted.message)) if posted.verb == "POST" else []
        if not replies:
            await posted.send(b"", 202, "", **headers)
        elif len(replies) == 1:
            status = 200 if "result" in replies[0] else 400
            await posted.json(replies[0], status, **headers)
        else:
            await posted.events(*replies)

    return handler
