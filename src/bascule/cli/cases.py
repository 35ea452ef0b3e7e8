"""Cases: the file of `bascule policy test`, a table of calls and of what should become of each.

Knows the form of the file and what can be meant by it; knows no server. Whatever is wrong is a ConfigError that names
the place, and the nearest valid word for a misspelt one.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from bascule.auth.given_keys import checked_scopes
from bascule.cli.spelling import unknown
from bascule.engine.connection import EraName
from bascule.engine.policy import Kind
from bascule.errors import ConfigError

MAX_TIMES = 10_000
MAX_CALLS = 100_000
"""How often one call of a file may be made, and how many calls a whole file may make, in each era."""

ALLOWED = "allowed"
_ERAS: tuple[EraName, ...] = ("modern", "legacy")
_KINDS: tuple[Kind, ...] = ("tool", "resource", "prompt")


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call, and what should become of it.

    `caller` is who shares limits with all calls that have the same; one without is nobody's that another call counts
    for. Of `times` calls the last is the one that is looked at. Without `answer` the client cannot be asked.
    """

    expect: str
    name: str = ""
    tool: str | None = None
    resource: str | None = None
    prompt: str | None = None
    arguments: dict[str, Any] = {}
    scopes: tuple[str, ...] | None = None
    principal: str | None = None
    caller: str | None = None
    times: Annotated[int, Meta(ge=1, le=MAX_TIMES)] = 1
    answer: Literal["accept", "decline", "cancel"] | None = None
    guard: str | None = None
    era: EraName | None = None

    @property
    def kind(self) -> Kind:
        """What is called."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def feature(self) -> str:
        """The name or URI that is called."""
        return str(getattr(self, self.kind))

    @property
    def eras(self) -> Sequence[EraName]:
        """In which eras it is called."""
        return _ERAS if self.era is None else (self.era,)


class Cases(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file. Paths in it begin at its own folder."""

    target: str | None = None
    config: str | None = None
    keys: str | None = None
    call: tuple[Case, ...] = ()


def read(path: str) -> Cases:
    """The cases in a file. Raises ConfigError."""
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"The file {path} is not valid TOML: {error}") from None
    _check_keys(f"The file {path}", found, Cases)
    calls = found.get("call", ())
    if not isinstance(calls, list) or not calls:
        raise ConfigError(f"The file {path} has no [[call]], so there is nothing to test")
    cases = tuple(_case(number, given) for number, given in enumerate(calls, 1))
    if sum(case.times for case in cases) > MAX_CALLS:
        raise ConfigError(f"The file {path} makes more than {MAX_CALLS} calls, all its times together")
    return _below(Path(path).parent, _converted(f"The file {path}", {**found, "call": ()}, Cases), cases)


def _below(folder: Path, given: Cases, cases: tuple[Case, ...]) -> Cases:
    """The file with the paths in it as seen from here."""

    def path(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    target = given.target
    if target is not None and target.rpartition(":")[0 if not target.endswith(".py") else 2].endswith(".py"):
        target = path(target)
    return Cases(target=target, config=path(given.config), keys=path(given.keys), call=cases)


def _case(number: int, given: Any) -> Case:
    where = f"[[call]] {number}"
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a table")
    if isinstance(given.get("name"), str):
        where = f"{where} ({given['name'][:60]!r})"
    _check_keys(where, given, Case)
    called = [kind for kind in _KINDS if kind in given]
    if len(called) != 1:
        raise ConfigError(f"{where} must say what is called: one of tool, resource and prompt")
    if "expect" not in given:
        raise ConfigError(f'{where} must say what it expects: expect = "{ALLOWED}", or the code of an error')
    case: Case = _converted(where, given, Case)
    _check_meaning(where, case)
    return case


def _check_meaning(where: str, case: Case) -> None:
    if case.scopes is not None and case.principal is not None:
        raise ConfigError(f"{where} has scopes and a principal, which has scopes of its own; give one of the two")
    if case.resource is not None and case.arguments:
        raise ConfigError(f"{where} has arguments, but those of a resource stand in its URI")
    if case.prompt is not None and not all(isinstance(value, str) for value in case.arguments.values()):
        raise ConfigError(f'{where} has arguments that are no text, but all of a prompt are: write days = "3"')
    if case.guard is not None and case.expect == ALLOWED:
        raise ConfigError(f"{where} names a guard, but none refuses what is allowed")
    try:
        if case.scopes:
            checked_scopes(case.scopes)
        msgspec.json.encode(_finite(case.arguments))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ConfigError(f"{where} has arguments that JSON cannot say") from None


def _finite(value: Any) -> Any:
    """The value itself. Raises ValueError for a number that JSON has not."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and value - value != 0:
        raise ValueError
    return value


def _check_keys(where: str, given: dict[str, Any], shape: type[Struct]) -> None:
    known = [field.name for field in fields(shape)]
    for key in given:
        if key not in known:
            raise ConfigError(unknown(f"{where} has a key that there is not,", key, known))


def _converted(where: str, given: dict[str, Any], shape: Any) -> Any:
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise ConfigError(f"{where}: {place.rstrip('`') or 'a value'} does not fit: {reason}") from None
