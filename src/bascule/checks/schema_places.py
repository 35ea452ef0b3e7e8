"""The places of one JSON Schema: its subschemas, what each applies to the same value, and where its references lead.

Knows the keywords of the drafts 4 to 2020-12, identifiers and anchors; knows no validator and no tool, and opens
nothing. A dynamic reference is taken to lead to every place that it could.
Source: JSON Schema 2020-12, core, sections 8 to 11.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urljoin

Schema = dict[str, Any]
Part = Schema | bool

DIALECTS: Final = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
)
"""What `$schema` may name, with http or https; an empty fragment may follow."""

DIALECT: Final[Schema] = {}
"""Where a reference to the schema of a dialect leads: a place that the validator brings along."""

_ANYTHING: Final[Schema] = {}
"""Where a reference to `true` or `false` leads."""

_MAPS = ("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLES = ("not", "if", "then", "else", "contains", "propertyNames", "additionalProperties", "items", "contentSchema")
_REST = ("additionalItems", "unevaluatedItems", "unevaluatedProperties")

_PUBLISHED = re.compile(
    r"https://json-schema\.org/draft/20(?:19-09|20-12)/(?:schema|meta/[a-z-]+)|http://json-schema\.org/draft-0[467]/schema"
)


class Unresolved(LookupError):
    """A reference that leads nowhere in the schema; its text is the reference."""


class Places:
    """The places of a schema, which must be plain JSON and no deeper than Python can follow."""

    def __init__(self, root: Schema) -> None:
        self.all: list[Schema] = []
        self._id = "id" if (_dialect(root) or "").endswith("draft-04/schema") else "$id"
        self._base_of: dict[int, str] = {}
        self._resources: dict[str, Schema] = {"": root}
        self._anchors: dict[tuple[str, str], Schema] = {}
        self._dynamic: dict[str, Schema] = {}
        self._enter(root, "")

    def unknown_dialect(self) -> str | None:
        """The first dialect that a part of the schema names and that is none of those supported."""
        known = {uri.partition(":")[2] for uri in DIALECTS}
        named = (name for name in map(_dialect, self.all) if name is not None)
        return next((name for name in named if name[:4] != "http" or name.partition(":")[2] not in known), None)

    def beside(self, place: Schema) -> list[Part]:
        """What a place applies to the value that it is applied to itself. Raises Unresolved."""
        found = parts(place, ("dependentSchemas", "dependencies"), ("allOf", "anyOf", "oneOf"), _SINGLES[:4])
        return [*found, *self._referred(place)]

    def _referred(self, place: Schema) -> Iterator[Schema]:
        base = self._base_of.get(id(place), "")
        if isinstance(reference := place.get("$ref"), str):
            yield self._target(reference, base)
        if isinstance(reference := place.get("$dynamicRef"), str):
            yield from self._possible(reference, base, reference.rpartition("#")[2])
        if isinstance(reference := place.get("$recursiveRef"), str):
            yield from self._possible(reference, base, "")

    def _possible(self, reference: str, base: str, name: str) -> Iterator[Schema]:
        """Where a dynamic reference may lead: to what it names, and to all places of one dynamic name, as one place."""
        yield self._target(reference, base)
        if name in self._dynamic:
            yield self._dynamic[name]

    def _target(self, reference: str, base: str) -> Schema:
        uri, _, fragment = _joined(base, reference).partition("#")
        root = self._resources.get(uri)
        if root is None and _PUBLISHED.fullmatch(uri):
            return DIALECT
        name = unquote(fragment)
        found = self._anchors.get((uri, name)) if name and name[0] != "/" else _pointed(root, name)
        if not isinstance(found, (dict, bool)) or root is None:
            raise Unresolved(reference)
        if isinstance(found, dict) and id(found) not in self._base_of:
            self._enter(found, uri)
        return found if isinstance(found, dict) else _ANYTHING

    def _enter(self, place: Schema, base: str) -> None:
        """Note a place and those in it, each with the URI from which its references are read."""
        self.all.append(place)
        if isinstance(given := place.get(self._id), str):
            uri, _, anchor = _joined(base, given).partition("#")
            if anchor:
                self._anchors[base, anchor] = place
            else:
                base = uri
                self._resources.setdefault(base, place)
        self._base_of[id(place)] = base
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := place.get(key), str):
                self._anchors[base, name] = place
        if isinstance(name := place.get("$dynamicAnchor"), str):
            self._dynamic.setdefault(name, {"allOf": []})["allOf"].append(place)
        if place.get("$recursiveAnchor") is True:
            self._dynamic.setdefault("", {"allOf": []})["allOf"].append(place)
        for part in parts(place, _MAPS, _LISTS, (*_SINGLES, *_REST)):
            if isinstance(part, dict) and id(part) not in self._base_of:
                self._enter(part, base)


def parts(place: Schema, maps: Iterable[str], lists: Iterable[str], singles: Iterable[str]) -> list[Part]:
    """The subschemas that stand under these keywords: in an object by name, in a list, or alone."""
    found = [place.get(key) for key in singles]
    for key in lists:
        if isinstance(value := place.get(key), list):
            found += value
    for key in maps:
        if isinstance(value := place.get(key), dict):
            found += value.values()
    return [part for part in found if isinstance(part, (dict, bool))]


def walk(
    starts: Sequence[Schema], onward: Callable[[Schema], Iterable[Part]], longest: int
) -> tuple[list[Schema], list[Schema]]:
    """Every place that can be reached, each after those that it leads to; and the places that lead back to themselves.

    Raises RecursionError for a way of more than `longest` places.
    """
    done: dict[int, bool] = {}
    order: list[Schema] = []
    repeated: dict[int, Schema] = {}
    for start in starts:
        ways = [] if id(start) in done else [(start, iter(onward(start)))]
        done.setdefault(id(start), False)
        while ways:
            place, rest = ways[-1]
            for part in rest:
                if not isinstance(part, dict):
                    continue
                if done.get(id(part)) is False:
                    repeated[id(part)] = part
                elif id(part) not in done:
                    done[id(part)] = False
                    ways.append((part, iter(onward(part))))
                    break
            else:
                ways.pop()
                done[id(place)] = True
                order.append(place)
            if len(ways) > longest:
                raise RecursionError
    return order, list(repeated.values())


def _dialect(place: Schema) -> str | None:
    named = place.get("$schema")
    return named.removesuffix("#") if isinstance(named, str) else None


def _joined(base: str, reference: str) -> str:
    """A reference as a URI; as it is where it cannot be read, so that it leads nowhere."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def _pointed(found: Any, pointer: str) -> Any:
    """What a JSON pointer leads to; None where there is nothing."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and len(name) < 7 and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found
