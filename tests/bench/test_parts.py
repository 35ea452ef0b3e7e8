"""The parts of the harness: what it reads from /proc, medians, tables, the chart."""

import json
import os
import xml.etree.ElementTree as ElementTree

import pytest

from bench import chart, machine, proc, report
from bench.budgets import BUDGETS
from bench.figures import Book, Figure, doubtful, plain
from bench.proc import Cpu, seconds_between

STAT = "4711 (odd) name) S 1 4711 4711 0 -1 4194560 100 0 0 0 12 34 5 6 20 0 1 0 99 0 0"


def test_a_process_name_may_hold_brackets():
    fields = proc.stat_fields(STAT)
    assert fields[:3] == ["S", "1", "4711"]
    assert fields[11:15] == ["12", "34", "5", "6"]


def test_this_process_is_found_and_has_worked():
    before = proc.cpu(proc.tree(os.getpid()))
    sum(range(300_000))
    after = proc.cpu(proc.tree(os.getpid()))
    assert os.getpid() in proc.tree(os.getpid())
    assert 0 < seconds_between(before, after) < 10
    assert proc.resident_kib([os.getpid()]) > 5_000


def test_threads_are_counted_in_nanoseconds():
    assert seconds_between(Cpu({"1/1": 10**9}, 0), Cpu({"1/1": 2 * 10**9, "1/2": 10**9}, 0)) == 2.0


def test_where_a_thread_has_ended_the_ticks_count():
    assert seconds_between(Cpu({"1/1": 5, "1/2": 9}, 100), Cpu({"1/1": 6}, 150)) == 50 / proc.TICKS


def test_the_processors_time():
    found = proc.machine("cpu  100 20 30 4000 5 6 7 800 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert found == ((100 + 20 + 30 + 6 + 7) / proc.TICKS, 800 / proc.TICKS)


def test_the_processor_is_named():
    assert machine.processor("processor : 0\nmodel name\t: Fast: One\n") == "Fast: One"
    assert machine.processor("")


def test_medians_and_spread():
    figure = Figure((3.0, 1.0, 2.0))
    assert figure.median == 2.0
    assert figure.spread == 1.0
    assert Figure((0.0,)).spread == 0.0


def test_the_interval_of_a_median_leaves_out_what_lies_apart():
    assert Figure((1.0, 9.0)).interval == (1.0, 9.0)
    assert Figure(tuple(float(number) for number in range(1, 22))).interval == (7.0, 15.0)


def test_values_are_collected_and_doubted():
    book = Book()
    for value in (10, 11, 20):
        book.note("bascule", "call.cpu_us", value)
    book.note("bascule", "call.p99_ms", 5)
    figures = book.figures()
    assert plain(figures)["bascule"]["call.cpu_us"] == {
        "median": 11,
        "spread": 0.9091,
        "interval": [10, 20],
        "values": [10, 11, 20],
    }
    assert doubtful(figures, ["bascule", "floor"]) == ["bascule call.cpu_us ±91%"]


@pytest.fixture
def result():
    """A result with a floor, Bascule and a peer that speaks one era."""
    book = Book()
    for name, cost in (("floor", 40.0), ("bascule", 60.0)):
        for era in ("stateless", "handshake"):
            book.note(name, f"call.{era}.16.cpu_us", cost)
            for ratio in (1.4, 1.5, 1.6):
                book.note("bascule", f"beside.{era}.16.ratio", ratio)
    book.note("peer", "call.handshake.16.cpu_us", 4000.0)
    shown = {"package": "thing 1.0", "runtime": "Python 3.11"}
    return json.loads(
        json.dumps(
            {
                "kind": "full",
                "machine": {"date": "2026-01-02", "processor": "P & <Q>", "cores": 2, "memory_gib": 4, "system": "L"},
                "noise": {"seconds": 1.0, "others": 0.2, "stolen": 0.0},
                "plan": {"rounds": 1},
                "doubtful": [],
                "failures": {"other": "it did not start"},
                "targets": {
                    "floor": {"title": "floor", **shown},
                    "bascule": {"title": "Bascule", **shown},
                    "peer": {"title": "A <peer> & more", **shown},
                },
                "figures": plain(book.figures()),
            }
        )
    )


def test_a_table_is_aligned():
    assert report.aligned([["", "µs"], ["one", "1"], ["eleven", "1,100"]]).splitlines() == [
        "|        |    µs |",
        "| ------ | ----: |",
        "| one    |     1 |",
        "| eleven | 1,100 |",
    ]


def test_the_report_shows_ratios_budgets_and_doubts(result):
    text = report.text(result)
    assert "60 (1.50)" in text
    assert "4,000 (100.00)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| tools/call, handshake, 16 connections")]
    assert row.split("|")[2:5] == [cell for cell in row.split("|")[2:5] if cell.strip()]
    assert row.rstrip(" |").endswith("yes")
    assert "1.50 (1.40-1.60)" in row
    assert "NOISY" in text
    assert "holds it: tools/call, stateless, 16 connections; tools/call, handshake, 16 connections." in text
    assert "FAILED: other: it did not start" in text


def test_what_was_not_measured_has_no_budget(result):
    assert sum(budget.value(result["figures"]) is not None for budget in BUDGETS) == 2
    assert BUDGETS[0].value({}) is None


def test_the_chart_is_well_formed_and_shows_every_server(result):
    root = ElementTree.fromstring(chart.draw(result))
    shown = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"floor", "Bascule", "A <peer> & more"} <= set(shown)
    assert {"1.0" + chart.TIMES, "1.5" + chart.TIMES, "100" + chart.TIMES} <= set(shown)
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("rx")]
    assert len(bars) == 5
    assert all(float(bar.get("x")) + float(bar.get("width")) < chart.WIDTH for bar in bars)


def test_the_chart_needs_the_floor(result):
    del result["figures"]["floor"]
    with pytest.raises(ValueError, match="nothing to draw"):
        chart.draw(result)


def test_the_readme_takes_the_report_between_its_markers(result, tmp_path):
    readme = tmp_path / "README.md"
    result["failures"] = {}
    readme.write_text(f"before\n{report.BEGIN}\nstale\n{report.END}\nafter\n")
    for _ in range(2):
        report.write(result, readme)
        text = readme.read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "stale" not in text
        assert text.count("60 (1.50)") == 2
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")


def test_a_run_with_failures_is_not_published(result, tmp_path):
    with pytest.raises(ValueError, match="not published: other"):
        report.write(result, tmp_path / "README.md")


def test_the_real_readme_has_the_markers():
    assert report.README.read_text().count(report.BEGIN) == report.README.read_text().count(report.END) == 1
