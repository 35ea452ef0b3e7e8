"""The keyboard: lines that a user types, read without stopping the event loop.

A line is read only while somebody waits for one, so that what is typed for the shell stays with the shell. The thread
that reads is a daemon and holds no lock: a program that ends does not wait for a line.
"""

import asyncio
import os
import threading

_MOST = 64 * 1024


class Keyboard:
    """Reads from a descriptor, standard input unless another is given."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._reading: asyncio.Future[str | None] | None = None

    async def line(self) -> str | None:
        """The next line without its end; None where the input ends (Ctrl-D). Who stops waiting leaves it to others."""
        if self._reading is None:
            loop = asyncio.get_running_loop()
            self._reading = loop.create_future()
            threading.Thread(target=self._read, args=(loop, self._reading), daemon=True).start()
        line = await asyncio.shield(self._reading)
        self._reading = None
        return line

    def _read(self, loop: asyncio.AbstractEventLoop, waiting: "asyncio.Future[str | None]") -> None:
        data = b""
        while not data.endswith(b"\n") and len(data) < _MOST:
            try:
                part = os.read(self._descriptor, _MOST)
            except OSError:
                part = b""
            if not part:
                data = b""
                break
            data += part
        line = data.decode(errors="replace").rstrip("\r\n") if data else None
        try:
            loop.call_soon_threadsafe(_settle, waiting, line)
        except RuntimeError:
            pass  # the loop has ended meanwhile, and nobody waits


def _settle(waiting: "asyncio.Future[str | None]", line: str | None) -> None:
    if not waiting.done():
        waiting.set_result(line)
