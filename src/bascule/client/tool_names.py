"""Names of tools for a language model: one flat list, made from tools of many servers, of which none hides another.

Knows names only. Interfaces of models allow letters, digits, `_` and `-`, 64 at most. A name that would be longer, or
that two tools would share, gets a digest of its server and tool, so that no server can take the place of another's
tool, and a name depends on the tools it collides with only.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

MAX_LENGTH = 64

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST = (8, 16, 32)

Tool = tuple[str, str]


def joined_names(tools: Iterable[Tool], prefix: str) -> dict[str, Tool]:
    """A name for each (server, tool); `{server}` in the prefix stands for the server's name."""
    wanted = {tool: _FORBIDDEN.sub("_", prefix.replace("{server}", tool[0]) + tool[1]) for tool in tools}
    count = Counter(wanted.values())
    plain = {tool: name for tool, name in wanted.items() if count[name] == 1 and 0 < len(name) <= MAX_LENGTH}
    taken = set(plain.values())
    named: dict[str, Tool] = {}
    for tool, name in wanted.items():
        own = plain.get(tool) or _digested(name, tool, taken)
        taken.add(own)
        named[own] = tool
    return named


def _digested(name: str, tool: Tool, taken: set[str]) -> str:
    """The name with the beginning of a digest, as long as it takes for nobody else to have it."""
    digest = hashlib.sha256("\0".join(tool).encode(errors="surrogatepass")).hexdigest()
    made = [f"{name[: MAX_LENGTH - 1 - size]}_{digest[:size]}" for size in _DIGEST]
    return next((one for one in made if one not in taken), digest)
