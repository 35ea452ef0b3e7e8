"""Rules in types: finds the `Rule`s that an annotation holds, and makes one check of them for the decoded value.

Knows annotations and rules; knows no JSON. A rule is run wherever it stands around a value or around the items of a
list, set, tuple or dict. Anywhere else nobody would run it, so there it is refused: a rule that is silently skipped is
a hole. None passes unchecked: a rule judges values that are there.
"""

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from functools import reduce
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from msgspec import Struct

from bascule.checks.rules import Rule
from bascule.errors import ToolError
from bascule.server.problems import at
from bascule.server.values import MARK

Check = Callable[[Any], Any]

_MAX_SAID = 500
_LISTS = (list, Sequence, MutableSequence)
_SETS = (set, frozenset)
_DICTS = (dict, Mapping, MutableMapping)


class Broken(Exception):
    """A rule refused a value; the text completes a sentence that starts with the argument's name."""

    def __init__(self, reason: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return at(self.path) + self.reason


def check_of(annotation: Any) -> Check | None:
    """What runs the rules of an annotation; None where there are none. It raises Broken.

    Raises TypeError, in a sentence, for a rule that could not be run where it stands.
    """
    annotation = _plain(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        rules = [_applied(item) for item in parts[1:] if _is_rule(item)]
        inner = check_of(parts[0])
        return _chained([*([inner] if inner else []), *rules])
    if origin is Union or origin is types.UnionType:
        return _of_union(parts)
    if origin in _LISTS or origin in _SETS or (origin is tuple and parts[1:] == (Ellipsis,)):
        item = check_of(parts[0])
        return None if item is None else _each(item, list if origin in _LISTS else origin)
    if origin in _DICTS:
        _refuse_inside(parts[0], set())
        item = check_of(parts[1])
        return None if item is None else _each_value(item)
    _refuse_inside(annotation, set())
    return None


def has_rule(annotation: Any) -> bool:
    """Whether a rule stands around an annotation."""
    return any(_is_rule(item) for item in getattr(annotation, "__metadata__", ()))


def _is_rule(item: Any) -> bool:
    if isinstance(item, type) and issubclass(item, Rule):
        raise TypeError(f"the rule {item.__name__} is a class; write {item.__name__}(...)")
    return isinstance(item, Rule)


def _plain(annotation: Any) -> Any:
    """The annotation that a `type` statement or a NewType stands for."""
    for inner in ("__value__", "__supertype__"):
        if hasattr(annotation, inner):
            return _plain(getattr(annotation, inner))
    return annotation


def _applied(rule: Rule) -> Check:
    check = rule.check

    def applied(value: Any) -> Any:
        if value is None:
            return None
        try:
            return check(value)
        except (ValueError, ToolError) as error:
            raise Broken(_said(error)) from None

    return applied


def _said(error: Exception) -> str:
    said = str(error).strip().rstrip(".")[:_MAX_SAID]
    if not said:
        return "is not allowed"
    return said if said[0].islower() else f"is not allowed: {said}"


def _chained(checks: list[Check]) -> Check | None:
    if len(checks) <= 1:
        return checks[0] if checks else None
    return lambda value: reduce(lambda so_far, check: check(so_far), checks, value)


def _of_union(members: tuple[Any, ...]) -> Check | None:
    present = [member for member in members if member is not type(None)]
    checks = [check for member in present if (check := check_of(member)) is not None]
    if not checks:
        return None
    if len(present) > 1:
        raise TypeError("a rule stands at one of several alternatives; put it around all of them")
    check = checks[0]
    return lambda value: None if value is None else check(value)


def _each(check: Check, make: Callable[[Any], Any]) -> Check:
    def checked(values: Any) -> Any:
        return None if values is None else make([_at(check, index, value) for index, value in enumerate(values)])

    return checked


def _each_value(check: Check) -> Check:
    def checked(values: Any) -> Any:
        return None if values is None else {key: _at(check, key, value) for key, value in values.items()}

    return checked


def _at(check: Check, step: Any, value: Any) -> Any:
    try:
        return check(value)
    except Broken as broken:
        raise Broken(broken.reason, (step if isinstance(step, int) else str(step), *broken.path)) from None


def _refuse_inside(annotation: Any, seen: set[int]) -> None:
    """Raise TypeError for a rule anywhere in what no check goes into."""
    annotation = _plain(annotation)
    if id(annotation) in seen or get_origin(annotation) is Literal:
        return
    seen.add(id(annotation))
    if has_rule(annotation):
        raise TypeError(
            "a rule stands inside of a type, where it would not be run; put it at the parameter, or at the items of a "
            "list, set, tuple or dict"
        )
    for part in (*get_args(annotation), *_fields(get_origin(annotation) or annotation)):
        _refuse_inside(part, seen)


def _fields(kind: Any) -> Iterator[Any]:
    """The annotations of the fields of a class that holds values."""
    is_record = isinstance(kind, type) and (
        dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
        or issubclass(kind, Struct)
        or hasattr(kind, "_field_defaults")
        or hasattr(kind, MARK)
    )
    if is_record:
        try:
            yield from get_type_hints(kind, include_extras=True).values()
        except (NameError, TypeError):
            return
