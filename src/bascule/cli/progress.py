"""Progress: how far a call has come, as a bar that is redrawn at a terminal, or as lines where they are asked for."""

from typing import Self

from bascule.cli.aside import Aside

_BAR = 24


class Progress:
    """Shows the reports of one call, and leaves nothing of the bar behind."""

    def __init__(self, aside: Aside, name: str, verbose: bool = False) -> None:
        self._aside = aside
        self._name = name
        self.wanted = aside.terminal or verbose

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._aside.status("")

    def report(self, progress: float, total: float | None, message: str | None) -> None:
        """Show a report of the server."""
        share = min(max(progress / total, 0), 1) if total and total > 0 else None
        far = f"{progress:g}" if share is None else f"{progress:g}/{total:g} ({share:.0%})"
        text = f"{far} {message or ''}".rstrip()
        if not self._aside.terminal:
            self._aside.say(" ".join(f"{self._name}: {text}".split()))
        elif share is None:
            self._aside.status(f"{self._name}: {text}")
        else:
            done = round(share * _BAR)
            self._aside.status(f"{self._name}: [{'#' * done}{'-' * (_BAR - done)}] {text}")
