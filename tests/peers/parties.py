"""Who is in the matrix: clients and servers, how they are started, and the cells in which they meet.

Knows programs by their commands, and where `make peers` puts what they need.
"""

import json
import re
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.conformance.run import find_node

HERE = Path(__file__).parent
PEERS = HERE.parent.parent / ".peers"

TRANSPORTS = ("stdio", "http")
ERAS = {"old": "2025-11-25", "new": "2026-07-28"}
"""The newest version of each era, which two that speak it must agree on."""

NODE_OPTIONS = ["--preserve-symlinks", "--preserve-symlinks-main", "--no-deprecation"]


class Party(NamedTuple):
    """One row or column: its name in the table, where it runs, the eras it speaks, and the package it is of."""

    title: str
    environment: str
    program: str
    eras: tuple[str, ...]
    package: str
    listening: str = ""
    """What a server over HTTP prints when it listens; the group is its URL without the path."""


UVICORN = r"Uvicorn running on (http://127\.0\.0\.1:\d+)"
SERVING = r"(?:Serving \w+|listening) on (http://127\.0\.0\.1:\d+)/mcp"
BOTH, OLD = ("old", "new"), ("old",)

CLIENTS = {
    "bascule": Party("Bascule", "own", "clients/bascule_client.py", BOTH, "bascule"),
    "mcp": Party("Python SDK", "mcp", "clients/mcp_client.py", BOTH, "mcp"),
    "fastmcp": Party("FastMCP", "fastmcp", "clients/fastmcp_client.py", BOTH, "fastmcp"),
    "typescript-v1": Party(
        "TypeScript v1", "node", "clients/typescript_v1_client.mjs", OLD, "@modelcontextprotocol/sdk"
    ),
    "typescript-v2": Party(
        "TypeScript v2", "node", "clients/typescript_v2_client.mjs", BOTH, "@modelcontextprotocol/client"
    ),
}
SERVERS = {
    "bascule": Party("Bascule", "own", "servers/bascule_server.py", BOTH, "bascule", SERVING),
    "mcp": Party("Python SDK", "mcp", "servers/mcp_server.py", BOTH, "mcp", UVICORN),
    "fastmcp": Party("FastMCP", "fastmcp", "servers/fastmcp_server.py", BOTH, "fastmcp", UVICORN),
    "typescript-v1": Party(
        "TypeScript v1", "node", "servers/typescript_v1_server.mjs", OLD, "@modelcontextprotocol/sdk", SERVING
    ),
    "typescript-v2": Party(
        "TypeScript v2", "node", "servers/typescript_v2_server.mjs", BOTH, "@modelcontextprotocol/server", SERVING
    ),
    "everything": Party(
        "server-everything",
        "node",
        "node_modules/@modelcontextprotocol/server-everything/dist/index.js",
        OLD,
        "@modelcontextprotocol/server-everything",
        r"listening on port (\d+)",
    ),
}


class Cell(NamedTuple):
    """One client and one server, by name, and how they speak."""

    client: str
    server: str
    transport: str
    era: str

    def __str__(self) -> str:
        return "-".join(self)


CELLS = [
    Cell(client, server, transport, era)
    for era, transport, server, client in product(ERAS, TRANSPORTS, SERVERS, CLIENTS)
    if era in CLIENTS[client].eras and era in SERVERS[server].eras
]


def program(environment: str) -> list[str] | None:
    """What a command of this environment begins with; None where `make peers` has not made it."""
    if environment == "own":
        return [sys.executable]
    if environment == "node":
        node = find_node()
        return [node, *NODE_OPTIONS] if node and (PEERS / ".installed-node").exists() else None
    python = PEERS / environment / "bin/python"
    return [str(python)] if (PEERS / f".installed-{environment}").exists() and python.exists() else None


def command(party: Party) -> list[str]:
    """The command of a client, or of a server without its transport."""
    folder = PEERS if party.environment == "node" else HERE
    return [*(program(party.environment) or []), str(folder / party.program)]


def pinned() -> list[str]:
    """The packages and versions that `make peers` fetches, one line each."""
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    for environment in ("mcp", "fastmcp"):
        pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (HERE / f"{environment}.txt").read_text(), re.MULTILINE))
        packages[environment] = pins[environment]
    named = {party.package for party in [*CLIENTS.values(), *SERVERS.values()]}
    return [f"- `{package}` {packages[package]}" for package in sorted(named & packages.keys())]
