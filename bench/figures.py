"""Figures: values as they were measured, their median, and how far they lie apart."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from msgspec import Struct

NOISY = 0.15
"""A spread above this makes a figure doubtful."""


class Figure(Struct, frozen=True):
    """The values of one metric of one target, one for each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true median is, with 95% certainty: order statistics, by the binomial distribution's normal form.

        The farthest values where there are too few to say more.
        """
        ordered, count = sorted(self.values), len(self.values)
        cut = max(int((count - 1.96 * math.sqrt(count)) / 2), 0)
        return ordered[cut], ordered[count - 1 - cut]

    @property
    def spread(self) -> float:
        """The distance of the two farthest values, as a part of the median; 0 for a single value."""
        middle = self.median
        return (max(self.values) - min(self.values)) / middle if middle else 0.0


Figures = dict[str, Figure]
"""By metric."""


class Book:
    """Collects values by target and metric."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = {}

    def note(self, target: str, metric: str, value: float) -> None:
        self._values.setdefault(target, {}).setdefault(metric, []).append(value)

    def figures(self) -> dict[str, Figures]:
        """Everything noted so far."""
        return {
            target: {metric: Figure(tuple(values)) for metric, values in metrics.items()}
            for target, metrics in self._values.items()
        }


def plain(figures: dict[str, Figures]) -> dict[str, Any]:
    """For JSON: values as measured, and for the reader their median and spread."""
    return {
        target: {
            metric: {
                "median": round(figure.median, 4),
                "spread": round(figure.spread, 4),
                "interval": [round(end, 4) for end in figure.interval],
                "values": [round(value, 4) for value in figure.values],
            }
            for metric, figure in metrics.items()
        }
        for target, metrics in figures.items()
    }


def doubtful(figures: dict[str, Figures], targets: Sequence[str]) -> list[str]:
    """The CPU figures of these targets that lie too far apart."""
    return [
        f"{target} {metric} ±{figure.spread:.0%}"
        for target in targets
        for metric, figure in figures.get(target, {}).items()
        if metric.endswith("_us") and figure.spread > NOISY
    ]
