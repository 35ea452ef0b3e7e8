"""Help pages: plain columns at any width, the same at a terminal and in a pipe.

Knows the panels that cyclopts makes of a command; does not know the commands.
"""

import textwrap
from typing import Any

_LABELS = 26
_WIDTH = 100


class HelpPage:
    """Prints one help page in the order usage, description, panels."""

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Print how the command is used."""
        self._print(console, f"{str(usage).strip()}\n")

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """Print what the command is for."""
        text = _plain(description)
        if text:
            self._print(console, f"{textwrap.fill(text, _width(console))}\n")

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Print one panel: a heading, then labels and what they mean side by side."""
        if not panel.entries:
            return
        console.print(f"{_plain(panel.title)}:", style="bold", highlight=False, markup=False)
        for entry in panel.entries:
            label = ", ".join([*entry.positive_shorts, *entry.positive_names]).strip()
            if entry.metavar and panel.format == "parameter" and label.startswith("-"):
                label = f"{label} {'|'.join(entry.choices) if entry.choices else entry.metavar}"
            default = f" [default: {entry.default}]" if entry.default is not None else ""
            self._print(console, _aligned(label, f"{_plain(entry.description)}{default}", _width(console)))

    def _print(self, console: Any, text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _aligned(label: str, text: str, width: int) -> str:
    indent = " " * (_LABELS + 4)
    head = f"  {label.ljust(_LABELS)}  "
    if len(label) > _LABELS:
        return f"  {label}\n{textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)}"
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=indent) or head.rstrip()


def _width(console: Any) -> int:
    return int(max(min(console.width, _WIDTH), 60))


def _plain(value: Any) -> str:
    """The text of what cyclopts hands over, on one line."""
    text = getattr(value, "plain", None) or getattr(getattr(value, "primary_renderable", None), "plain", None) or value
    return " ".join(str(text or "").split())
