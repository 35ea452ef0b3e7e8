"""Characters that nobody sees, or that do something to a screen: taken out of a text, and counted.

    escape_sequence      ANSI: colours, cursor moves, window titles, hyperlinks (ECMA-48)
    control              C0 and C1 but tab and newline; other line ends become a newline
    bidi_control         marks, embeddings, overrides and isolates: what is read is the logical order
    tag_character        U+E0000 to U+E007F, but for the flags of England, Scotland and Wales
    variation_selector   where none is defined: all but the text and emoji styles after an emoji, and Mongolian's
    invisible            zero width, soft hyphen, fillers, and joiners where the script or emoji does not need them
    lone_surrogate       half a character; becomes U+FFFD

Each step looks at neighbours that it does not remove itself, so that doing it all again changes nothing. No step makes
a text longer, and each looks at a character a bounded number of times.
Source: Unicode 16, chapter 23; UAX 9; UTR 36; UTS 51.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache

Count = Callable[[str, int], None]

_ASCII_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_ESCAPES = (
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"  # CSI
    r"|\x1b[ -/]*+[0-~]?"
)

_KINDS = {
    "control": "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufff9-\ufffb"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17)),
    "bidi_control": "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    "tag_character": "\U000e0000-\U000e007f",
    "variation_selector": "\U000e0100-\U000e01ef",
    "invisible": "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0080-\U000e00ff\U000e01f0-\U000e0fff",
    "lone_surrogate": "\ud800-\udfff",
}
_DEPENDENT = "\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f"
"""Characters that are needed in some places and hide something in all others."""

_FLAG = (
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074"
    "|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_LINE_ENDS = "\x0b\x0c\x85\u2028\u2029"
_ZWNJ, _ZWJ, _KEYCAP = "\u200c", "\u200d", "\u20e3"
_STYLES = "\ufe0e\ufe0f"

_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1800-\u18af\u1900-\u1cff\ua800-\ua8ff\ua980-\uaaff"
    "\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff"
)
"""The scripts in which a joiner or non-joiner is a matter of spelling: Arabic and its kin, those of South Asia."""

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030"
    "\u303d\u3297\u3299\U0001f000-\U0001faff"
)


def visible(text: str, count: Count) -> str:
    """The text without what is listed above; `count` is told each kind and how many."""
    if text.isascii():
        if _ASCII_ODD.search(text) is None:
            return text
    elif _maybe_odd().search(text) is None:
        return text
    text, removed = _escapes().subn("", text)
    count("escape_sequence", removed)
    text = _plain(text, count)
    text = _dependent(text, count)
    text, ends = _lone_return().subn("\n", text)
    count("control", ends)
    return text


def without_controls(text: str) -> str:
    """The text with each control, bidi control, tag character and lone surrogate replaced by U+FFFD.

    For values that programs read: the length stays, and with it what a schema says of it.
    """
    return _program_odd().sub("\ufffd", text)


@cache
def _maybe_odd() -> re.Pattern[str]:
    """Finds every text that has such characters, and some that have none: classes beyond U+FFFF are slow to search."""
    basic = "".join(sign for some in _KINDS.values() for sign in _ranges(some))
    return re.compile(f"[\r{basic}{_DEPENDENT}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U0001fffe-\U0010ffff]")


def _ranges(some: str) -> Iterator[str]:
    """The characters and ranges of a class that lie in the basic plane."""
    return (found for found in re.findall(".-.|.", some, re.DOTALL) if found[0] <= "\uffff")


@cache
def _program_odd() -> re.Pattern[str]:
    kinds = ("control", "bidi_control", "tag_character", "lone_surrogate")
    return re.compile(f"[{''.join(_KINDS[kind] for kind in kinds)}]")


@cache
def _escapes() -> re.Pattern[str]:
    return re.compile(_ESCAPES)


@cache
def _lone_return() -> re.Pattern[str]:
    return re.compile(r"\r(?!\n)")


@cache
def _classes() -> re.Pattern[str]:
    return re.compile("|".join([f"(?P<flag>{_FLAG})", *(f"(?P<{kind}>[{some}]+)" for kind, some in _KINDS.items())]))


def _plain(text: str, count: Count) -> str:
    def replaced(match: re.Match[str]) -> str:
        kind, found = match.lastgroup, match[0]
        if kind == "flag" or kind is None:
            return found
        count(kind, len(found))
        if kind == "lone_surrogate":
            return "\ufffd" * len(found)
        return "\n" * sum(map(found.count, _LINE_ENDS)) if kind == "control" else ""

    return _classes().sub(replaced, text)


@cache
def _contexts() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Runs of dependent characters; the scripts that join; Mongolian letters; emoji."""
    return (
        re.compile(f"[{_DEPENDENT}]+"),
        re.compile(f"[{_JOINING}]"),
        re.compile("[\u1820-\u18aa]"),
        re.compile(f"[{_EMOJI}]"),
    )


def _dependent(text: str, count: Count) -> str:
    """Keep what the neighbours of a run need, drop the rest of it."""
    runs, joining, mongolian, emoji = _contexts()

    def kept(match: re.Match[str]) -> str:
        run, before, after = match[0], text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if joining.match(before):
            if run[0] in (_ZWNJ, _ZWJ) or (mongolian.match(before) and run[0] < _ZWNJ):
                return run[0]
        elif emoji.match(before):
            style = run[0] if run[0] in _STYLES else ""
            return style + (_ZWJ if _ZWJ in run and emoji.match(after) else "")
        elif run[0] == "\ufe0f" and after == _KEYCAP and before in set("0123456789#*"):
            return run[0]
        return ""

    def replaced(match: re.Match[str]) -> str:
        left = kept(match)
        gone = match[0] if not left else match[0].replace(left, "", 1)
        selectors = sum("\ufe00" <= one <= "\ufe0f" for one in gone)
        count("variation_selector", selectors)
        count("invisible", len(match[0]) - len(left) - selectors)
        return left

    return runs.sub(replaced, text)
