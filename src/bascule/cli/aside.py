"""Aside: what a command says beside its answer, on standard error, and the one line there that is redrawn.

Whatever is said while that line stands takes its place, and the line comes back below it. What servers send is made
visible before it is printed. Does not know what is said.
"""

import os
import sys
import unicodedata
from typing import TextIO

from bascule.cli.letters import visible

_COLUMNS = 80


class Aside:
    """Says things on one stream, standard error unless another is given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._status = ""
        self._held: list[str] | None = None
        self.terminal = self._stream.isatty()

    def say(self, text: str) -> None:
        """Print text and end its line; while a question waits for its answer, the text waits too."""
        if self._held is not None:
            self._held.append(text)
            return
        status = self._status
        self.status("")
        self._write(f"{visible(text)}\n")
        self.status(status)

    def ask(self, text: str) -> None:
        """Print a question, whose answer is typed behind it, and hold back all else until `heard`."""
        self.status("")
        self._write(visible(text))
        self._held = []

    def heard(self) -> None:
        """The answer is there: say what was held back."""
        held, self._held = self._held or [], None
        for text in held:
            self.say(text)

    def status(self, text: str) -> None:
        """Redraw the one line, or take it away where the text is empty. Only for a terminal."""
        if self._held is None and (text or self._status):
            self._status = fitted(" ".join(visible(text).split()), self.columns - 1)
            self._write(f"\r{self._status}\x1b[K")

    @property
    def columns(self) -> int:
        """How wide the terminal is."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            pass  # nobody listens any more, which is no reason to give up the answer


def fitted(text: str, columns: int) -> str:
    """As much of a line as fits; East Asian characters are two columns wide."""
    width = 0
    for place, letter in enumerate(text):
        width += 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > columns:
            return text[:place]
    return text
