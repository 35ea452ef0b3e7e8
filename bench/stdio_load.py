"""The stdio load generator: keeps a fixed number of requests on their way and checks every answer.

Answers may come in any order; what carries no id is no answer.
"""

import gc
import os
import re
import select
from collections.abc import Iterator
from time import perf_counter

from bench.child import Child, Failed
from bench.http_load import Load, next_number
from bench.messages import Job, slots

_CHUNK = 1024 * 1024
_ID = re.compile(rb'"id":(\d+)')


def lines(child: Child) -> Iterator[list[bytes]]:
    """The lines that a child writes, as many at a time as have come. Raises Failed where it falls silent."""
    descriptor = child.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    rest = b""
    while True:
        if not poll.poll(20_000):
            raise Failed("the server has not answered for 20 seconds")
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            raise Failed("the server has closed its output")
        *whole, rest = (rest + chunk).split(b"\n")
        yield whole


def run(child: Child, job: Job, era: str, window: int, seconds: float) -> Load:
    """Keep `window` requests on their way for so long, then wait for what is out."""
    gc.collect()
    gc.disable()
    try:
        return _run(child, job, job.template(era) + b"\n", window, seconds)
    finally:
        gc.enable()


def _run(child: Child, job: Job, template: bytes, window: int, seconds: float) -> Load:
    descriptor, times = child.stdin.fileno(), slots(template)
    sent: dict[int, float] = {}
    latencies: list[float] = []
    received = 0
    started = perf_counter()
    deadline = started + seconds

    def send(count: int) -> None:
        numbers = [next_number() for _ in range(count)]
        now = perf_counter()
        sent.update((number, now) for number in numbers)
        data = b"".join([template % ((number,) * times) for number in numbers])
        while data:
            data = data[os.write(descriptor, data) :]

    incoming = lines(child)
    send(window)
    while sent:
        before = len(latencies)
        whole = next(incoming)
        now = perf_counter()
        for line in whole:
            found = _ID.search(line)
            if found is None:
                continue
            number = int(found[1])
            if number not in sent or not job.right(number, line):
                raise Failed(f"the answer is wrong: {line[:600]!r}")
            latencies.append(now - sent.pop(number))
            received += len(line)
        if now < deadline:
            send(len(latencies) - before)
    return Load(len(latencies), perf_counter() - started, latencies, received)
