"""What is known not to work in the matrix, and the page that shows it.

A known failure is an entry of `known_failures.toml`: the cells it is of, the step, whose fault it is, and the reason.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.peers.orders import steps_of
from tests.peers.parties import CELLS, CLIENTS, ERAS, SERVERS, TRANSPORTS, Cell, pinned

KNOWN = Path(__file__).with_name("known_failures.toml")
PAGE = Path(__file__).parent.parent.parent / "docs" / "interoperability.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"


class Known(NamedTuple):
    """A failure that is known: the cells and the step, whose fault it is, and the reason.

    What is racy depends on how bytes arrive: it need not fail in each cell, but must in one of them.
    """

    cells: frozenset[Cell]
    step: str
    fault: str
    reason: str
    racy: bool = False


def known_failures(text: str) -> list[Known]:
    """Read from TOML. A key that is left out means all; KeyError for a name that is none."""
    return [
        Known(frozenset(chosen(entry)), entry["step"], entry["fault"], entry["reason"], entry.get("racy", False))
        for entry in tomllib.loads(text).get("failure", [])
    ]


def chosen(entry: Mapping[str, Any]) -> Iterator[Cell]:
    wanted = []
    for key, names in (("client", CLIENTS), ("server", SERVERS), ("transport", TRANSPORTS), ("era", ERAS)):
        value = entry.get(key, list(names))
        values = [value] if isinstance(value, str) else value
        if not set(values) <= set(names):
            raise KeyError(f"{key} is one of {list(names)}, not {value}")
        wanted.append(values)
    return (cell for cell in CELLS if all(part in values for part, values in zip(cell, wanted, strict=True)))


def known_of(cell: Cell, known: Sequence[Known]) -> dict[str, Known]:
    """The known failures of one cell, by step."""
    return {entry.step: entry for entry in known if cell in entry.cells}


def difference(failed: Mapping[str, str], known: Mapping[str, Known]) -> list[str]:
    """What a cell does that its known failures do not say: fail in another step, or no longer fail."""
    new = [f"{step}: {why}" for step, why in failed.items() if step not in known]
    gone = [step for step, entry in known.items() if step not in failed and not entry.racy]
    return new + [f"{step} works now: take it out of {KNOWN.name}" for step in gone]


def over(entry: Known, failed: Mapping[Cell, Mapping[str, str]]) -> bool:
    """Whether what is racy fails nowhere any more, as far as can be said: all its cells must have been run."""
    return entry.racy and entry.cells <= failed.keys() and not any(entry.step in failed[cell] for cell in entry.cells)


def tables(known: Sequence[Known]) -> str:
    """What works, by era and transport, with the reasons of what does not."""
    parts = []
    for era, version in ERAS.items():
        for transport in TRANSPORTS:
            name = {"stdio": "stdio", "http": "Streamable HTTP"}[transport]
            how = {"old": "with the handshake", "new": "stateless"}[era]
            parts.append(f"**{name}, {how} ({version})**\n\n{table(transport, era, known)}")
    notes = [f"{number}. `{entry.step}`, {entry.fault}: {entry.reason}" for number, entry in enumerate(known, 1)]
    return "\n\n".join(parts) + ("\n\n" + "\n".join(notes) if notes else "")


def table(transport: str, era: str, known: Sequence[Known]) -> str:
    servers = [name for name, party in SERVERS.items() if era in party.eras]
    clients = [name for name, party in CLIENTS.items() if era in party.eras]
    rows = [["client, server", *(SERVERS[server].title for server in servers)]]
    for client in clients:
        found = [mark(Cell(client, server, transport, era), known) for server in servers]
        rows.append([CLIENTS[client].title, *found])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def mark(cell: Cell, known: Sequence[Known]) -> str:
    """How many steps work of those that the server offers, and the numbers of the notes."""
    failed = known_of(cell, known)
    offered = len(steps_of(cell.server))
    works = 0 if "connect" in failed else offered - len(failed)
    notes = [f"[{number}]" for number, entry in enumerate(known, 1) if cell in entry.cells]
    return " ".join([f"{works}/{offered}", *notes])


def write(known: Sequence[Known]) -> None:
    """Put what is known into the page, with the versions and today's date."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    today = datetime.now(UTC).date().isoformat()
    packages = "\n".join(pinned())
    PAGE.write_text(f"{head}{BEGIN}\n\nRun on {today}, with\n\n{packages}\n\n{tables(known)}\n\n{END}{tail}")
