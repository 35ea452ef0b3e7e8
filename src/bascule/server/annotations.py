"""Annotations: what `Annotated[...]` says, brought into the one form that msgspec enforces.

Reads plain strings (descriptions), `msgspec.Meta`, annotated_types, pydantic's `Field` and what a `Rule` notes. An
annotation that only pydantic can enforce is marked foreign and kept as it is; a limit that nobody would enforce is
refused, never ignored. Other metadata is skipped, as PEP 593 asks.
"""

import dataclasses
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict

from msgspec import Meta

from bascule.checks.rules import Rule
from bascule.server.values import MARK

NOTES = ("title", "description", "examples", "extra_json_schema")
LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")

_SIMPLE = {
    "Gt": "gt",
    "Ge": "ge",
    "Lt": "lt",
    "Le": "le",
    "MultipleOf": "multiple_of",
    "MinLen": "min_length",
    "MaxLen": "max_length",
}
_PATTERN = "_PydanticGeneralMetadata"
_REFUSED_FIELD_OPTIONS = ("alias", "validation_alias")


class Reading(NamedTuple):
    """An annotation made plain: the type, what is said about it, and whether only pydantic can read it."""

    annotation: Any
    notes: dict[str, Any]
    foreign: bool


def read(annotation: Any) -> Reading:
    """Separate an annotation's notes from its type and limits. Raises TypeError with a sentence where that fails."""
    foreign = is_foreign(annotation)
    metadata = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    facts = _gathered(metadata)
    notes = {key: facts.pop(key) for key in NOTES if key in facts}
    if not foreign:
        base = get_args(annotation)[0] if metadata else annotation
        return Reading(_limited(_native(base), facts), notes, False)
    if "pydantic" not in sys.modules:
        raise TypeError("its annotation needs pydantic, which is not imported")
    if any(isinstance(item, Meta) and _facts(item).keys() & set(LIMITS) for item in metadata):
        raise TypeError("msgspec's limits do not apply to a type that pydantic reads; use pydantic's Field for them")
    return Reading(annotation, notes, True)


def is_field(value: object) -> bool:
    """Whether a value is what pydantic's `Field(...)` returns."""
    return type(value).__name__ == "FieldInfo" and type(value).__module__ == "pydantic.fields"


def with_none(annotation: Any) -> Any:
    """The annotation, widened by None where it does not allow it."""
    base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if base in (Any, object) or type(None) in (alternatives := members(base)) or None in alternatives:
        return annotation
    if base is annotation:
        return Union[annotation, None]  # noqa: UP007
    return Annotated[(Union[base, None], *get_args(annotation)[1:])]  # noqa: UP007


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the annotation alone where it is none."""
    base = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return get_args(base) if _is_union(base) else (annotation,)


def mentions(annotation: Any, kinds: tuple[type, ...]) -> bool:
    """Whether one of the classes stands anywhere in the annotation."""
    if isinstance(annotation, type) and not get_args(annotation):
        return issubclass(annotation, kinds)
    return any(mentions(part, kinds) for part in get_args(annotation))


def is_foreign(annotation: Any) -> bool:
    """Whether the annotation mentions something that only pydantic can enforce."""
    return any(_is_marked(part, nested) for part, nested in _parts(annotation, nested=False, seen=set()))


def _is_marked(part: Any, nested: bool) -> bool:
    if hasattr(part, MARK) or hasattr(part, "__pydantic_validator__"):
        return True
    if is_field(part):
        return nested or not all(_is_known(item) for item in part.metadata) or not _is_plain_field(part)
    module = type(part).__module__
    if module == "annotated_types":
        return nested or not _is_known(part)
    return module.startswith("pydantic.") and not isinstance(part, type)


def _is_plain_field(field: Any) -> bool:
    return not callable(field.json_schema_extra) and field.discriminator is None


def _is_known(item: Any) -> bool:
    if hasattr(item, "__iter__"):
        return all(_is_known(part) for part in item)
    return type(item).__name__ in _SIMPLE or (type(item).__name__ == _PATTERN and set(vars(item)) == {"pattern"})


def _parts(annotation: Any, *, nested: bool, seen: set[int]) -> Iterator[tuple[Any, bool]]:
    """Every type and metadata object that an annotation is made of, into the fields of plain classes."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    yield annotation, nested
    if get_origin(annotation) is Literal:
        return
    parts = [*get_args(annotation), *getattr(annotation, "__metadata__", ())]
    for part in parts:
        yield from _parts(part, nested=nested, seen=seen)
    for part in _field_types(annotation):
        yield from _parts(part, nested=True, seen=seen)


