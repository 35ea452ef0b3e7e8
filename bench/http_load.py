"""The HTTP load generator: blocking-free sockets and one epoll, light enough to outrun the floor.

Each connection has one request out at a time. Every reply is read whole and checked; one wrong reply ends the run.
"""

import gc
import random
import re
import select
import socket
from collections import deque
from collections.abc import Iterator
from itertools import count
from time import perf_counter
from typing import NamedTuple

from bench.child import Failed
from bench.messages import FIRST, LAST, Right, slots

HEADLESS, CHUNKED = -1, -2
"""Why it is not known how much is missing: the head is not whole, or it gives no length."""

_PATIENCE = 20
_CHUNK = 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_OK = b"HTTP/1.1 200"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Load(NamedTuple):
    """What one run brought: replies, seconds, and the seconds that each reply took, in order."""

    replies: int
    seconds: float
    latencies: list[float]
    bytes_in: int

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Connection:
    """One connection. `template` is the request without its number."""

    def __init__(self, port: int, template: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(None)  # with a time limit, Python would poll before each call
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.template = template
        self.slots = slots(template)
        self.number = 0
        self.sent = 0.0
        self.parts: list[bytes] = []
        self.missing = 0

    def send(self, number: int) -> None:
        self.number = number
        self.sent = perf_counter()
        self.socket.sendall(self.template % ((number,) * self.slots))

    def receive(self) -> bytes | None:
        """The whole reply, or None while part of it is still to come. Raises Failed."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise Failed(f"the server closed the connection after {b''.join(self.parts)[:500]!r}")
        self.parts.append(data)
        if self.missing > 0:
            self.missing -= len(data)
        elif self.missing == CHUNKED:
            tail = b"".join([part[-len(_LAST_CHUNK) :] for part in self.parts[-3:]])
            self.missing = 0 if tail.endswith(_LAST_CHUNK) else CHUNKED
        else:
            self.missing = missing_bytes(b"".join(self.parts))
        if self.missing:
            return None
        reply = data if len(self.parts) == 1 else b"".join(self.parts)
        self.parts = []
        return reply


def missing_bytes(data: bytes) -> int:
    """How many bytes of a reply are still to come, or HEADLESS or CHUNKED. Raises Failed unless its status is 200."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return HEADLESS
    if not data.startswith(_OK):
        raise Failed(f"the server answered {data[:500]!r}")
    length = _LENGTH.search(data, 0, end + 2)
    if length is None:
        return 0 if data.endswith(_LAST_CHUNK) else CHUNKED
    return end + 4 + int(length[1]) - len(data)


_numbers = count(FIRST)


def next_number() -> int:
    """A number that no request of this run has had."""
    number = next(_numbers)
    if number > LAST:
        raise Failed("the numbers have run out")
    return number


def run(port: int, templates: list[bytes], right: Right, seconds: float, limit: int = 10**9) -> Load:
    """Load one connection for each template, for so long or for so many requests, then wait for what is out."""
    connections = [Connection(port, template) for template in templates]
    gc.collect()
    gc.disable()
    try:
        return _run(connections, right, seconds, limit)
    finally:
        gc.enable()
        for connection in connections:
            connection.socket.close()


def paced(port: int, templates: list[bytes], right: Right, seconds: float, per_second: float, seed: int = 1) -> Load:
    """So many requests a second, at moments that chance chooses, over one connection for each template.

    A latency counts from the moment chosen, so one that waits for a free connection has waited.
    """
    connections = [Connection(port, template) for template in templates]
    gc.collect()
    gc.disable()
    try:
        return _paced(connections, right, _moments(seconds, per_second, random.Random(seed)))  # noqa: S311  # no secret
    finally:
        gc.enable()
        for connection in connections:
            connection.socket.close()


def _moments(seconds: float, per_second: float, chance: random.Random) -> Iterator[float]:
    """Moments of a Poisson process, in seconds from its start."""
    moment = chance.expovariate(per_second)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(per_second)


def _paced(connections: list[Connection], right: Right, moments: Iterator[float]) -> Load:
    """Sends what is due over the connections that are free, and looks for answers without ever sleeping."""
    poll = select.epoll()
    known = {connection.socket.fileno(): connection for connection in connections}
    for descriptor in known:
        poll.register(descriptor, select.EPOLLIN)
    free = deque(connections)
    latencies: list[float] = []
    received = 0
    started = answered = perf_counter()
    due = next(moments, None)
    while due is not None or len(free) < len(connections):
        now = perf_counter()
        while due is not None and free and started + due <= now:
            connection = free.popleft()
            connection.send(next_number())
            connection.sent = started + due
            due = next(moments, None)
        for descriptor, _ in poll.poll(0):
            connection = known[descriptor]
            reply = connection.receive()
            if reply is None:
                continue
            answered = perf_counter()
            latencies.append(answered - connection.sent)
            received += len(reply)
            if not right(connection.number, reply):
                raise Failed(f"the answer to request {connection.number} is wrong: {reply[-600:]!r}")
            free.append(connection)
        if now - answered > _PATIENCE and len(free) < len(connections):
            raise Failed(f"the server has not answered for {_PATIENCE} seconds")
    poll.close()
    return Load(len(latencies), perf_counter() - started, latencies, received)


def _run(connections: list[Connection], right: Right, seconds: float, limit: int) -> Load:
    poll = select.epoll()
    known = {connection.socket.fileno(): connection for connection in connections}
    latencies: list[float] = []
    received = 0
    started = perf_counter()
    deadline = started + seconds
    for descriptor, connection in known.items():
        poll.register(descriptor, select.EPOLLIN)
        connection.send(next_number())
    out = sent = len(known)
    while out:
        ready = poll.poll(_PATIENCE)
        if not ready:
            raise Failed(f"the server has not answered for {_PATIENCE} seconds")
        for descriptor, _ in ready:
            connection = known[descriptor]
            reply = connection.receive()
            if reply is None:
                continue
            now = perf_counter()
            latencies.append(now - connection.sent)
            received += len(reply)
            if not right(connection.number, reply):
                raise Failed(f"the answer to request {connection.number} is wrong: {reply[-600:]!r}")
            if now < deadline and sent < limit:
                sent += 1
                connection.send(next_number())
            else:
                out -= 1
    poll.close()
    return Load(len(latencies), perf_counter() - started, latencies, received)
