"""Fail where an installed distribution that Bascule or one of its extras needs is under the GPL or the AGPL.

Reads the metadata of the distributions in the running environment, from `bascule` outwards through everything it
requires. The LGPL is allowed: Bascule only imports such a library. A choice ("MIT OR GPL-2.0") is free if one side is.
A distribution that states no licence fails too.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

FORBIDDEN = re.compile(r"(?<![A-Za-z])A?GPL|General Public License|^unknown$")
LESSER = re.compile(r"(?:GNU )?(?:Lesser|Library(?: or Lesser)?) General Public License[^)]*(?:\(LGPL[^)]*\))?")


def licences(dist: Distribution) -> list[str]:
    """What the distribution says of its licence, one entry for each statement it makes."""
    expression = dist.metadata.get("License-Expression")
    if expression:
        return [expression]
    classifiers = [c for c in dist.metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    said = [c.rpartition(" :: ")[2] for c in classifiers]
    return said or [(dist.metadata.get("License") or "unknown").splitlines()[0]]


def forbidden(stated: list[str]) -> bool:
    """Whether every way to take the distribution leads to the GPL or the AGPL."""
    choices = [choice for entry in stated for choice in re.split(r"\s+OR\s+", entry)]
    return all(FORBIDDEN.search(LESSER.sub("", choice)) for choice in choices)


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[Distribution]:
    """The distribution and, outwards, everything it requires here; each once."""
    key = (re.sub(r"[-_.]+", "-", name).lower(), extras)
    if key in seen:
        return
    seen.add(key)
    try:
        dist = distribution(name)
    except PackageNotFoundError:
        return  # required elsewhere, on another platform
    yield dist
    for line in dist.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in {"", *extras}):
            yield from needed(requirement.name, frozenset(requirement.extras), seen)


def main() -> int:
    extras = frozenset(distribution("bascule").metadata.get_all("Provides-Extra") or [])
    found = {dist.metadata["Name"]: licences(dist) for dist in needed("bascule", extras, set())}
    bad = {name: stated for name, stated in found.items() if forbidden(stated)}
    for name, stated in sorted(bad.items()):
        print(f"licences: {name} is under {', '.join(stated)}")
    if not bad:
        print(f"licences: {len(found)} distributions, none under the GPL or the AGPL")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
