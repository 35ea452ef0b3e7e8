"""What guards cost: each for itself in a process of its own, and what counting in Redis adds to a guarded server."""

import json
import os
import shutil
import subprocess
import sys

from bench.child import GENERATOR_CORE, SERVER_CORE, Failed, free_port, http_server, running, wait_for
from bench.environments import ROOT
from bench.figures import Book
from bench.measure_http import Bench
from bench.plan import Plan
from bench.targets import Target

SECONDS = 120


def measure(target: Target, plan: Plan, book: Book) -> None:
    """The microseconds of each guard, which are those of this target's settings. Raises Failed."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.guard_costs", str(plan.guard_calls), str(plan.guard_turns)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),  # the parent has one thread
    )
    if done.returncode:
        raise Failed(f"bench.guard_costs: {done.stderr[-2000:]}")
    for guard, values in json.loads(done.stdout).items():
        for value in values:
            book.note(target.name, f"guard.{guard}", value)


def redis(target: Target, plan: Plan, book: Book) -> None:
    """What a call costs more where Redis counts, CPU and latency of the server; nothing where there is no Redis.

    Redis has the core of the load generator: its own CPU is not in the figures. Raises Failed.
    """
    program = shutil.which("redis-server")
    if program is None:
        return
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]  # it keeps no file
    short = plan._replace(seconds=plan.turn_seconds, warm=plan.turn_seconds / 3)
    with running(command, {}, core=GENERATOR_CORE) as child:
        wait_for(child, port)
        shared = {"BASCULE_LIMITS__REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        with http_server(target) as alone, http_server(target, **shared) as counting:
            benches = (Bench(target, *alone, short), Bench(target, *counting, short))
            for bench in benches:
                bench.check(target.eras[0])
            for turn in range(plan.turns):
                _compared(benches, turn % 2, target, book)


def _compared(benches: tuple[Bench, Bench], first: int, target: Target, book: Book) -> None:
    """One turn: the difference of the two servers."""
    era = target.eras[0]
    cost, wait = [0.0, 0.0], [0.0, 0.0]
    for index in (first, 1 - first):
        bench = benches[index]
        load, cpu = bench.load(bench.add, era, 16)
        cost[index] = cpu / load.replies * 1e6
        wait[index] = bench.load(bench.add, era, 1)[0].percentile(50) * 1e3
    book.note(target.name, "redis.cpu_us", cost[1] - cost[0])
    book.note(target.name, "redis.p50_ms", wait[1] - wait[0])
