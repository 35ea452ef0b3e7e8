"""Servers as child processes: pinned to their own core, waited for, measured, ended by their own pid.

What a server says on standard error is kept, and shown where it fails.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from bench import proc
from bench.environments import ROOT
from bench.targets import Target

SECONDS = 20
"""How long a server may take to start, and again to end."""

_SETTINGS = ("BASCULE_", "FASTMCP_", "MCP_", "UVICORN_", "BENCH_", "PYTHON", "NODE_")


class Failed(Exception):
    """A server did not start, or did not answer as it should."""


def cores() -> tuple[int, int]:
    """The processor of the servers and that of the load generator; the same where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[-1], available[0]


SERVER_CORE, GENERATOR_CORE = cores()


class Child:
    """A running server; `{folder}` in its environment is a folder that ends with it."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], piped: bool = False, core: int = SERVER_CORE
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_SETTINGS) and key != "PORT"}
        channel = subprocess.PIPE if piped else subprocess.DEVNULL
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        self._folder = tempfile.TemporaryDirectory()
        env = {key: value.replace("{folder}", self._folder.name) for key, value in env.items()}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, "NODE_ENV": "production", **env},
            stdin=channel,
            stdout=channel,
            stderr=self._errors,
            bufsize=0,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509  # the parent has one thread
        )
        self.pids = [self.process.pid]

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def settle(self) -> None:
        """Look for child processes; call it once the server has answered."""
        self.pids = proc.tree(self.process.pid)

    def cpu(self) -> proc.Cpu:
        return proc.cpu(self.pids)

    def resident_kib(self) -> int:
        return proc.resident_kib(self.pids)

    def errors(self) -> str:
        """What it has said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def end(self) -> None:
        """Close its input, tell it to stop, and wait; kill it where it does not."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._errors.close()
        self._folder.cleanup()


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], piped: bool = False, core: int = SERVER_CORE
) -> Iterator[Child]:
    """A child on this core while the block runs. What goes wrong in it is raised with what the child said last."""
    child = Child(command, env, piped, core)
    try:
        yield child
    except (OSError, ValueError, Failed) as wrong:
        raise Failed(f"{' '.join(command[1:])}: {wrong!r}\n{child.errors()[-2000:]}") from wrong
    finally:
        child.end()


@contextmanager
def http_server(target: Target, tools: int = 4, **env: str) -> Iterator[tuple[Child, int]]:
    """The target's HTTP server, listening; and its port. `env` is added to its environment."""
    port = free_port()
    command = target.command("http", port)
    assert command is not None
    with running(command, {**target.variables, "BENCH_TOOLS": str(tools), **env}) as child:
        wait_for(child, port)
        yield child, port


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(child: Child, port: int) -> None:
    """Return when the port accepts connections. Raises Failed."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and child.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise Failed("the server did not start to listen")
