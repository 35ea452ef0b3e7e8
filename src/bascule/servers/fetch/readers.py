"""Readers: processes that read what strangers wrote, so that no page can hold up or bring down the server.

A reader that takes too long, or dies, is replaced; it gets no environment but the import path, and its memory is
bounded. Knows the frames that go to and fro: a length in four bytes, then MessagePack.
"""

import asyncio
import os
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any

import msgspec

from bascule.servers.fetch.limits import Limits, Unreadable

_LENGTH = struct.Struct(">I")
_MAX_ANSWER = 64 * 1024 * 1024


class Readers:
    """At most `limits.readers` processes, started when they are needed; close them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = asyncio.Semaphore(limits.readers)
        self.idle: list[Process] = []
        """Those that wait for a question."""

    async def page(self, body: bytes, charset: str | None, url: str, form: str) -> tuple[str, str]:
        """Title and text of an HTML page. Raises Unreadable."""
        title, text = await self._ask(["page", body, charset, url, form])
        return title, text

    async def decoded(self, body: bytes, charset: str | None) -> str:
        """The text of a body that is no HTML. Raises Unreadable."""
        text: str = await self._ask(["decoded", body, charset])
        return text

    async def allows(self, rules: str, url: str, agent: str) -> bool:
        """Whether a robots.txt lets this agent fetch a URL. Raises Unreadable."""
        allowed: bool = await self._ask(["allows", rules, url, agent])
        return allowed

    async def close(self) -> None:
        """End the processes that are idle; those at work end with their calls."""
        while self.idle:
            await _end(self.idle.pop())

    async def _ask(self, question: list[Any]) -> Any:
        async with self._room:
            process = await self._free()
            try:
                async with asyncio.timeout(self._limits.read_seconds):
                    answer = await _exchange(process, msgspec.msgpack.encode(question))
            except (TimeoutError, OSError, EOFError, msgspec.DecodeError):
                await _end(process)
                raise Unreadable("The page cannot be read: it takes too much time or memory") from None
            except BaseException:
                await _end(process)
                raise
            self.idle.append(process)
        if not answer[0]:
            raise Unreadable("The page cannot be read: it is not what it says it is")
        return answer[1]

    async def _free(self) -> Process:
        while self.idle:
            process = self.idle.pop()
            if process.returncode is None:
                return process
        paths = os.pathsep.join(path for path in sys.path if path)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "bascule.servers.fetch.reader",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"PYTHONPATH": paths},
        )


async def _exchange(process: Process, data: bytes) -> tuple[bool, Any]:
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(_LENGTH.pack(len(data)) + data)
    await process.stdin.drain()
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    if length > _MAX_ANSWER:
        raise EOFError
    answer: tuple[bool, Any] = msgspec.msgpack.decode(await process.stdout.readexactly(length), type=tuple[bool, Any])
    return answer


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
