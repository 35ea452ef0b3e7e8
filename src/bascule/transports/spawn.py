"""A server as a child process: its standard input and output are the stream, one message a line.

Knows processes and bytes, no protocol. The child gets a process group of its own, and nothing of that group outlives
the stream: not when the child ends by itself, not when the caller is cancelled in the middle of closing. The child sees
only the harmless part of the parent's environment, and what it was given. Its standard error is the parent's.
Source: the specification, basic/transports/stdio, "Shutdown".
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from bascule.engine.connection import MAX_REPLY_BYTES
from bascule.engine.framing import LineSplitter
from bascule.errors import ConnectionLost
from bascule.transports.programs import why_not, with_ending

EXIT_GRACE = 2.0
"""Seconds that a child has to end after its input was closed, and again after SIGTERM."""

_DEATH_GRACE = 0.5
"""Seconds between the end of the child and that of its output, or the reverse, before both count as ended."""

_WINDOWS = sys.platform == "win32"
_KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
_POSIX_NAMES = frozenset({"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"})
_WINDOWS_NAMES = frozenset(
    {
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERPROFILE",
        "WINDIR",
    }
)
_PREFIXES = ("LC_", "XDG_")


def safe_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of this process's environment that a child may see, and `extra`; no secret is passed on by accident."""
    names = _WINDOWS_NAMES if _WINDOWS else _POSIX_NAMES
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name.upper() in names or name.startswith(_PREFIXES)) and not value.startswith("()")
    }
    return {**kept, **(extra or {})}


class SpawnStream(asyncio.SubprocessProtocol):
    """A stream to a child process that `start` starts."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        exit_grace: float = EXIT_GRACE,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self._command = [os.fspath(part) for part in command]
        self._environment = safe_environment(env)
        self._cwd = cwd
        self._exit_grace = exit_grace
        self._splitter = LineSplitter(max_bytes)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._exited = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._output_ended = False
        self._swept = False
        self._on_line: Callable[[bytes], None] = _ignore
        self._on_close: Callable[[Exception | None], None] | None = None

    async def start(self, on_line: Callable[[bytes], None], on_close: Callable[[Exception | None], None]) -> None:
        """Start the child. Raises ConnectionLost where it cannot be started."""
        self._on_line, self._on_close = on_line, on_close
        group: dict[str, Any] = {} if _WINDOWS else {"start_new_session": True}
        command = with_ending(self._command, self._environment, self._cwd) if _WINDOWS else self._command
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: self, *command, stderr=None, env=self._environment, cwd=self._cwd, **group
            )
        except (OSError, ValueError) as wrong:
            program = self._command[0]
            reason = why_not(program, self._environment, self._cwd, wrong)
            raise ConnectionLost(f"The server command {program!r} cannot be started: {reason}") from wrong
        except BaseException:
            self._kill(_KILL)
            raise

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return None if self._transport is None else self._transport.get_pid()

    def write(self, line: bytes) -> None:
        """Send one message; it is dropped where the child has ended."""
        if self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(line + b"\n")

    async def drain(self) -> None:
        """Return when the child reads fast enough, or has ended."""
        if not self._writable.is_set():
            await self._writable.wait()

    async def close(self) -> None:
        """End the child: close its input, wait, SIGTERM, wait, SIGKILL; then whatever is left of its group.

        A caller that is cancelled here still leaves nothing behind, only less politely.
        """
        self._on_close = None
        transport = self._transport
        if transport is None:
            return
        try:
            if self._stdin is not None:
                self._stdin.close()
            if not await self._ended_within(self._exit_grace):
                self._kill(signal.SIGTERM)
                await self._ended_within(self._exit_grace)
        finally:
            self._kill(_KILL)
            transport.close()
            await self._ended_within(self._exit_grace)

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    def _kill(self, number: signal.Signals) -> None:
        """Signal the child's group, which may outlive the child; on Windows end the child alone."""
        if self._transport is None or self._swept:
            return
        try:
            if _WINDOWS:
                self._transport.kill()
            else:
                os.killpg(self._transport.get_pid(), number)
        except (ProcessLookupError, PermissionError):
            pass

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        for line in self._splitter.feed(data):
            self._on_line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._writable.set()
            return
        self._output_ended = True
        self._expect_end()

    def process_exited(self) -> None:
        self._exited.set()
        self._writable.set()
        if not _WINDOWS:
            self._kill(signal.SIGKILL)
        self._swept = True  # from here on the number may belong to another process
        self._expect_end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _expect_end(self) -> None:
        """The child or its output has ended; when both have, or one hangs behind, tell so."""
        if self._exited.is_set() and self._output_ended:
            self._tell_end()
        elif self._on_close is not None:
            asyncio.get_running_loop().call_later(_DEATH_GRACE, self._tell_end)

    def _tell_end(self) -> None:
        tell, self._on_close = self._on_close, None
        if tell is None:
            return
        code = None if self._transport is None else self._transport.get_returncode()
        if code is None:
            tell(ConnectionLost("The server process closed its output"))
        elif code < 0:
            tell(ConnectionLost(f"The server process was ended by signal {-code}"))
        else:
            tell(ConnectionLost(f"The server process ended with exit code {code}"))


def _ignore(line: bytes) -> None:
    """Lines that come before anybody reads them are dropped."""
