"""Counts of the work that one call takes, inside this process: no clock, no network, the same every time.

    python -m bench.counted            print all counts as JSON
    python -m bench.counted ERA CALLS  answer so many calls and nothing else, for a tool that counts instructions

Every count is the difference of a longer and a shorter run, so that what happens once is not in it. The settings are
those of the target `bascule`: without them, the default rate would soon be what is counted.
"""

import asyncio
import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from bascule.config import load
from bascule.eras.sealing import Sealer
from bascule.transports import stdio
from bench import messages, targets
from bench.servers.bascule_server import app

FEW, MANY = 40, 80
"""Calls in the shorter and in the longer run; over stdio, the longer one still fits into a pipe's buffer."""

SOME = 1000

Calls = Callable[[int], Awaitable[None]]


class Asgi:
    """The ASGI application, called as a server would; a task per request is the server's own business."""

    def __init__(self, era: str) -> None:
        self._serve = app.asgi()
        self._era = era
        self._session: str | None = None
        self.sent: list[dict[str, Any]] = []

    async def calls(self, count: int) -> None:
        """Answer so many calls of `add`."""
        job = messages.add()
        template = job.template(self._era)
        head = self._head("tools/call", "add")
        slots = messages.slots(template)
        for number in range(messages.FIRST, messages.FIRST + count):
            await self._post(head, template % ((number,) * slots))

    async def open(self) -> None:
        """The handshake, where the era has one; and one call, which loads what loads late."""
        if self._era == "handshake":
            await self._post(self._head("initialize", None), json.dumps(messages.initialize()).encode())
            self._session = dict(self.sent[0]["headers"])[b"mcp-session-id"].decode()
            await self._post(self._head("notifications/initialized", None), json.dumps(messages.INITIALIZED).encode())
        await self.calls(FEW)

    async def close(self) -> None:
        """Stop the application. Raises ValueError where the last answer was wrong: a refusal is soon counted."""
        body = self.sent[1]["body"]
        if b'"isError"' in body or b'"structuredContent"' not in body:
            raise ValueError(f"the last answer is wrong: {body!r}")

        async def receive() -> dict[str, Any]:
            return {"type": "lifespan.shutdown"}

        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        await self._serve({"type": "lifespan"}, receive, send)

    def wire_bytes(self) -> int:
        """The length of the last answer: header names and values, and the body."""
        start, body = self.sent
        return sum(len(name) + len(value) for name, value in start["headers"]) + len(body["body"])

    def _head(self, method: str, name: str | None) -> list[tuple[bytes, bytes]]:
        given = {"Host": "127.0.0.1:3000", **messages.headers(self._era, method, name, self._session)}
        return [(key.lower().encode(), value.encode()) for key, value in given.items()]

    async def _post(self, head: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        await self._serve({"type": "http", "path": "/mcp", "method": "POST", "headers": head}, receive, send)


async def stdio_calls(count: int) -> None:
    """Answer so many calls that arrive in one piece over a pipe."""
    template = messages.add().template("stateless") + b"\n"
    slots = messages.slots(template)
    reading, requests = os.pipe()
    answers, writing = os.pipe()
    os.write(
        requests, b"".join(template % ((number,) * slots) for number in range(messages.FIRST, messages.FIRST + count))
    )
    os.close(requests)
    await stdio.serve(app, reading, writing, load().stdio.max_line_bytes, lambda: Sealer(()))
    found = b""
    while chunk := os.read(answers, 65536):
        found += chunk
    os.close(answers)
    if found.count(b"\n") != count:
        raise ValueError(f"{len(found.splitlines())} answers instead of {count}")


async def function_calls(calls: Calls, count: int) -> tuple[int, int]:
    """Python functions and built-in ones called while so many calls are answered."""
    seen = {"call": 0, "c_call": 0}

    def look(_frame: Any, event: str, _argument: Any) -> None:
        if event in seen:
            seen[event] += 1

    gc.disable()
    sys.setprofile(look)
    try:
        await calls(count)
    finally:
        sys.setprofile(None)
        gc.enable()
    return seen["call"], seen["c_call"]


async def count(calls: Calls) -> dict[str, float]:
    """Function calls of one request."""
    few = await function_calls(calls, FEW)
    many = await function_calls(calls, MANY)
    return {
        "python_calls": (many[0] - few[0]) / (MANY - FEW),
        "builtin_calls": (many[1] - few[1]) / (MANY - FEW),
    }


async def memory(calls: Calls) -> dict[str, float]:
    """Bytes in use at the peak of a call, beyond those before it; and blocks that calls leave behind."""
    await calls(SOME)
    gc.collect()
    before = sys.getallocatedblocks()
    await calls(SOME)
    gc.collect()
    kept = sys.getallocatedblocks() - before
    tracemalloc.start()
    try:
        await calls(FEW)
        tracemalloc.reset_peak()
        at_rest = tracemalloc.get_traced_memory()[0]
        await calls(1)
        peak = tracemalloc.get_traced_memory()[1] - at_rest
    finally:
        tracemalloc.stop()
    return {"peak_bytes": peak, "blocks_kept_of_1000": max(kept, 0)}


async def everything() -> dict[str, float]:
    """All counts, by path and name."""
    found: dict[str, float] = {}
    for era in ("stateless", "handshake"):
        served = Asgi(era)
        await served.open()
        counts = {**await count(served.calls), **await memory(served.calls), "wire_bytes": served.wire_bytes()}
        await served.close()
        found |= {f"{era}.{name}": value for name, value in counts.items()}
    await stdio_calls(FEW)
    found |= {f"stdio.{name}": value for name, value in (await count(stdio_calls)).items()}
    return found


async def only(era: str, calls: int) -> None:
    """Answer calls, for a tool that looks on from outside."""
    served = Asgi(era)
    await served.open()
    await served.calls(calls)
    await served.close()


def main() -> None:
    os.environ.update(next(target.env for target in targets.load() if target.name == "bascule"))
    if len(sys.argv) == 3:
        asyncio.run(only(sys.argv[1], int(sys.argv[2])))
    else:
        sys.stdout.write(json.dumps(asyncio.run(everything())) + "\n")


if __name__ == "__main__":
    main()
