"""Logs on standard error: a server's in full, those of a client command in lines without tracebacks."""

import logging
import sys
from typing import Literal

from bascule.cli.letters import visible

Level = Literal["debug", "info", "warning", "error"]


class Visible(logging.Formatter):
    """Says all there is, and lets nothing that a server has sent steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and the traceback that belongs to it."""
        return visible(super().format(record))


class OneLine(logging.Formatter):
    """Says what went wrong in one line; where it did so is for `--debug`."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and the error that belongs to it."""
        error = record.exc_info[1] if record.exc_info else None
        cause = f": {type(error).__name__}: {error}" if error else ""
        return visible(" ".join(f"{record.getMessage()}{cause}".split()))


def for_server(level: Level) -> None:
    """Log as plain lines at a terminal, with level and origin elsewhere; tracebacks follow their line."""
    plain = sys.stderr.isatty() and level != "debug"
    form = "%(message)s" if plain else "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)


def for_client(debug: bool) -> None:
    """Log warnings, from a server in this process too."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Visible(logging.BASIC_FORMAT) if debug else OneLine())
