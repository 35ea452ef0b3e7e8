"""What has changed between two snapshots, by meaning: what breaks callers, and what does not.

Pure functions. A caller is whoever wrote down a name, a parameter or a promise of the old surface. What a server takes
may only widen, what it gives may only narrow; a name that was there must stay.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bascule.testing.constraints import Difference, canonical
from bascule.testing.schemas import differences
from bascule.testing.surface import Snapshot
from bascule.wire.prompts import Prompt
from bascule.wire.tools import Tool, ToolAnnotations

_BREAKS_INPUT = frozenset({"narrower", "other", "lost", "default"})
_BREAKS_OUTPUT = frozenset({"wider", "other", "lost"})

_WHY = {
    "default": "callers who leave it out get something else",
}


class Change(Struct, frozen=True):
    """One change: at which place, what kind, in words, and whether it breaks callers.

    `kind` is a word for programs: `removed`, `added`, `required`, `type`, `enum`, `range`, `pattern`, `default`,
    `annotation`, `capability`, `wording` and others.
    """

    breaking: bool
    place: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.place} {self.text}"


def compare(old: Snapshot, new: Snapshot, *, strict: bool = False) -> list[Change]:
    """Every change from the old surface to the new one, in a stable order; with `strict`, other wording breaks too."""
    found = [
        *_server(old, new),
        *_family("tool", _by("name", old.tools), _by("name", new.tools), _tool),
        *_family("resource", _by("uri", old.resources), _by("uri", new.resources), _resource),
        *_family(
            "template",
            _by("uri_template", old.resource_templates),
            _by("uri_template", new.resource_templates),
            _resource,
        ),
        *_family("prompt", _by("name", old.prompts), _by("name", new.prompts), _prompt),
    ]
    if strict:
        return [msgspec.structs.replace(one, breaking=True) if one.kind == "wording" else one for one in found]
    return found


def _by(key: str, items: Sequence[Any]) -> dict[str, Any]:
    return {getattr(item, key): item for item in items}


def _server(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    if old.server != new.server:
        yield Change(False, "the server", "wording", f"is called {new.server!r} instead of {old.server!r}")
    before, after = msgspec.to_builtins(old.capabilities), msgspec.to_builtins(new.capabilities)
    yield from _capabilities("the capability", before, after)


def _capabilities(place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """What was there, or true, must stay; settings of any other kind only tell something."""
    for name in sorted(old.keys() | new.keys()):
        here = f"{place} {name}" if place.endswith("capability") else f"{place}.{name}"
        before, after = old.get(name, False), new.get(name, False)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _capabilities(here, before, after)
        elif before is not False and after is False:
            yield Change(True, here, "capability", "is gone")
        elif before is False and after is not False:
            yield Change(False, here, "capability", "is new")
        elif canonical(before) != canonical(after):
            yield Change(False, here, "capability", f"is {canonical(after)} instead of {canonical(before)}")


def _family(
    kind: str, old: dict[str, Any], new: dict[str, Any], inner: Callable[[str, Any, Any], Iterator[Change]]
) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        place = f"{kind} {name}"
        if name not in new:
            yield Change(True, place, "removed", "is gone")
        elif name not in old:
            yield Change(False, place, "added", "is new")
        else:
            yield from _wording(place, old[name], new[name])
            yield from inner(f"{place}:", old[name], new[name])


def _wording(place: str, old: Any, new: Any) -> Iterator[Change]:
    for word in ("title", "description"):
        if getattr(old, word) != getattr(new, word):
            yield Change(False, place, "wording", f"has another {word}")


def _tool(place: str, old: Tool, new: Tool) -> Iterator[Change]:
    for one in differences(old.input_schema, new.input_schema):
        yield _changed(f"{place} {_named('parameter', 'the arguments', one)}", one, _BREAKS_INPUT, _WHY)
    if old.output_schema is not None and new.output_schema is None:
        yield Change(True, f"{place} the output schema", "removed", "is gone")
    elif old.output_schema is None and new.output_schema is not None:
        yield Change(False, f"{place} the output schema", "added", "is new")
    elif old.output_schema is not None:
        for one in differences(old.output_schema, new.output_schema):
            yield _changed(f"{place} {_named('result', 'the result', one)}", one, _BREAKS_OUTPUT, {})
    yield from _annotations(place, old.annotations or ToolAnnotations(), new.annotations or ToolAnnotations())
    yield from _execution(place, _task_support(old), _task_support(new))


def _changed(place: str, one: Difference, breaks: frozenset[str], reasons: dict[str, str]) -> Change:
    reason = reasons.get(one.direction)
    return Change(one.direction in breaks, place, one.kind, f"{one.text} ({reason})" if reason else one.text)


def _named(noun: str, whole: str, one: Difference) -> str:
    """Where in a schema: `parameter filter.tags[]`."""
    if not one.path:
        return whole
    path = "".join(part if part.startswith("[") else f".{part}" for part in one.path)
    return f"{noun} {path.removeprefix('.')}"


_HINTS: tuple[tuple[str, str, bool, bool, str], ...] = (
    (
        "read_only_hint",
        "readOnlyHint",
        False,
        True,
        "who ran it unasked because it only reads may now change something",
    ),
    (
        "destructive_hint",
        "destructiveHint",
        True,
        False,
        "who ran it because it destroys nothing may now lose something",
    ),
    ("idempotent_hint", "idempotentHint", False, True, "who repeats a failed call may now do it twice"),
    ("open_world_hint", "openWorldHint", True, False, "who trusted that it stays inside may now reach outside"),
)
"""Each hint, its name on the wire, what holds without it, the value that callers rely on, and what losing it means."""


def _annotations(place: str, old: ToolAnnotations, new: ToolAnnotations) -> Iterator[Change]:
    if old.title != new.title:
        yield Change(False, place.removesuffix(":"), "wording", "has another title in its annotations")
    for field, name, unsaid, relied_on, loss in _HINTS:
        before, after = getattr(old, field), getattr(new, field)
        before, after = unsaid if before is None else before, unsaid if after is None else after
        if before != after:
            lost = before is relied_on
            text = f"is {_word(after)} instead of {_word(before)}"
            yield Change(lost, f"{place} {name}", "annotation", f"{text} ({loss})" if lost else text)


def _word(value: bool) -> str:
    return "true" if value else "false"


def _task_support(tool: Tool) -> str:
    return (tool.execution.task_support if tool.execution else None) or "forbidden"


def _execution(place: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        breaks = new == "required" or (new == "forbidden" and old != "forbidden")
        yield Change(breaks, f"{place} taskSupport", "tasks", f"is {new} instead of {old}")


def _resource(place: str, old: Any, new: Any) -> Iterator[Change]:
    if old.name != new.name:
        yield Change(False, place.removesuffix(":"), "wording", f"is named {new.name!r} instead of {old.name!r}")
    if old.mime_type != new.mime_type:
        text = f"is {new.mime_type or 'not told'} instead of {old.mime_type or 'not told'}"
        yield Change(old.mime_type is not None, f"{place} its type", "type", text)


def _prompt(place: str, old: Prompt, new: Prompt) -> Iterator[Change]:
    before, after = _by("name", old.arguments or ()), _by("name", new.arguments or ())
    for name in sorted(before.keys() | after.keys()):
        here = f"{place} parameter {name}"
        needed = name in after and bool(after[name].required)
        if name not in after:
            yield Change(True, here, "removed", "is gone")
        elif name not in before:
            yield Change(needed, here, "added", "is new and required" if needed else "is new")
        else:
            yield from _wording(here, before[name], after[name])
            if needed and not before[name].required:
                yield Change(True, here, "required", "is required now")
            elif before[name].required and not needed:
                yield Change(False, here, "required", "is no longer required")