def _field_types(kind: Any) -> Iterable[Any]:
    is_record = isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_field_defaults")
    )
    if not is_record or hasattr(kind, MARK):
        return ()
    try:
        return get_type_hints(kind, include_extras=True).values()
    except (NameError, TypeError):
        return ()


def _native(annotation: Any) -> Any:
    """The annotation with all metadata inside it in msgspec's form."""
    if annotation is object:
        return Any
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        facts = _gathered(parts[1:])
        notes = {key: facts.pop(key) for key in NOTES if key in facts}
        limited = _limited(_native(parts[0]), facts)
        return Annotated[limited, Meta(**notes)] if notes else limited
    if origin is Literal or not parts or not all(_is_type(part) for part in parts):
        return annotation
    changed = tuple(_native(part) for part in parts)
    if all(new is old for new, old in zip(changed, parts, strict=True)):
        return annotation
    if _is_union(annotation):
        return Union[changed]  # noqa: UP007
    return annotation.copy_with(changed) if hasattr(annotation, "copy_with") else origin[changed]


def _is_type(part: Any) -> bool:
    return not isinstance(part, (list, tuple))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _limited(base: Any, limits: Mapping[str, Any]) -> Any:
    """Put limits on a type; of a union, on every member but None."""
    if not limits:
        return base
    if not _is_union(base):
        return Annotated[base, Meta(**limits)]
    limited = (part if part is type(None) else _limited(part, limits) for part in get_args(base))
    return Union[tuple(limited)]  # noqa: UP007


def _gathered(metadata: Iterable[Any]) -> dict[str, Any]:
    """Everything that the metadata says, the later word winning; extra schema keys are put together."""
    gathered: dict[str, Any] = {}
    for item in metadata:
        facts = _facts(item)
        extra = {**gathered.get("extra_json_schema", {}), **facts.pop("extra_json_schema", {})}
        gathered.update(facts)
        if extra:
            gathered["extra_json_schema"] = extra
    return gathered


def _facts(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"description": item}
    if isinstance(item, Rule):
        return {"extra_json_schema": dict(item.notes)} if item.notes else {}
    if isinstance(item, Meta):
        return {key: value for key in NOTES + LIMITS if (value := getattr(item, key)) is not None}
    if is_field(item):
        return _field_facts(item)
    name, module = type(item).__name__, type(item).__module__
    if name == _PATTERN:
        return {"pattern": vars(item)["pattern"]} if "pattern" in vars(item) else {}
    if module == "annotated_types":
        if name in _SIMPLE:
            return {_SIMPLE[name]: getattr(item, _SIMPLE[name])}
        return _gathered(item) if hasattr(item, "__iter__") else {}
    documentation = getattr(item, "documentation", None)
    return {"description": documentation} if isinstance(documentation, str) else {}


def _field_facts(field: Any) -> dict[str, Any]:
    for option in _REFUSED_FIELD_OPTIONS:
        if getattr(field, option) is not None:
            raise TypeError(f"Field({option}=...) is not supported; give the parameter that name")
    facts = _gathered(field.metadata)
    for key in ("title", "description", "examples"):
        if getattr(field, key) is not None:
            facts[key] = getattr(field, key)
    if isinstance(field.json_schema_extra, dict):
        facts["extra_json_schema"] = dict(field.json_schema_extra)
    return facts
