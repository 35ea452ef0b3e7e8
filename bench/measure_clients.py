"""CPU of clients: each calls the floor's server, which is the same for all and answers quickly."""

import os
import subprocess

from bench.child import GENERATOR_CORE, Failed, http_server
from bench.environments import ROOT, program
from bench.figures import Book
from bench.plan import Plan
from bench.targets import Target

CLIENTS = {"bascule": "own", "mcp": "mcp", "fastmcp": "fastmcp"}
"""By the name of the target whose figures they join: the environment they run in."""

SECONDS = 60


def measure(floor: Target, names: set[str], plan: Plan, book: Book) -> None:
    """One round. The client runs on the load generator's core."""
    with http_server(floor) as (_, port):
        for name, environment in CLIENTS.items():
            start = program(environment)
            if name in names and start is not None:
                command = [*start, f"bench/clients/{name}_client.py", f"http://127.0.0.1:{port}/mcp"]
                book.note(name, "client.cpu_us", _seconds([*command, str(plan.client_calls)]) * 1e6)


def _seconds(command: list[str]) -> float:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {GENERATOR_CORE}),  # the parent has one thread
    )
    if done.returncode:
        raise Failed(f"{command[-3]}: {done.stderr[-2000:]}")
    return float(done.stdout)
