"""stdio, server side: one JSON-RPC message a line on standard input and output.

The descriptors 0 and 1 are taken away before the first message: the protocol speaks over private copies, standard
input becomes empty and standard output becomes standard error. So nothing that prints (Python, C, a child process) can
corrupt the stream, and no child can steal a message.
Source: specification 2026-07-28, basic/transports/stdio.
"""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable

from bascule.engine.application import Application
from bascule.engine.exchange import LOCAL
from bascule.engine.framing import LineSplitter, TooLong
from bascule.engine.ports import MakeSeal
from bascule.eras.route import StreamRoute
from bascule.errors import ParseError
from bascule.runtime.lifespan import Lifespan
from bascule.runtime.pump import Pump
from bascule.wire.jsonrpc import encode, error_response

PATIENCE = 1.0
"""Seconds that running requests get to finish once standard input has closed."""

STARTING = 10.0
"""Seconds that the application gets to start once standard input has closed with requests in it."""

CLOSING = 5.0
"""Seconds that the application's lifespan gets to end."""

MAX_UNREAD = 32 * 1024 * 1024
"""How many bytes may wait for the client to read them before no more of its messages are read."""

_CHUNK = 256 * 1024
_HIGH_WATER = 1024 * 1024


def claim() -> tuple[int, int]:
    """Take descriptors 0 and 1 for the protocol: returns private copies for reading and writing.

    Afterwards 0 is the null device and 1 is standard error. What Python had buffered for standard output goes to
    standard error too. Child processes inherit none of the copies.
    """
    null = os.open(os.devnull, os.O_RDWR)
    reading, writing = _copy(0, null), _copy(1, null)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(null, 1)
    if null > 2:
        os.close(null)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    return reading, writing


def _copy(descriptor: int, instead: int) -> int:
    """A private copy of a descriptor, or of `instead` where the parent has closed it."""
    try:
        return os.dup(descriptor)
    except OSError:
        return os.dup(instead)


async def serve(application: Application, reading: int, writing: int, max_line: int, make_seal: MakeSeal) -> None:
    """Serve one client over two descriptors until its input closes, its output breaks, or SIGTERM or SIGINT arrives.

    Reading begins before the application is ready, so that a client that leaves is noticed; its requests wait.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stopping.set)
    writer = LineWriter(writing, stopping)
    await writer.open()
    pump = Pump(application, StreamRoute(application, make_seal), LOCAL, writer.write, writer.drained)
    lifespan = Lifespan(application)
    reader = loop.create_task(_read(reading, pump, writer, max_line))
    stopped = loop.create_task(stopping.wait())
    try:
        if await _started(lifespan, pump, reader, stopped):
            await asyncio.wait({reader, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await pump.finish(PATIENCE if reader.done() else 0)
    finally:
        for task in (reader, stopped):
            task.cancel()
        await writer.close()
        await lifespan.stop(CLOSING)


async def _started(lifespan: Lifespan, pump: Pump, reader: "asyncio.Task[None]", stopped: "asyncio.Task[bool]") -> bool:
    """Whether the application started before there was nobody left to serve. Raises what its start raised."""
    starting = asyncio.get_running_loop().create_task(lifespan.start())
    await asyncio.wait({starting, reader, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done() and pump.busy and not stopped.done():  # the input has ended, with requests in it
        await asyncio.wait({starting, stopped}, timeout=STARTING, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return False
    starting.result()
    pump.open(lifespan.value)
    return True


async def _read(reading: int, pump: Pump, writer: "LineWriter", max_line: int) -> None:
    """Feed every line to the pump; wait while its queue is full, or too much waits for the client to read it."""
    splitter = LineSplitter(max_line)
    too_long = encode(error_response(ParseError(f"Parse error: a message may have at most {max_line} bytes")))
    read = await _open_reader(reading)
    while chunk := await read():
        for line in splitter.feed(chunk):
            if type(line) is TooLong:
                writer.write(too_long)
                continue
            pump.feed(line)
            if pump.full:
                await pump.room()
        if writer.held > MAX_UNREAD:
            await writer.drained()


async def _open_reader(reading: int) -> Callable[[], Awaitable[bytes]]:
    """A function that waits for the next bytes; empty at the end. Files and devices that cannot be polled are read."""
    if not _pollable(reading):

        async def read_file() -> bytes:
            await asyncio.sleep(0)
            return os.read(reading, _CHUNK)

        return read_file
    reader = asyncio.StreamReader(limit=_CHUNK)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )

    async def read_stream() -> bytes:
        return await reader.read(_CHUNK)

    return read_stream


def _pollable(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


class LineWriter(asyncio.BaseProtocol):
    """Writes lines to a descriptor; those of one turn of the loop leave in one system call."""

    def __init__(self, writing: int, broken: asyncio.Event) -> None:
        self._descriptor = writing
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._lines: list[bytes] = []
        self._gathered = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._lost = asyncio.Event()

    async def open(self) -> None:
        """Start writing; a descriptor that cannot be polled (a file) is written to directly."""
        if _pollable(self._descriptor):
            pipe = os.fdopen(self._descriptor, "wb", buffering=0)
            self._transport, _ = await self._loop.connect_write_pipe(lambda: self, pipe)
            self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    @property
    def held(self) -> int:
        """How many bytes the client has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, line: bytes) -> None:
        """Write one message, soon."""
        if not self._lines:
            self._loop.call_soon(self._flush)
        self._lines.append(line)
        self._gathered += len(line)
        if self._gathered > _HIGH_WATER:
            self._flush()

    async def drained(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if not self._flowing.is_set():
            await self._flowing.wait()

    async def close(self, grace: float = 1.0) -> None:
        """Write what is left, waiting at most `grace` seconds for a client that does not read."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), grace)

    def pause_writing(self) -> None:
        """Called by the loop when the client has stopped reading."""
        self._flowing.clear()

    def resume_writing(self) -> None:
        """Called by the loop when the client reads again."""
        self._flowing.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop when the descriptor is closed or broken: nobody reads any more."""
        self._flowing.set()
        self._lost.set()
        self._broken.set()

    def _flush(self) -> None:
        if not self._lines:
            return
        data = b"\n".join(self._lines) + b"\n"
        self._lines.clear()
        self._gathered = 0
        if self._transport is not None:
            self._transport.write(data)
            return
        while data:
            data = data[os.write(self._descriptor, data) :]
