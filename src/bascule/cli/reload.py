"""Reloading: a server in a child process, restarted when a Python file in a folder changes.

Knows processes and files, no protocol. A child that ends by itself (a syntax error, say) is started again at the next
change. Changes are seen by looking at every file's time and size twice a second.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

INTERVAL = 0.5
GRACE = 15.0
"""Seconds that a child has to finish what it is doing."""

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}

Stamp = dict[Path, tuple[int, int]]


def supervise(words: Sequence[str], folder: Path) -> int:
    """Run `bascule` with these words until Ctrl-C or SIGTERM, again after every change in the folder. Returns 0."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        while True:
            before = stamp(folder)
            child = subprocess.Popen([sys.executable, "-m", "bascule", *words])
            try:
                changed = _changed(folder, before, child)
            finally:
                _end(child)
            print(f"{changed.name} has changed; restarting", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        return 0


def stamp(folder: Path) -> Stamp:
    """When every Python file under a folder was changed, and its size; hidden and installed ones are left out."""
    found: Stamp = {}
    for entry in folder.iterdir():
        try:
            if entry.is_dir():
                if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                    found.update(stamp(entry))
            elif entry.suffix == ".py":
                facts = entry.stat()
                found[entry] = (facts.st_mtime_ns, facts.st_size)
        except OSError:
            continue  # it went away while we looked
    return found


def _changed(folder: Path, before: Stamp, child: subprocess.Popen[bytes]) -> Path:
    """Wait for a change and return the first file that changed, came or went."""
    told = False
    while True:
        now = stamp(folder)
        for path in sorted(before.keys() | now.keys()):
            if before.get(path) != now.get(path):
                return path
        if child.poll() is not None and not told:
            told = True
            print(f"The server ended with code {child.returncode}; waiting for a change", file=sys.stderr, flush=True)
        time.sleep(INTERVAL)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and wait for it; Ctrl-C, which reaches it too, does not hurry us."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
