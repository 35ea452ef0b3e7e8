"""Clients: CPU of a call over HTTP and in memory, and memory while they are open.

Over HTTP each speaks to the floor's server, which is the same for all and answers quickly. In memory each speaks to the
server of its own package, and the CPU is that of both.
"""

import os
import subprocess

from bench.child import GENERATOR_CORE, Failed, http_server
from bench.environments import ROOT, program
from bench.figures import Book
from bench.plan import Plan
from bench.targets import Target

CLIENTS = {"bascule": "own", "mcp": "mcp", "fastmcp": "fastmcp"}
"""By the name of the target whose figures they join: the environment they run in."""

ERAS = {"stateless": "modern", "handshake": "legacy"}

SECONDS = 60


def measure(floor: Target, names: set[str], plan: Plan, book: Book) -> None:
    """One round. The clients run on the load generator's core."""
    with http_server(floor) as (_, port):
        url, count = f"http://127.0.0.1:{port}/mcp", str(plan.client_calls)
        for name, command in _programs(names):
            book.note(name, "client.cpu_us", _number([*command, "calls", url, count]) * 1e6)
            book.note(name, "client.in_memory_us", _number([*command, "in-memory", count]) * 1e6)


def memory(floor: Target, names: set[str], plan: Plan, book: Book) -> None:
    """What an open client holds, in both eras; once is enough."""
    with http_server(floor) as (_, port):
        for name, command in _programs(names):
            for era, spoken in ERAS.items():
                opened = [*command, "open", f"http://127.0.0.1:{port}/mcp", str(plan.open_clients), spoken]
                book.note(name, f"client.{era}.open_kib", _number(opened))


def _programs(names: set[str]) -> list[tuple[str, list[str]]]:
    """The clients among `names` whose environments are there, and how each is started."""
    found = [(name, program(environment)) for name, environment in CLIENTS.items() if name in names]
    return [(name, [*start, f"bench/clients/{name}_client.py"]) for name, start in found if start is not None]


def _number(command: list[str]) -> float:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "BENCH_JSON": "1"},  # async tools in every server that is in the same process
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {GENERATOR_CORE}),  # the parent has one thread
    )
    if done.returncode:
        raise Failed(f"{' '.join(command[1:])}: {done.stderr[-2000:]}")
    return float(done.stdout)
