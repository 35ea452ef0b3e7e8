"""What is measured over HTTP: calls at several levels of load, large answers, many tools, progress, memory.

Metrics are named part.era.connections.unit; `_us` are microseconds of the server's CPU for each request.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench import messages, probe
from bench.child import Child, http_server
from bench.figures import Book
from bench.http_load import Load, paced, run
from bench.plan import BUSY, CONNECTIONS, PAIRED, Plan
from bench.proc import seconds_between
from bench.targets import Target

Note = Callable[[str, float], None]


class Bench:
    """One HTTP server under test."""

    def __init__(self, target: Target, child: Child, port: int, plan: Plan) -> None:
        self.target = target
        self.child = child
        self.port = port
        self.plan = plan
        self.add = messages.add(target.wrapped)
        self._sessions: dict[str, list[str | None]] = {}

    def check(self, era: str, tools: int = 4) -> None:
        """Is every answer right? Raises Failed."""
        speaker = probe.HttpSpeaker(self.port, era, self.target.key)
        speaker.open()
        probe.check(speaker, tools, self.target.wrapped)
        speaker.close()
        self.child.settle()

    def load(self, job: messages.Job, era: str, connections: int) -> tuple[Load, float]:
        """Warm up, then load; and the CPU seconds that the server took for it."""
        templates = self.templates(job, era, connections)
        run(self.port, templates, job.right, self.plan.warm)
        before = self.child.cpu()
        load = run(self.port, templates, job.right, self.plan.seconds)
        return load, seconds_between(before, self.child.cpu())

    def templates(self, job: messages.Job, era: str, connections: int) -> list[bytes]:
        """A request for each connection, in a session of its own."""
        key = self.target.key
        return [messages.http_template(job, era, self.port, one, key) for one in self.opened(era, connections)]

    def opened(self, era: str, count: int) -> list[str | None]:
        """A session for each connection."""
        opened = self._sessions.setdefault(era, [])
        while len(opened) < count:
            speaker = probe.HttpSpeaker(self.port, era, self.target.key)
            speaker.open()
            opened.append(speaker.session)
            speaker.close()
        return opened[:count]


def measure(target: Target, plan: Plan, book: Book) -> None:
    """One round of everything but memory."""

    def note(metric: str, value: float) -> None:
        book.note(target.name, metric, value)

    with http_server(target) as (child, port):
        bench = Bench(target, child, port, plan)
        for era in target.eras:
            bench.check(era)
            if target.has("calls"):
                _calls(bench, era, note)
        era = target.eras[0]
        if target.has("large"):
            load, cpu = bench.load(messages.big(plan.kilobytes), era, 4)
            note("large.mib_per_s", load.replies * plan.kilobytes / 1024 / load.seconds)
            note("large.cpu_us", cpu / load.replies * 1e6)
        if target.has("progress"):
            load, cpu = bench.load(messages.steps(plan.steps), era, 4)
            note("progress.cpu_us", cpu / load.replies * 1e6)
        for era in target.eras:
            bench.check(era)
    if target.has("many"):
        _many(target, plan, note)


def _calls(bench: Bench, era: str, note: Note) -> None:
    for connections in CONNECTIONS:
        load, cpu = bench.load(bench.add, era, connections)
        name = f"call.{era}.{connections}"
        note(f"{name}.cpu_us", cpu / load.replies * 1e6)
        note(f"{name}.per_s", load.replies / load.seconds)
        note(f"{name}.p50_ms", load.percentile(50) * 1e3)
        note(f"{name}.p99_ms", load.percentile(99) * 1e3)
        if connections == 1:
            note(f"call.{era}.bytes", load.bytes_in / load.replies)


def _many(target: Target, plan: Plan, note: Note) -> None:
    """Many tools beside few: in turn, and more than once, for a difference of percents."""
    era, tools = target.eras[0], plan.many_tools
    short = _short(plan)
    with http_server(target) as few, http_server(target, tools) as (child, port):
        bench, other = Bench(target, child, port, short), Bench(target, *few, short)
        bench.check(era, tools)
        for turn in range(plan.turns):
            few_us, many_us = _in_turn((other, bench), era, 16, first=turn % 2)
            note("many.call.cpu_us", many_us)
            note("many.call.ratio", many_us / few_us)
        load, cpu = bench.load(messages.listing(tools), era, 4)
        note("many.list.cpu_us", cpu / load.replies * 1e6)
        bench.check(era, tools)


def beside(target: Target, floor: Target, plan: Plan, book: Book) -> None:
    """What a call costs as a ratio to the floor, measured in turn: apart, the machine's drift is larger than it."""
    short = _short(plan)
    with http_server(floor) as least, http_server(target) as own:
        pair = (Bench(floor, *least, short), Bench(target, *own, short))
        for turn in range(plan.turns):
            for era in target.eras:
                for connections in PAIRED:
                    floor_us, own_us = _in_turn(pair, era, connections, first=turn % 2)
                    book.note(target.name, f"beside.{era}.{connections}.ratio", own_us / floor_us)


