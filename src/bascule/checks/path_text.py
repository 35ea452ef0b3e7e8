"""The text of a path: what no path may hold, and what a name that does not exist yet may not look like.

Knows text only. What exists is judged by the kernel, which takes names byte for byte. A new name is judged here:
another system, or a program that reads the tree later, may take it for another: `..\\..\\x`, `%2e%2e%2fx`, `x.`.
"""

import re
import unicodedata

from bascule.errors import ToolError

MAX_PATH_BYTES = 4095
"""What Linux takes in one call; a path that is longer cannot be opened."""

_SHOWN = 120

_ENCODED = re.compile(r"%(?:25)*(?:2e|2f|5c|00)", re.IGNORECASE)
_EXPANDED = re.compile(r"~|\$\{|\$\(|%\w+%|\$[A-Za-z_]+$")
_UNSEEN = frozenset(
    "\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad"
)
_LIKE_SEPARATORS = frozenset("\u2044\u2215\u29f8\u2216\u29f5\u29f9\uff0f\uff3c\ufe68\u2571\u2572")
_LIKE_DOTS = frozenset("\u2024\u2025\u2026\uff0e\ufe52")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)


class PathRefused(ToolError):
    """The path is not one that may be used; the sentence says why, and names nothing outside of the root."""

    code = "path_refused"
    advice = "Name something beneath the root, by its plain relative path."
    retry = "once mended"


class PathMissing(PathRefused):
    """There is nothing at the path."""

    code = "path_not_found"
    advice = "List the directory above it to see what there is."


def shown(path: str) -> str:
    """A path as it stands in a sentence: quoted, on one line, cut where it is long."""
    return repr(path if len(path) <= _SHOWN else path[:_SHOWN] + "…")


def parts_of(path: str) -> list[str]:
    """The components of a relative path, `..` among them; after a final slash comes `.`. Raises PathRefused."""
    if not path:
        raise PathRefused('The path is empty; write "." for the root')
    if "\0" in path:
        raise PathRefused("The path contains a NUL character; remove it")
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise PathRefused("The path contains half of a surrogate pair, which is not valid text; remove it") from None
    if size > MAX_PATH_BYTES:
        raise PathRefused(f"The path is longer than {MAX_PATH_BYTES} bytes")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return [*parts, "."] if path.endswith(("/", "/.")) and parts else parts


def check_file(path: str) -> None:
    """Raise PathRefused for a path whose end says that it is a directory's."""
    if path.endswith(("/", "/.")):
        raise PathRefused(f"{shown(path)} ends as the path of a directory, not of a file")


def check_new(name: str) -> None:
    """Raise PathRefused for a name that something which does not exist yet may not get."""
    reason = _fault(name)
    if reason is not None:
        raise PathRefused(f"Nothing new may be called {shown(name)}: {reason}")


def _fault(name: str) -> str | None:
    if name in ("", ".", ".."):
        return "that is a place, not a name"
    if len(name.encode()) > 255:
        return "a name has at most 255 bytes"
    if name[-1] in ". ":
        return "some systems drop a dot or a blank at the end, and would mean another file"
    if "\\" in name or ":" in name:
        return "a backslash or a colon separates paths, drives or streams on other systems"
    if _ENCODED.search(name):
        return "it holds a percent-encoded dot, separator or NUL"
    if _EXPANDED.match(name):
        return "a program may expand it to another place"
    if _DEVICES.fullmatch(name):
        return "on other systems that is a device"
    return _lookalike(name)


def _lookalike(name: str) -> str | None:
    if any(unicodedata.category(one) == "Cc" or one in _UNSEEN for one in name):
        return "it holds a character that is not seen"
    if not _LIKE_SEPARATORS.isdisjoint(name):
        return "it holds a character that looks like a separator"
    plain = unicodedata.normalize("NFKC", name)
    if not _LIKE_DOTS.isdisjoint(name) and (not plain.strip(". ") or plain.startswith("..")):
        return "it holds characters that stand for dots"
    return None
