"""The budgets: what Bascule may take, as a ratio to the floor of the same run or as given. A table, nothing else."""

from typing import Any, NamedTuple


class Budget(NamedTuple):
    """`metric` of `target` must not pass `limit`; `beside` names what it is divided by, as target and metric."""

    title: str
    target: str
    metric: str
    limit: float
    unit: str = ""
    beside: tuple[str, str] | None = None
    at_least: bool = False

    def value(self, figures: dict[str, Any]) -> float | None:
        """What was measured; None where something is missing."""
        own = figures.get(self.target, {}).get(self.metric)
        if self.beside is None or own is None:
            return None if own is None else float(own["median"])
        other = figures.get(self.beside[0], {}).get(self.beside[1])
        return None if not other else float(own["median"] / other["median"])

    def interval(self, figures: dict[str, Any]) -> tuple[float, float] | None:
        """Where a ratio that was measured in turn lies, with 95% certainty; None for any other figure."""
        if not self.metric.endswith(".ratio"):
            return None
        least, most = figures[self.target][self.metric]["interval"]
        return least, most

    def doubtful(self, figures: dict[str, Any]) -> bool:
        """Whether a ratio was not measured well enough to say on which side of its limit it is."""
        interval = self.interval(figures)
        return interval is not None and interval[0] <= self.limit < interval[1]

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def _ratio(era: str, connections: int, limit: float, target: str = "bascule", what: str = "") -> Budget:
    many = "one connection" if connections == 1 else f"{connections} connections"
    return Budget(
        f"tools/call, {era}, {many}{what}", target, f"beside.{era}.{connections}.ratio", limit, "times the floor"
    )


BUDGETS = (
    _ratio("stateless", 16, 1.5),
    _ratio("handshake", 16, 1.5),
    _ratio("stateless", 1, 1.25),
    _ratio("handshake", 1, 1.25),
    *(
        _ratio(era, connections, 2.2, "bascule-guarded", ", all guards")
        for connections in (16, 1)
        for era in ("stateless", "handshake")
    ),
    Budget("tools/call over stdio, pipelined", "bascule", "stdio.pipelined.cpu_us", 12, "µs"),
    Budget("cold start, a file's own app.run()", "bascule", "cold.ms", 110, "ms"),
    Budget("cold start, bascule serve", "bascule-serve", "cold.ms", 170, "ms"),
    Budget("idle HTTP server", "bascule", "memory.idle_mib", 40, "MiB"),
    Budget("a session without open stream", "bascule", "memory.session_kib", 0.05, "KiB"),
    Budget("tools/list of 500", "bascule", "many.list.cpu_us", 200, "µs"),
    Budget(
        "a call with 500 tools beside one with four",
        "bascule",
        "many.call.ratio",
        1.03,
        "times",
    ),
    Budget(
        "client, a call over HTTP", "bascule", "client.cpu_us", 0.25, "times the official", ("mcp", "client.cpu_us")
    ),
    Budget(
        "client and server in memory, a call",
        "bascule",
        "client.in_memory_us",
        0.25,
        "times the official",
        ("mcp", "client.in_memory_us"),
    ),
    Budget("an open client, stateless", "bascule", "client.stateless.open_kib", 32, "KiB"),
    Budget("an open client, handshake", "bascule", "client.handshake.open_kib", 32, "KiB"),
    Budget(
        "1 MB text, throughput",
        "bascule",
        "large.mib_per_s",
        0.7,
        "times the floor",
        ("floor", "large.mib_per_s"),
        at_least=True,
    ),
)
