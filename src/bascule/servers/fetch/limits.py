"""What one fetch may take, and the errors that say so."""

from typing import ClassVar

from msgspec import Struct

from bascule import ToolError
from bascule.checks.urls import MAX_REDIRECTS


class Limits(Struct, frozen=True):
    """What one fetch may take. Bytes are those after decompression, and those on the wire."""

    seconds: float = 20.0
    """For all of the network: names, connections, robots.txt, every redirect, the body."""
    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    """For reading a page once it is here: extraction and conversion, in a process of its own."""
    max_bytes: int = 4 * 1024 * 1024
    """A longer body is cut there, and the answer says so."""
    max_redirects: int = MAX_REDIRECTS
    rate: str = "10/10s, 60/min"
    """How many requests go to one host, all callers together."""
    max_robots_bytes: int = 512 * 1024
    robots_seconds: float = 3600.0
    """For how long a robots.txt counts."""
    cache_bytes: int = 32 * 1024 * 1024
    readers: int = 2
    """How many pages are read at once."""


class Unreadable(ToolError):
    """What came is no text, or cannot be read as what it says it is."""

    code: ClassVar[str] = "unreadable"
    advice = "Ask for it raw, or for another page."
    retry = "no"
