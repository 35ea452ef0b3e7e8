"""Policy: which entries of `[policy]` hold for a feature.

An entry is a name or a glob (`drop_*`), held against a tool's or prompt's name and a resource's URI or template. Before
it may stand what it is for: `tool:drop_*`, `prompt:*`, `resource:file:///*`. Every entry that fits holds.
"""

import re
from collections.abc import Mapping
from fnmatch import translate

from bascule.engine.demands import Demands, Source
from bascule.engine.policy import Kind

_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "tool": ("tool",),
    "prompt": ("prompt",),
    "resource": ("resource", "template"),
}


class Rules:
    """The entries of one `[policy]`."""

    def __init__(self, entries: Mapping[str, Demands]) -> None:
        self._rules = [_Rule(pattern, demands) for pattern, demands in entries.items()]

    def sources(self, kind: Kind, address: str) -> list[Source]:
        """The entries that hold for a feature, in the order of the file."""
        fitting = [rule for rule in self._rules if rule.fits(kind, address)]
        for rule in fitting:
            rule.used = True
        return [rule.source for rule in fitting]

    @property
    def unused(self) -> list[str]:
        """The patterns of entries that have held for nothing yet."""
        return [rule.pattern for rule in self._rules if not rule.used]


class _Rule:
    def __init__(self, pattern: str, demands: Demands) -> None:
        self.pattern = pattern
        self.used = False
        self.source = Source(f'[policy."{pattern}"]', demands)
        word, colon, rest = pattern.partition(":")
        named = colon and word in _KINDS and not rest.startswith("//")
        self._kinds = _KINDS[word] if named else None
        self._match = re.compile(translate(rest if named else pattern)).match

    def fits(self, kind: Kind, address: str) -> bool:
        return (self._kinds is None or kind in self._kinds) and self._match(address) is not None
