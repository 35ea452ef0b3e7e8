"""The gate: fails when a call takes more work than the limits of gate.toml allow, whatever the machine's mood.

    python -m bench.gate [--instructions]   compare; exit status 1 where a limit is passed
    python -m bench.gate --write            write today's counts, with a little room above them, as the new limits

It judges counts only: function calls, bytes and blocks of memory, bytes on the wire, modules imported and, where
valgrind is, the processor's instructions. The last differ between builds of Python, so they are judged only with the
interpreter and processor that the limit was written with.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench import measure_stdio, targets
from bench.environments import ROOT
from bench.figures import Book

FILE = Path(__file__).parent / "gate.toml"
ROOM = 0.05
"""How far above the present count a new limit is put; at least one, and more for what may come and go by itself."""

_LEAST_ROOM = {"blocks_kept_of_1000": 20}

INTERPRETER = f"{platform.python_implementation()} {platform.python_version()} {platform.machine()}"

_FEW, _MANY = 100, 300
_REFS = re.compile(r"I +refs: +([\d,]+)")
_IMPORTS = {
    "modules.import_bascule": "import bascule",
    "modules.import_server": "from bascule import Server",
}
_COUNT_MODULES = "import sys; before = set(sys.modules); {}; print(len(set(sys.modules) - before))"
_COLD = {"modules.own_run": "bascule", "modules.bascule_serve": "bascule-serve"}


class Limit(NamedTuple):
    """What one count may be."""

    name: str
    count: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.count > self.limit


def counts() -> dict[str, float]:
    """All counts but instructions; about four seconds."""
    found: dict[str, float] = json.loads(_python("-m", "bench.counted"))
    found |= json.loads(_python("-m", "bench.counted_clients"))
    for name, statement in _IMPORTS.items():
        found[name] = int(_python("-c", _COUNT_MODULES.format(statement)))
    return {**found, **_cold_modules()}


def instructions() -> dict[str, float]:
    """Instructions of one call of the ASGI application, by valgrind; empty where there is none. Half a minute."""
    if shutil.which("valgrind") is None:
        return {}
    eras = ("stateless", "handshake")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {(era, calls): pool.submit(_instructions, era, calls) for era in eras for calls in (_FEW, _MANY)}
        refs = {key: run.result() for key, run in runs.items()}
    return {f"{era}.instructions": round((refs[era, _MANY] - refs[era, _FEW]) / (_MANY - _FEW)) for era in eras}


def judge(found: dict[str, float], limits: dict[str, float]) -> list[Limit]:
    """Each count beside its limit. Raises KeyError for a count without one."""
    return [Limit(name, value, limits[name]) for name, value in found.items()]


def load(path: Path = FILE) -> tuple[dict[str, float], str]:
    """The limits, and the interpreter that those of instructions hold for."""
    found = tomllib.loads(path.read_text())
    return found["limits"], found["interpreter"]


def limits_for(found: dict[str, float]) -> str:
    """A new gate.toml for these counts."""
    head = (
        "# The most that one call may take; written by `python -m bench.gate --write`, which leaves 5% above\n"
        "# the count of the day, given beside each limit. Instructions hold for the interpreter named here only.\n\n"
    )
    rows = [f'"{name}" = {round(value + _room(name, value))}  # {round(value)}\n' for name, value in found.items()]
    return f'{head}interpreter = "{INTERPRETER}"\n\n[limits]\n' + "".join(rows)


def table(limits: list[Limit]) -> str:
    """One line for each limit."""
    return "".join(
        f"{'PASSED' if limit.passed else 'ok':6}  {limit.name:32} {limit.count:>10,.0f}  of {limit.limit:,.0f}\n"
        for limit in limits
    )


def _room(name: str, value: float) -> float:
    return max(_LEAST_ROOM.get(name.rpartition(".")[2], 1), value * ROOM)


def _instructions(era: str, calls: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    done = _run([*command, "-m", "bench.counted", era, str(calls)])
    found = _REFS.search(done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind counted nothing: {done.stderr[-1000:]}")
    return int(found[1].replace(",", ""))


def _cold_modules() -> dict[str, float]:
    known = {target.name: target for target in targets.load()}
    book = Book()
    for name in _COLD.values():
        measure_stdio.modules(known[name], book)
    figures = book.figures()
    return {metric: figures[name]["cold.modules"].median for metric, name in _COLD.items()}


def _python(*arguments: str) -> str:
    return _run([sys.executable, *arguments]).stdout


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("BASCULE_", "BENCH_"))}
    env["PYTHONHASHSEED"] = "0"
    return subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True, timeout=120)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instructions", action="store_true", help="count instructions too, where valgrind is")
    parser.add_argument("--write", action="store_true", help="make today's counts the limits")
    arguments = parser.parse_args()
    found = counts()
    if arguments.write:
        FILE.write_text(limits_for({**found, **instructions()}))
        return 0
    limits, interpreter = load()
    counted = instructions() if arguments.instructions else {}
    if interpreter == INTERPRETER:
        found |= counted
    judged = judge(found, limits)
    sys.stdout.write(table(judged))
    if counted and interpreter != INTERPRETER:
        sys.stdout.write(f"not judged with {INTERPRETER}: {counted}\n")
    return 1 if any(limit.passed for limit in judged) else 0


if __name__ == "__main__":
    sys.exit(main())
