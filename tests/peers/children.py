"""Programs as child processes of a test: started, waited for by what they print, ended, and looked for afterwards."""

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM, Signals

from bascule.transports.spawn import safe_environment

SECONDS = 20
"""How long a child may take to start, and again to end."""


class Child:
    """A running program, which sees the harmless part of the environment, and `env`.

    Everything that it prints is read, so that it never waits for a reader.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            env=safe_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._said = threading.Condition()
        self._lines: list[str] = []
        self._silent = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "".join(self._lines)

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed something that matches; AssertionError where it does not, or ends before."""
        with self._said:
            self._said.wait_for(lambda: self._silent or re.search(pattern, self.output), SECONDS)
            match = re.search(pattern, self.output)
        assert match, f"it did not say {pattern!r}, but:\n{self.output}"
        return match

    def end(self, number: Signals = SIGTERM) -> int:
        """Send a signal and wait for the end, which must come soon; the exit status."""
        self._process.send_signal(number)
        try:
            return self._process.wait(SECONDS)
        finally:
            self._process.kill()
            self._process.wait(SECONDS)
            self._reader.join(SECONDS)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._said:
                self._lines.append(line)
                self._said.notify_all()
        with self._said:
            self._silent = True
            self._said.notify_all()


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """The program while the block runs; afterwards nothing of it is left."""
    child = Child(command, env)
    assert child.pid in left_of(child.pid)
    try:
        yield child
    finally:
        child.end()
        assert left_of(child.pid) == []


def left_of(group: int) -> list[int]:
    """The processes of a group that still run; those that have ended and were not collected do not count."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, own_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(own_group) == group and state not in {"Z", "X"}:
            found.append(int(stat.parent.name))
    return found
