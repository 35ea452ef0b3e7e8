"""The report: tables of one result, in the terminal and, by `python -m bench.report --write`, in bench/README.md.

    python -m bench.report [FILE]            show a result; bench/results/latest.json where none is named
    python -m bench.report --write [FILE]    put tables into bench/README.md and draw bench/chart.svg

Every table is plain Markdown with aligned columns, so that both places show the same.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import chart
from bench.budgets import BUDGETS
from bench.machine import BUSY, STOLEN

HERE = Path(__file__).parent
README = HERE / "README.md"
LATEST = HERE / "results" / "latest.json"
GUARDED = "bascule-guarded"
ABSENT = "\N{EN DASH}"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Result = dict[str, Any]


class Column(NamedTuple):
    """One metric in a table; `ratio` adds how many times the floor's it is."""

    heading: str
    metric: str
    digits: int = 0
    ratio: bool = False


def _grid(kind: str, digits: int, ratio: bool, levels: Sequence[int] = (1, 16, 64)) -> list[Column]:
    return [
        Column(f"{era}, {level}", f"call.{era}.{level}.{kind}", digits, ratio)
        for era in ("stateless", "handshake")
        for level in levels
    ]


TABLES = {
    "Server CPU, microseconds for one `tools/call`, by era and connections (times the floor)": _grid("cpu_us", 0, True),
    "Requests a second": _grid("per_s", 0, False),
    "Latency, milliseconds": [
        Column(f"{era}, {level}: {name}", f"call.{era}.{level}.{name}_ms", 2)
        for era in ("stateless", "handshake")
        for level in (1, 16)
        for name in ("p50", "p99")
    ],
    "Latency at 70% of the calls that each bears, 16 connections, milliseconds": [
        Column(f"{era}: {name}", f"busy.{era}.{name}_ms", 2)
        for era in ("stateless", "handshake")
        for name in ("p50", "p99")
    ],
    "stdio": [
        Column("sequential µs", "stdio.sequential.cpu_us", 1, True),
        Column("p50 ms", "stdio.sequential.p50_ms", 3),
        Column("p99 ms", "stdio.sequential.p99_ms", 3),
        Column("pipelined µs", "stdio.pipelined.cpu_us", 1, True),
        Column("calls/s", "stdio.pipelined.per_s"),
    ],
    "Cold start to the first answered call, over stdio": [
        Column("ms", "cold.ms"),
        Column("CPU ms", "cold.cpu_ms"),
        Column("modules", "cold.modules"),
    ],
    "Memory of an HTTP server": [
        Column("idle MiB", "memory.idle_mib", 1),
        Column("warm MiB", "memory.ready_mib", 1),
        Column("with sessions MiB", "memory.sessions_mib", 1),
        Column("KiB a session", "memory.session_kib", 2),
        Column("after calls MiB", "memory.after_calls_mib", 1),
        Column("calls", "memory.calls"),
    ],
    "Clients": [
        Column("a call over HTTP, µs", "client.cpu_us"),
        Column("in memory, with its server, µs", "client.in_memory_us"),
        Column("KiB open, stateless", "client.stateless.open_kib"),
        Column("KiB open, handshake", "client.handshake.open_kib"),
    ],
    "Large answers, many tools, progress": [
        Column("1 MiB text: MiB/s", "large.mib_per_s"),
        Column("CPU µs", "large.cpu_us"),
        Column("500 tools: call µs", "many.call.cpu_us"),
        Column("list µs", "many.list.cpu_us"),
        Column("100 notices µs", "progress.cpu_us"),
        Column("bytes, stateless", "call.stateless.bytes"),
        Column("bytes, handshake", "call.handshake.bytes"),
    ],
}


def text(result: Result) -> str:
    """The whole report."""
    parts = [_about(result)]
    tables = {title: _table(result, columns) for title, columns in TABLES.items()}
    tables["Budgets"] = _budgets(result)
    tables[f"Guards of `{GUARDED}`, each for itself"] = guards(result)
    parts += [f"**{title}**\n\n{aligned(rows)}" for title, rows in tables.items() if len(rows) > 1]
    parts.append(_verdict(result))
    return "\n\n".join(part for part in parts if part) + "\n"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head, all columns but the first are numbers."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in rows]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], "| " + " | ".join(rule) + " |", *lines[1:]])


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = row
    return [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]