def busy(chosen: Sequence[Target], plan: Plan, book: Book) -> None:
    """Latencies of servers that are each given seven tenths of the calls that they can bear, in turn."""
    with ExitStack() as stack:
        benches = [Bench(target, *stack.enter_context(http_server(target)), plan) for target in chosen]
        for bench in benches:
            for era in bench.target.eras:
                full, _ = bench.load(bench.add, era, 16)
                pace = BUSY * full.replies / full.seconds
                load = paced(bench.port, bench.templates(bench.add, era, 16), bench.add.right, plan.seconds, pace)
                book.note(bench.target.name, f"busy.{era}.p50_ms", load.percentile(50) * 1e3)
                book.note(bench.target.name, f"busy.{era}.p99_ms", load.percentile(99) * 1e3)


def _short(plan: Plan) -> Plan:
    """The plan of loads that are taken in turn."""
    return plan._replace(seconds=plan.turn_seconds, warm=plan.turn_seconds / 3)


def _in_turn(pair: tuple[Bench, Bench], era: str, connections: int, *, first: int) -> list[float]:
    """The CPU microseconds that a call takes of each of two servers, loaded one after the other."""
    cost = [0.0, 0.0]
    for index in (first, 1 - first):
        load, cpu = pair[index].load(pair[index].add, era, connections)
        cost[index] = cpu / load.replies * 1e6
    return cost


def memory(target: Target, plan: Plan, book: Book) -> None:
    """Resident memory of a fresh server: after one call, after many sessions, after many calls."""

    def note(metric: str, value: float) -> None:
        book.note(target.name, metric, value)

    with http_server(target) as (child, port):
        bench = Bench(target, child, port, plan)
        note("memory.idle_mib", child.resident_kib() / 1024)
        for era in target.eras:
            bench.check(era)
        note("memory.ready_mib", child.resident_kib() / 1024)
        if "handshake" in target.eras:
            count = plan.own_sessions if target.environment == "own" else plan.sessions
            _open_sessions(bench, plan.sessions // 10)
            before = child.resident_kib()
            _open_sessions(bench, count)
            after = child.resident_kib()
            note("memory.sessions_mib", after / 1024)
            note("memory.session_kib", (after - before) / count)
        era = target.eras[0]
        load = run(port, bench.templates(bench.add, era, 16), bench.add.right, plan.call_seconds, plan.calls)
        note("memory.calls", load.replies)
        note("memory.after_calls_mib", child.resident_kib() / 1024)
        bench.check(era)


def _open_sessions(bench: Bench, count: int) -> None:
    speaker = probe.HttpSpeaker(bench.port, "handshake", bench.target.key)
    for _ in range(count):
        speaker.open()
    speaker.close()
