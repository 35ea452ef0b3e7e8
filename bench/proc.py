"""What the operating system says of processes: CPU time, resident memory, threads, and who else keeps the machine busy.

Reads /proc and nothing else. CPU time comes from the scheduler's own clock in nanoseconds where every thread of the
first sample still lives at the second; else from the process's ticks, which are 10 ms each but forget no thread.
"""

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """CPU time of a process tree up to one moment."""

    threads: dict[str, int]
    """Nanoseconds by process and thread."""
    ticks: int


class Machine(NamedTuple):
    """CPU time of all processors up to one moment, in seconds."""

    busy: float
    stolen: float


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = stat_fields(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def stat_fields(text: str) -> list[str]:
    """The fields of a `stat` file after the name, which may hold anything: state, parent, group, …"""
    return text.rpartition(")")[2].split()


def cpu(pids: list[int]) -> Cpu:
    """CPU time of these processes, children that they have waited for included."""
    threads: dict[str, int] = {}
    ticks = 0
    for pid in pids:
        fields = stat_fields((PROC / str(pid) / "stat").read_text())
        ticks += sum(int(field) for field in fields[11:15])
        for task in (PROC / str(pid) / "task").iterdir():
            try:
                threads[f"{pid}/{task.name}"] = int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return Cpu(threads, ticks)


def seconds_between(before: Cpu, after: Cpu) -> float:
    """CPU seconds from one sample to a later one."""
    if before.threads.keys() <= after.threads.keys():
        return (sum(after.threads.values()) - sum(before.threads.values())) / 1e9
    return (after.ticks - before.ticks) / TICKS


def resident_kib(pids: list[int]) -> int:
    """Resident memory of these processes together."""
    return sum(_status_kib((PROC / str(pid) / "status").read_text()) for pid in pids)


def machine(text: str | None = None) -> Machine:
    """The processors' time so far, from /proc/stat."""
    line = (PROC / "stat").read_text() if text is None else text
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(field) for field in line.split()[1:9])
    return Machine((user + nice + system + irq + softirq) / TICKS, steal / TICKS)


def _status_kib(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
