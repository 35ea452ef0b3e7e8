"""The cost of guards: each that is there has a line, and counting in Redis is compared with counting in memory."""

import shutil

import pytest

from bench import measure_guards, report, targets
from bench.figures import Book, plain
from bench.plan import QUICK

GUARDED = {target.name: target for target in targets.load()}["bascule-guarded"]
FEW = QUICK._replace(guard_calls=400, guard_turns=2, turns=1, turn_seconds=0.03)


def test_every_guard_has_a_line_of_its_own():
    book = Book()
    measure_guards.measure(GUARDED, FEW, book)
    figures = book.figures()["bascule-guarded"]
    guards = {"API key", "telemetry", "audit", "sanitise", "scopes", "load", "rate_limit", "repeats", "timeout", "all"}
    assert guards <= {metric.removeprefix("guard.") for metric in figures}
    assert all(len(figure.values) == FEW.guard_turns for figure in figures.values())
    assert figures["guard.audit"].median > figures["guard.scopes"].median
    assert figures["guard.all"].median > figures["guard.audit"].median


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no Redis")
def test_redis_is_asked_and_costs_something():
    book = Book()
    measure_guards.redis(GUARDED, FEW._replace(turns=3), book)
    figures = book.figures()["bascule-guarded"]
    assert figures["redis.cpu_us"].median > 5
    assert figures["redis.p50_ms"].median > 0


def test_the_report_shows_them():
    book = Book()
    for metric, value in (("guard.audit", 4.25), ("redis.cpu_us", 60.0), ("redis.p50_ms", 0.125)):
        book.note("bascule-guarded", metric, value)
    rows = report.guards({"figures": plain(book.figures())})
    assert rows[1:] == [["audit", "4.2", report.ABSENT], ["counting in Redis, beyond memory", "60.0", "0.12"]]
    assert report.guards({"figures": {}}) == rows[:1]
