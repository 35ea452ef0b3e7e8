"""A real Redis of the tests' own: its own data directory, its own free port, gone when the tests are."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class NoRedis(Exception):
    """There is no Redis server on this machine, or it cannot be started; the text says why."""


class RedisServer:
    """A server, started: `url` connects to it. It keeps nothing on the disk."""

    def __init__(self, port: int | None = None) -> None:
        """Start one; about 50 ms. Raises NoRedis."""
        program = shutil.which("redis-server")
        if program is None:
            raise NoRedis("PATH has no redis-server; install redis-server")
        self._program = program
        self._directory = Path(tempfile.mkdtemp(prefix="bascule-redis-"))
        self.port = port or _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = self._started()

    def kill(self) -> None:
        """End it as a crash would; what it counted is lost."""
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        """Start it again, where it has ended, on the same port and with nothing in it."""
        if self.process.poll() is not None:
            self.process = self._started()

    def stop(self) -> None:
        """Have it hang: connections stay, and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """One command, outside of everything under test; what came back, as text."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            return connection.recv(65536).decode()

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _started(self) -> "subprocess.Popen[bytes]":
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._directory / "log").open("wb") as log:
            process = subprocess.Popen([self._program, *options, "--dir", self._directory], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not _answers(self.port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                reason = (self._directory / "log").read_text(errors="replace")[-300:]
                raise NoRedis(f"the server did not start: {reason}")
        return process


def need() -> RedisServer:
    """A server, or a skipped test; a failed one where CI=true."""
    try:
        return RedisServer()
    except NoRedis as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"Redis is needed: {reason}")
        pytest.skip(f"NO REDIS, its tests did not run: {reason}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
