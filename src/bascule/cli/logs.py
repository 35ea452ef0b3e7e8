"""Logs on standard error: a server's in full, those of a client command in lines without tracebacks."""

import logging
import sys
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]


class OneLine(logging.Formatter):
    """Says what went wrong in one line; where it did so is for `--debug`."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and the error that belongs to it."""
        error = record.exc_info[1] if record.exc_info else None
        cause = f": {type(error).__name__}: {error}" if error else ""
        return " ".join(f"{record.getMessage()}{cause}".split())


def for_server(level: Level) -> None:
    """Log as plain lines at a terminal, with level and origin elsewhere; tracebacks follow their line."""
    plain = sys.stderr.isatty() and level != "debug"
    form = "%(message)s" if plain else "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)


def for_client(debug: bool) -> None:
    """Log warnings, from a server in this process too."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if not debug:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(OneLine())