def _table(result: Result, columns: Sequence[Column]) -> list[list[str]]:
    figures = result["figures"]
    rows = [["", *(column.heading for column in columns)]]
    for name, target in result["targets"].items():
        cells = [_cell(figures, name, column) for column in columns]
        if any(cell != ABSENT for cell in cells):
            rows.append([target["title"], *cells])
    return rows


def _cell(figures: dict[str, Any], name: str, column: Column) -> str:
    own = figures.get(name, {}).get(column.metric)
    if own is None:
        return ABSENT
    shown = f"{own['median']:,.{column.digits}f}"
    floor = figures.get("floor", {}).get(column.metric)
    if not column.ratio or not floor:
        return shown
    return f"{shown} ({own['median'] / floor['median']:.2f})"


def _budgets(result: Result) -> list[list[str]]:
    rows = [["", "measured", "budget", "reached"]]
    for budget in BUDGETS:
        value = budget.value(result["figures"])
        if value is not None:
            limit = f"{'≥' if budget.at_least else '≤'} {budget.limit:g} {budget.unit}"
            between = budget.interval(result["figures"])
            measured = f"{value:.2f}" if between is None else f"{value:.2f} ({between[0]:.2f}-{between[1]:.2f})"
            rows.append([budget.title, measured, limit, "yes" if budget.reached(value) else "NO"])
    return rows


def guards(result: Result) -> list[list[str]]:
    """One line for each guard, and for what Redis adds."""
    own = result["figures"].get(GUARDED, {})
    rows = [["", "µs a call", "ms more at one connection"]]
    rows += [
        [metric.removeprefix("guard."), f"{figure['median']:.1f}", ABSENT]
        for metric, figure in own.items()
        if metric.startswith("guard.")
    ]
    if "redis.cpu_us" in own:
        rows.append(["counting in Redis, beyond memory", *_redis(own)])
    return rows


def _redis(own: dict[str, Any]) -> tuple[str, str]:
    return f"{own['redis.cpu_us']['median']:.1f}", f"{own['redis.p50_ms']['median']:.2f}"


def _about(result: Result) -> str:
    where = result["machine"]
    versions = {target["package"]: target["runtime"] for target in result["targets"].values()}
    return (
        f"{where['date']}, {where['processor']}, {where['cores']} cores, {where['memory_gib']} GiB, {where['system']}; "
        f"medians of {result['plan']['rounds']} rounds.\n"
        + "; ".join(f"{package} on {runtime}" for package, runtime in versions.items())
        + "."
    )


def _verdict(result: Result) -> str:
    noise = result["noise"]
    lines = [
        f"The run took {noise['seconds']:.0f} s; other programs took {noise['others']:.1%} of the processors' time, "
        f"the hypervisor {noise['stolen']:.1%}. Farthest values of one figure of Bascule's, as a part of its median: "
        f"{_widest(result):.0%}. Ratios in the budgets are of loads in turn, with the interval that holds the median "
        "with 95% certainty."
    ]
    undecided = [
        budget.title
        for budget in BUDGETS
        if budget.value(result["figures"]) is not None and budget.doubtful(result["figures"])
    ]
    if noise["others"] > BUSY or noise["stolen"] > STOLEN:
        lines.append("THIS RUN WAS NOISY: repeat it on a quiet machine before believing it.")
    if undecided:
        lines.append("So close to the limit that the interval holds it: " + "; ".join(undecided) + ".")
    if result["doubtful"]:
        lines.append("Microseconds that drifted between the rounds: " + ", ".join(result["doubtful"]) + ".")
    lines += [f"FAILED: {name}: {why}" for name, why in result["failures"].items()]
    return "\n".join(lines)


def _widest(result: Result) -> float:
    own = result["figures"].get("bascule", {})
    return max((figure["spread"] for metric, figure in own.items() if metric.endswith("cpu_us")), default=0.0)


def write(result: Result, readme: Path = README) -> None:
    """Put the report between a README's markers, and draw the chart beside it. Raises ValueError after failures."""
    if result["failures"]:
        raise ValueError(f"a run with failures is not published: {', '.join(result['failures'])}")
    head, _, rest = readme.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    readme.write_text(f"{head}{BEGIN}\n\n{text(result)}\n{END}{tail}")
    (readme.parent / "chart.svg").write_text(chart.draw(result))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=LATEST, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="into bench/README.md, with bench/chart.svg")
    arguments = parser.parse_args()
    result = json.loads(arguments.file.read_text())
    if arguments.write:
        write(result)
    sys.stdout.write(text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
