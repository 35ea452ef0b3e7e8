"""The matrix: every client against every server, over each transport, in each era that both speak.

    python -m tests.peers.matrix                 run it and print the table
    python -m tests.peers.matrix --only TEXT     run the cells with TEXT in their name, and print what came of each step
    python -m tests.peers.matrix --write         put the table, the versions and the date into docs/interoperability.md

Knows processes, nothing of the protocol: the programs in clients/ carry the steps out, those in servers/ offer them. A
cell is one process of a client; a server over HTTP is one process for all its cells, over stdio one for each.
"""

import argparse
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from os import kill
from pathlib import Path
from typing import Any, NamedTuple

from bascule.transports.spawn import safe_environment
from tests.peers.children import Child, running
from tests.peers.known import KNOWN, PAGE, difference, known_failures, known_of, over, tables, write
from tests.peers.orders import ANSWER, judged, steps_of
from tests.peers.parties import CELLS, CLIENTS, SERVERS, Cell, command

AT_ONCE = 2
"""How many cells run at the same time."""

SECONDS = 100
"""How long a cell may take; its client gives up on each step far sooner."""


class Places:
    """Where servers listen: each is started when it is first wanted, and all are ended together."""

    def __init__(self) -> None:
        self._started = ExitStack()
        self._urls: dict[str, str] = {}
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()

    def url(self, name: str) -> str:
        """The URL of a server. AssertionError where it does not come up."""
        with self._lock:
            if name not in self._urls:
                self._urls[name] = self._start(name)
            return self._urls[name]

    def said(self, name: str) -> str:
        """The end of what a server has printed."""
        return self._children[name].output[-2000:] if name in self._children else ""

    def close(self) -> None:
        self._started.close()

    def _start(self, name: str) -> str:
        party = SERVERS[name]
        if name == "everything":  # which takes nothing but a port: one is found that is free
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            child = running([*command(party), "streamableHttp"], {"PORT": str(port)})
            self._children[name] = self._started.enter_context(child)
            self._children[name].says(party.listening)
            return f"http://127.0.0.1:{port}/mcp"
        self._children[name] = self._started.enter_context(running([*command(party), "http"]))
        return self._children[name].says(party.listening)[1] + "/mcp"


class Outcome(NamedTuple):
    """What came of one cell: why each step that failed did so, by its name; and all of it, to be looked at."""

    failed: dict[str, str]
    details: str


def run_cell(cell: Cell, places: Places) -> Outcome:
    """Have the client carry out its steps, and judge them."""
    token = f"matrix-{cell}"
    steps = steps_of(cell.server)
    try:
        target = (
            [*command(SERVERS[cell.server]), "stdio", token] if cell.transport == "stdio" else places.url(cell.server)
        )
        given = {"target": target, "era": wanted_era(cell), "answer": ANSWER}
        order = {**given, "steps": {name: filled(step.order, token) for name, step in steps.items()}}
        done = subprocess.run(
            command(CLIENTS[cell.client]),
            input=json.dumps(order),
            env=safe_environment(None),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (subprocess.TimeoutExpired, AssertionError) as late:
        return Outcome({"connect": str(late)}, str(late))
    finally:
        end(token)
    try:
        got = json.loads(done.stdout)
    except ValueError:
        return Outcome({"connect": f"the client printed no outcome: {done.stderr[-2000:]}"}, done.stdout)
    details = json.dumps(got, indent=2) + "\n" + done.stderr[-4000:] + places.said(cell.server)
    return Outcome(judged(cell, got), details)


def wanted_era(cell: Cell) -> str:
    """The old era is forced upon two that speak both; otherwise the client finds out what the server speaks."""
    return "old" if cell.era == "old" and "new" in SERVERS[cell.server].eras else "any"


def filled(order: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The order with the cell's own token where one is wanted, since servers over HTTP are shared."""
    return json.loads(json.dumps(order).replace("{token}", token))


def end(token: str) -> None:
    """End what is left of the servers that a client has started, which carry the cell's token in their command."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if token.encode() in line.read_bytes().split(b"\0"):
                kill(int(line.parent.name), signal.SIGKILL)


class Run:
    """Cells, run two at a time in the order given; what came of one can be waited for while others run."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._places = Places()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._outcomes: dict[Cell, Future[Outcome]] = {
            cell: self._pool.submit(run_cell, cell, self._places) for cell in cells
        }

    def outcome(self, cell: Cell) -> Outcome:
        return self._outcomes[cell].result()

    def failed(self) -> dict[Cell, dict[str, str]]:
        """What failed in each cell, once all have been run."""
        return {cell: outcome.result().failed for cell, outcome in self._outcomes.items()}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._places.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.peers.matrix", description="Run the matrix.")
    parser.add_argument("--only", default="", metavar="TEXT", help="run the cells whose name contains TEXT")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    cells = [cell for cell in CELLS if options.only in str(cell)]
    known = known_failures(KNOWN.read_text())
    run = Run(cells)
    found = []
    try:
        for cell in cells:
            outcome = run.outcome(cell)
            if options.only:
                print(f"== {cell}\n{outcome.details}")
            found += [f"{cell}: {line}" for line in difference(outcome.failed, known_of(cell, known))]
        found += [f"{entry.step} of {entry.fault} works now" for entry in known if over(entry, run.failed())]
    finally:
        run.close()
    print(tables(known))
    for line in found:
        print(line)
    if options.write and not found:
        write(known)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
