"""Run the benchmark: `python -m bench [--quick] [--only NAME …] [--skip-memory]`; `make bench` does it.

Rounds go over all targets in turn, so that a slow minute of the machine strikes all of them alike. The result is
written to bench/results and shown as tables. The exit status is 1 where a target failed.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import machine, measure_clients, measure_guards, measure_http, measure_stdio, report, targets
from bench.child import GENERATOR_CORE, SERVER_CORE, Failed
from bench.environments import runtime, version
from bench.figures import Book, doubtful, plain
from bench.plan import FULL, QUICK, Plan
from bench.targets import Target

GUARDED = "bascule-guarded"
RESULTS = Path(__file__).parent / "results"


class Run:
    """One run over the chosen targets. A part of a target that fails is not tried again, and its failure is told."""

    def __init__(self, chosen: list[Target], plan: Plan) -> None:
        self.targets = {target.name: target for target in chosen}
        self.plan = plan
        self.book = Book()
        self.failures: dict[str, str] = {}

    def everything(self) -> None:
        for number in range(1, self.plan.rounds + 1):
            self._round(number)
        self._each("memory", "memory", lambda target: measure_http.memory(target, self.plan, self.book))
        self._guards()
        self._each("modules", "cold", lambda target: measure_stdio.modules(target, self.book))
        for number in range(1, self.plan.cold_starts + 1):
            self._each(f"cold start {number}", "cold", lambda target: measure_stdio.cold_start(target, self.book))
        floor = self.targets.get("floor")
        if floor is not None:
            self._once("open clients", 1, lambda: measure_clients.memory(floor, {*self.targets}, self.plan, self.book))

    def _round(self, number: int) -> None:
        plan, book = self.plan, self.book
        self._each(f"round {number}: HTTP", "calls", lambda target: measure_http.measure(target, plan, book))
        self._each(f"round {number}: stdio", "stdio", lambda target: measure_stdio.measure(target, plan, book))
        floor = self.targets.get("floor")
        if floor is not None:
            for own in self._own():
                what = f"{own.name} in turn with the floor"
                self._once(what, number, lambda own=own: measure_http.beside(own, floor, plan, book))
            self._once("clients", number, lambda: measure_clients.measure(floor, {*self.targets}, plan, book))
        if self._own():
            self._once("busy", number, lambda: measure_http.busy(self._own(), plan, book))

    def _own(self) -> list[Target]:
        """Bascule without and with its guards, where they are measured."""
        return [self.targets[name] for name in ("bascule", GUARDED) if name in self.targets]

    def _guards(self) -> None:
        """What each guard costs, and what the counting in Redis adds."""
        guarded = self.targets.get(GUARDED)
        if guarded is None:
            return
        self._once("guards", 1, lambda: measure_guards.measure(guarded, self.plan, self.book))
        self._once("redis", 1, lambda: measure_guards.redis(guarded, self.plan, self.book))

    def _once(self, what: str, number: int, work: Callable[[], None]) -> None:
        """What is measured of several targets together."""
        if what in self.failures:
            return
        _say(f"round {number}: {what}")
        try:
            work()
        except Failed as wrong:
            self.failures[what] = str(wrong)

    def _each(self, what: str, part: str, work: Callable[[Target], None]) -> None:
        for target in self.targets.values():
            if not target.has(part) or f"{target.name}, {part}" in self.failures:
                continue
            _say(f"{what}: {target.name}")
            try:
                work(target)
            except Failed as wrong:
                self.failures[f"{target.name}, {part}"] = str(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only Bascule and the floor, in less than two minutes")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="only these targets")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    chosen, missing = choose(arguments.only or plan.only)
    for name in missing:
        _say(f"{name} is left out: `make bench-setup` has not made its environment")
    os.sched_setaffinity(0, {GENERATOR_CORE})
    watch = machine.Watch()
    run = Run(chosen, plan)
    run.everything()
    result = describe(run, chosen, watch, "quick" if arguments.quick else "full")
    written = RESULTS / ("quick.json" if arguments.quick else "only.json" if arguments.only else "latest.json")
    written.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(report.text(result))
    return 1 if run.failures else 0


def choose(names: list[str] | tuple[str, ...]) -> tuple[list[Target], list[str]]:
    """The targets to measure, and the names of those whose environment is missing. Raises SystemExit."""
    known = targets.load()
    unknown = {*names} - {target.name for target in known}
    if unknown:
        raise SystemExit(f"there is no target {', '.join(sorted(unknown))}")
    wanted = [target for target in known if not names or target.name in names]
    there = [target for target in wanted if target.command("http" if target.http else "stdio") is not None]
    return there, [target.name for target in wanted if target not in there]


def describe(run: Run, chosen: list[Target], watch: machine.Watch, kind: str) -> dict[str, Any]:
    """The whole result, for JSON."""
    figures = run.book.figures()
    return {
        "kind": kind,
        "machine": machine.describe(),
        "pinned": {"server": SERVER_CORE, "generator": GENERATOR_CORE},
        "noise": watch.noise(),
        "doubtful": doubtful(figures, ["floor", "bascule"]),
        "plan": run.plan._asdict(),
        "failures": run.failures,
        "targets": {
            target.name: {
                "title": target.title,
                "package": f"{target.package} {version(target.environment, target.package)}",
                "runtime": runtime(target.environment),
            }
            for target in chosen
        },
        "figures": plain(figures),
    }


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
