"""The screen: where a command's answer goes, tables for people at a terminal and plain columns for programs.

Only the answer reaches standard output: it is claimed at the start, and whatever else prints there (a server in this
process, its libraries) goes to standard error. What servers send cannot steer the terminal: control characters are
shown, not obeyed. Colours and lines appear at a terminal only; NO_COLOR takes the colours away.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Self, TextIO

import msgspec

from bascule.cli.letters import escaped, visible
from bascule.late import late

_GAP = "  "


class Screen:
    """Prints answers to one stream, and remarks to standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.terminal = stream.isatty()

    @classmethod
    def claim(cls) -> Self:
        """A screen that has standard output for itself from now on."""
        sys.stdout.flush()
        own = os.dup(1)
        os.dup2(2, 1)
        return cls(os.fdopen(own, "w", encoding="utf-8", errors="backslashreplace"))

    def text(self, text: str) -> None:
        """Print text as it is, and end its line."""
        shown = visible(text) if self.terminal else text
        self._write(shown if shown.endswith("\n") else f"{shown}\n")

    def value(self, value: Any) -> None:
        """Print a value as JSON for people."""
        self.text(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    def raw(self, value: Any) -> None:
        """Print a value as JSON for programs: one line, except at a terminal."""
        data = msgspec.json.encode(value)
        self._write((escaped(msgspec.json.format(data, indent=2).decode()) if self.terminal else data.decode()) + "\n")

    def line(self, value: Any) -> None:
        """Print one of many values as JSON for programs, each on one line."""
        text = msgspec.json.encode(value).decode()
        self._write((escaped(text) if self.terminal else text) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
        """Print rows under a heading; a list in a cell stands on lines of its own at a terminal."""
        cells = [[cell(value, "\n" if self.terminal else ", ") for value in row] for row in rows]
        numeric = [_numeric([row[place] for row in rows]) for place in range(len(columns))]
        if self.terminal:
            self._drawn(columns, cells, numeric, title)
        else:
            self._plain(columns, cells, numeric, title)

    def remark(self, text: str) -> None:
        """Say something about the answer that is not part of it."""
        print(visible(text), file=sys.stderr)

    def _plain(self, columns: Sequence[str], cells: list[list[str]], numeric: list[bool], title: str | None) -> None:
        flat = [[" ".join(text.split()) for text in row] for row in [list(columns), *cells]]
        widths = [max(len(row[place]) for row in flat) for place in range(len(columns))]
        lines = [
            _GAP.join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ).rstrip()
            for row in flat
        ]
        self._write("\n".join([*([title] if title else []), *lines, ""]))

    def _drawn(self, columns: Sequence[str], cells: list[list[str]], numeric: list[bool], title: str | None) -> None:
        text = late("rich.text:Text")
        table = late("rich.table:Table")(
            box=late("rich.box:SIMPLE_HEAD"),
            title=text(title) if title else None,
            title_justify="left",
            title_style="bold",
            header_style="bold cyan",
            pad_edge=False,
        )
        for name, right in zip(columns, numeric, strict=True):
            table.add_column(text(visible(name)), justify="right" if right else "left", overflow="fold")
        for row in cells:
            table.add_row(*(text(value) for value in row))
        late("rich.console:Console")(file=self._stream, highlight=False).print(table)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # so that closing it fails no more
            raise


def cell(value: Any, between: str = ", ") -> str:
    """What a table shows for a value."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return visible(between.join(value))
    return visible(json.dumps(value, ensure_ascii=False))


def _numeric(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and kinds <= {int, float}
