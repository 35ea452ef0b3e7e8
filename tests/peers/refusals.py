"""Refusals as users of other people's clients get them: how a client is run, and what is made of what it prints.

Knows programs and what must arrive, whichever way a client tells it; see clients/refusals.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import bascule
from bascule.transports.spawn import safe_environment
from tests.peers.children import running
from tests.peers.parties import CLIENTS, PEERS, SERVING, program

HERE = Path(__file__).parent
SERVER = [sys.executable, str(HERE / "servers/refusing_server.py")]
SECONDS = 120
"""How long all sessions of one client may take."""

MAX_FAILURES = 5
PER_ADDRESS = 2


class Way(NamedTuple):
    """One client, what it speaks over, and in which era."""

    client: str
    transport: str
    era: str

    def __str__(self) -> str:
        return "-".join(self)

    @property
    def key(self) -> str:
        """Its API key, which gives it limits of its own."""
        return f"key-of-{self}-0123456789abcdef"


WAYS = [
    Way(client, transport, era)
    for client, party in CLIENTS.items()
    if client != "bascule"
    for transport in ("stdio", "http")
    for era in party.eras
]


def step(do: str, of: str, times: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"do": do, "of": of, "arguments": arguments, "times": times}


STEPS = {
    "rate": step("call", "rare", 2),
    "resource rate": step("read", "shop://prices", 2),
    "prompt rate": step("prompt", "brief", 2),
    "scope": step("call", "restart"),
    "timeout": step("call", "slow"),
    "declined": step("call", "drop", city="Oslo"),
    "rule": step("call", "forecast", city="Atlantis"),
    "unknown argument": step("call", "forecast", city="Oslo", town="Oslo"),
    "size": step("call", "rows"),
    "internal": step("call", "broken"),
    "deny": step("call", "legacy"),
    "load": step("race", "hold"),
}
RAISING = {"raised": step("raising", "rows")}
MUTE = {"cannot ask": step("call", "drop", city="Oslo")}
DOORS = ("no key", "wrong key", "too many failures", "address")
SITUATIONS = (*STEPS, *MUTE, *DOORS, *RAISING)
SECRET_WORDS = "hunter2"
"""A part of what the server's broken tool says in its exception, which nobody may read."""


def offered(way: Way, situation: str) -> bool:
    """Whether a situation can come up: at the machine itself there is no door, and the user holds every scope."""
    if situation in RAISING:
        return way.client == "fastmcp"
    return way.transport == "http" or (situation != "scope" and situation not in DOORS)


class Places(NamedTuple):
    """Where the server is: behind keys, and open to all but limited by address."""

    keyed: str
    open: str


def environment(**more: str) -> dict[str, str]:
    """What a server sees: this tree's source, and its settings."""
    source = str(Path(bascule.__file__).parent.parent)
    return {"PYTHONPATH": source, "BASCULE_CONFIG": str(HERE / "servers/refusing.toml"), **more}


@contextmanager
def served() -> Iterator[Places]:
    keys = ",".join(f"{way.key}=tools:read" for way in WAYS if way.transport == "http")
    with ExitStack() as stack:
        places = [
            stack.enter_context(running([*SERVER, "http"], environment(**more))).says(SERVING)[1] + "/mcp"
            for more in ({"MCP_API_KEYS": keys}, {"BASCULE_LIMITS__PER_ADDRESS": f"{PER_ADDRESS}/h"})
        ]
        yield Places(*places)


def stdio_command() -> list[str]:
    """The server over stdio, which takes one call at a time. Its environment is in the command: every client starts
    it, and none is asked what it lets through."""
    given = environment(BASCULE_LOAD__MAX_CALLS="1")
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in given.items()), *SERVER, "stdio"]


class Orders:
    """The sessions of one client, and which step of which session tells of a situation."""

    def __init__(self, places: Places, client: str) -> None:
        self._places = places
        self._addresses = (f"198.51.100.{1 + number}" for number in count(sorted(CLIENTS).index(client) * 40))
        self.sessions: list[dict[str, Any]] = []
        self.found: dict[tuple[Way, str], tuple[int, str]] = {}
        for way in WAYS:
            if way.client == client:
                self._add(way)

    def _add(self, way: Way) -> None:
        steps = {name: one for name, one in (RAISING | STEPS).items() if offered(way, name)}
        target = stdio_command() if way.transport == "stdio" else self._places.keyed
        key = {"Authorization": f"Bearer {way.key}"} if way.transport == "http" else {}
        self._session(way, target, key, False, MUTE)
        self._session(way, target, key, True, steps)
        if way.transport == "http":
            wrong = {"X-API-Key": "wrong"}
            self._door(way, "no key", target, {})
            self._door(way, "wrong key", target, wrong)
            self._door(way, "too many failures", target, wrong, MAX_FAILURES)
            self._door(way, "address", self._places.open, {}, PER_ADDRESS)

    def _session(self, way: Way, target: Any, headers: Any, asks: bool, steps: Mapping[str, Any]) -> None:
        self.found |= {(way, name): (len(self.sessions), name) for name in steps}
        era = "old" if way.era == "old" else "any"
        self.sessions.append({"target": target, "era": era, "headers": headers, "asks": asks, "steps": steps})

    def _door(self, way: Way, name: str, target: str, headers: Mapping[str, str], before: int = 0) -> None:
        """A session that does not get in; `before` it, as many requests came from the same address."""
        headers = {**headers, "X-Forwarded-For": next(self._addresses)}
        for _ in range(before):
            knock(target, headers)
        self._session(way, target, headers, False, {})
        self.found[way, name] = (len(self.sessions) - 1, "connect")


def knock(url: str, headers: Mapping[str, str]) -> None:
    """One request, whatever comes of it."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=SECONDS)
    try:
        connection.request("POST", parts.path, b"{}", {**headers, "Content-Type": "application/json"})
        connection.getresponse().read()
    finally:
        connection.close()


def run(client: str, places: Places) -> dict[tuple[Way, str], Any]:
    """What came of every situation, for one client. AssertionError where it printed nothing that can be read."""
    orders = Orders(places, client)
    party = CLIENTS[client]
    folder = PEERS if party.environment == "node" else HERE
    name = party.program.replace("_client", "_refusals")
    done = subprocess.run(
        [*(program(party.environment) or []), str(folder / name)],
        input=json.dumps(orders.sessions),
        env=safe_environment(None),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    try:
        printed = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{client} printed no outcome:\n{done.stderr[-4000:]}") from None
    return {
        situation: printed[session].get(name, printed[session].get("connect"))
        for situation, (session, name) in orders.found.items()
    }
