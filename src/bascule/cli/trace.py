"""The trace: every message that passes, on one line of standard error, with its time and direction.

Secrets are masked, long values are cut. Knows bytes, JSON and heads of HTTP; where they come from is the client's
business.
"""

import time
from typing import Any

import msgspec

from bascule.cli.aside import Aside
from bascule.cli.masks import Masks
from bascule.engine.connection import Head

_LONG_VALUE = 160
_LONG_LINE = 2000
_ARROWS = {True: "-->", False: "<--"}


class Trace:
    """Prints what passes; its `show` is what a Client takes as `on_wire`."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._masks = Masks()
        self._started: float | None = None

    def show(self, sent: bool, data: bytes, head: Head | None) -> None:
        """Print one message, with the seconds since the first."""
        now = time.perf_counter()
        self._started = self._started or now
        message = self._message(sent, data)
        parts = [f"{now - self._started:8.3f}", _ARROWS[sent]]
        if head is not None:
            parts.append(self._masks.url(head.line))
            parts += [f"{name}: {value};" for name, value in self._masks.headers(head.headers).items()]
        line = " ".join([*parts, message]).rstrip()
        self._aside.say(_cut(line, _LONG_LINE).replace("\n", "\\n"))

    def _message(self, sent: bool, data: bytes) -> str:
        if not data:
            return ""
        try:
            message = msgspec.json.decode(data)
            if not sent:
                self._masks.learn(message)
            return msgspec.json.encode(_shortened(self._masks.masked(message))).decode()
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return f"(no JSON) {_cut(self._masks.text(data.decode(errors='replace')), _LONG_VALUE)}"


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value, _LONG_VALUE)
    if isinstance(value, list):
        return [_shortened(part) for part in value]
    if isinstance(value, dict):
        return {_cut(key, _LONG_VALUE): _shortened(part) for key, part in value.items()}
    return value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}...(+{len(text) - limit})"
