"""Letters that must not reach a terminal as they are: what steers it, and what turns the direction of writing."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Text in which control characters, except line breaks and tabs, are shown instead of obeyed."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped(text: str) -> str:
    """JSON in which control characters are spelled as JSON spells them, so that it stays the same value."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
