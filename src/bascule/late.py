"""Late loading: the one door through which optional and heavy parts are imported when first used.

Knows only names. The layer test reads the string arguments of every call here as imports, so a late import obeys
the same rules as an early one. It may be used in `bascule/__init__`, `serve`, `client/connect`, the database chooser,
the files server, telemetry, the test kit and the command line, and nowhere else.
"""

from importlib import import_module
from typing import Any


def late(target: str) -> Any:
    """Import `"module:name"` now and return the named attribute.

    Raises ImportError when the module is missing, AttributeError when it has no such name.
    """
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
