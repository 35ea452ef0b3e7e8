"""Where and when a run was made, and who else kept the processors busy meanwhile. Names no host and no path."""

import os
import platform
import resource
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import proc

BUSY, STOLEN = 0.05, 0.02
"""Shares of the processors' time, taken by others and by the hypervisor, above which a run is noisy."""


class Watch:
    """Tells after a run what part of the processors' time was not the run's own. All children must have ended."""

    def __init__(self) -> None:
        self._started = perf_counter()
        self._machine = proc.machine()
        self._own = _own_seconds()

    def noise(self) -> dict[str, float]:
        now = proc.machine()
        seconds = perf_counter() - self._started
        whole = seconds * (os.cpu_count() or 1)
        others = now.busy - self._machine.busy - (_own_seconds() - self._own)
        return {
            "seconds": round(seconds, 1),
            "others": round(max(others, 0.0) / whole, 4),
            "stolen": round((now.stolen - self._machine.stolen) / whole, 4),
        }


def describe() -> dict[str, Any]:
    """The machine and the day."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def processor(cpuinfo: str) -> str:
    """The model's name, from /proc/cpuinfo; the architecture where there is none."""
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
