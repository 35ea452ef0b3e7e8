"""The chart: how many times the floor's CPU each server takes for one `tools/call`, as SVG text.

Needs no library. Colours follow the reader's light or dark theme. The scale is logarithmic: the floor stands at 1.
"""

import math
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

METRICS = {"stateless": "call.stateless.16.cpu_us", "handshake": "call.handshake.16.cpu_us"}
WIDTH, LEFT, RIGHT, TOP = 860, 300, 90, 78
BAR, GAP, GROUP = 12, 2, 16
TIMES = "\N{MULTIPLICATION SIGN}"
TICKS = (1, 2, 5, 10, 20, 50, 100)

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.own { font-weight: 600 } .grid { stroke: #d1d9e0 }
.stateless { fill: #8c959f } .handshake { fill: #c4cbd2 }
.own.stateless { fill: #0969da } .own.handshake { fill: #74b0f4 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .grid { stroke: #3d444d }
  .stateless { fill: #8b949e } .handshake { fill: #545d68 }
  .own.stateless { fill: #4493f8 } .own.handshake { fill: #2a5fa8 }
}
"""


class Row(NamedTuple):
    """One server; the ratio by era, where it was measured."""

    title: str
    own: bool
    ratios: dict[str, float]


def draw(result: dict[str, Any]) -> str:
    """The chart of one result. Raises ValueError where the floor was not measured."""
    rows = ratios(result)
    most = max(value for row in rows for value in row.ratios.values())
    ticks = [tick for tick in TICKS if tick <= most * 1.3]
    group = 2 * BAR + GAP + GROUP
    bottom = TOP + len(rows) * group
    parts = [f"<style>{escape(STYLE)}</style>", *_head(result), *_grid(ticks, most, bottom)]
    for index, row in enumerate(rows):
        parts += _bars(row, TOP + index * group, most)
    parts.append(_text(LEFT, bottom + 34, "times the floor's CPU time (logarithmic); shorter is better", "small"))
    body = "\n".join(parts)
    height = bottom + 48
    label = "CPU time of one tools/call beside the floor"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{label}">\n{body}\n</svg>\n'
    )


def ratios(result: dict[str, Any]) -> list[Row]:
    """The rows of the chart, lowest ratio first. Raises ValueError where the floor was not measured."""
    figures = result["figures"]
    floor = figures.get("floor", {})
    rows = []
    for name, target in result["targets"].items():
        own = figures.get(name, {})
        found = {
            era: own[metric]["median"] / floor[metric]["median"]
            for era, metric in METRICS.items()
            if metric in own and metric in floor
        }
        if found:
            rows.append(Row(target["title"], name.startswith("bascule"), found))
    if not rows:
        raise ValueError("the result has no calls of the floor, so there is nothing to draw")
    return sorted(rows, key=lambda row: min(row.ratios.values()))


def _head(result: dict[str, Any]) -> list[str]:
    where = result["machine"]
    machine = f"{where['processor']}, {where['cores']} cores, {where['date']}"
    parts = [
        _text(16, 26, "Server CPU for one tools/call over HTTP, 16 connections", "title"),
        _text(16, 46, f"{machine}; the floor is bare ASGI on uvicorn that answers the same bytes", "small"),
    ]
    for index, era in enumerate(METRICS):
        x = WIDTH - 220 + index * 110
        parts.append(f'<rect class="{era}" x="{x}" y="56" width="10" height="10"/>')
        parts.append(_text(x + 15, 65, era, "small"))
    return parts


def _grid(ticks: list[int], most: float, bottom: float) -> list[str]:
    parts = []
    for tick in ticks:
        x = LEFT + _length(tick, most)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 16, f"{tick}{TIMES}", "small", "middle"))
    return parts


def _bars(row: Row, y: float, most: float) -> list[str]:
    own = " own" if row.own else ""
    parts = [_text(LEFT - 10, y + BAR + 5, row.title, own.strip(), "end")]
    for index, (era, ratio) in enumerate(row.ratios.items()):
        top = y + index * (BAR + GAP) if len(row.ratios) > 1 else y + BAR / 2
        length = max(_length(ratio, most), 1.5)
        parts.append(f'<rect class="{era}{own}" x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>')
        shown = f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
        parts.append(_text(LEFT + length + 6, top + BAR - 2, shown + TIMES, "small"))
    return parts


def _length(ratio: float, most: float) -> float:
    whole = WIDTH - LEFT - RIGHT
    return whole * math.log(max(ratio, 1.0)) / math.log(max(most, 2.0))


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
