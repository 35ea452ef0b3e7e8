"""`bascule policy explain`: what holds for each feature of a server, who said so, and whether somebody may call it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from bascule.cli import exits, targets
from bascule.cli.connection import Words
from bascule.cli.ready_made import NOTHING, Choices
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.engine.policy import Window
    from bascule.pipeline import Pipeline
    from bascule.server.offer import Explained

_DEFAULT = "default"
_NO_RATE = "[limits] rate"
_DEFAULT_RATE = f"{_NO_RATE}, not for the user at this machine"


def explain(
    *words: Words,
    tool: Annotated[str | None, Parameter(metavar="NAME")] = None,
    scopes: Annotated[str | None, Parameter(metavar="SCOPE,...")] = None,
    principal: Annotated[str | None, Parameter(metavar="WHO")] = None,
    keys: Annotated[str | None, Parameter(metavar="FILE")] = None,
    config: Annotated[str | None, Parameter(metavar="FILE")] = None,
    choices: Choices = NOTHING,
    json: bool = False,
    debug: bool = False,
) -> int:
    """Print what holds, feature by feature.

    Parameters
    ----------
    tool
        Only this tool, resource (its URI or template) or prompt.
    scopes
        Say whether somebody who holds these scopes may call it; empty for a caller without credentials.
    principal
        Say whether they may: local (the user at this machine), anonymous, or the name of an API key.
    keys
        The key database; that of [auth] keys in the settings unless given.
    config
        The settings; bascule.toml in this folder unless given.
    json
        Print JSON, and nothing else, on standard output.
    debug
        Show the traceback of an error.
    """
    if len(words) != 1:
        raise ConfigError("policy explain takes one TARGET: a server's file or module, or a ready-made server")
    screen = Screen.claim()
    settings = late("bascule.config:load")(config)
    server = targets.load(words[0], choices, config)
    pipeline: Pipeline = late("bascule.pipeline:Pipeline")(settings)
    server.use_guards(pipeline)
    found: list[Explained] = server.explain()
    if tool is not None:
        known = {one.address for one in found}
        found = [one for one in found if one.address == tool]
        if not found:
            raise ConfigError(unknown("The server has no tool, resource or prompt", tool, sorted(known)))
    caller = _caller(scopes, principal, keys or settings.auth.keys)
    default = late("bascule.engine.rates:windows")(settings.limits.rate) if settings.limits.rate else ()
    if json:
        screen.raw([_as_json(one, caller, default) for one in found])
        return exits.OK
    for place, one in enumerate(found):
        if place:
            screen.text("")
        _show(screen, one, caller, default)
    for pattern in pipeline.unused if tool is None else ():
        screen.remark(f'[policy."{pattern}"] is for nothing that this server has')
    return exits.OK


class Caller(NamedTuple):
    """Whose call is looked at: how they are told of, and the scopes that they hold."""

    shown: str
    held: frozenset[str]


def _caller(scopes: str | None, name: str | None, database: str) -> Caller | None:
    """The caller that was named; None where nobody was. Raises ConfigError."""
    if scopes is not None and name is not None:
        raise ConfigError("A principal has scopes of its own: give --scopes or --principal, not both")
    if name is not None:
        held = late("bascule.cli.principals:named")([name], database)[name].scopes
        return Caller(f"{name} ({_shown(held)})", held)
    if scopes is None:
        return None
    held = frozenset(part.strip() for part in scopes.split(",") if part.strip())
    return Caller(f"with {_shown(held)}", held)


def _shown(held: frozenset[str]) -> str:
    return "every scope" if "*" in held else ", ".join(sorted(held)) or "no scope"


def _show(screen: Screen, one: "Explained", caller: Caller | None, default: "Sequence[Window]") -> None:
    screen.text(f"{one.kind} {one.address}")
    rows = _rows(one, default)
    width = max(len(value) for _, value, _ in rows)
    for name, value, origin in rows:
        screen.text(f"  {name:17} {value:{width}}  {origin}")
    screen.text(f"  {'guards':17} {', '.join(one.guards) or 'none'}")
    if caller is not None:
        lacking = one.lacking(caller.held)
        told = "may call it" if lacking is None else f"may not call it: {lacking}"
        screen.text(f"  {caller.shown:17} {told}")


def _rows(one: "Explained", default: "Sequence[Window]") -> list[tuple[str, str, str]]:
    """What holds, in words, and where that was said; what asks for nothing is left out, except where people look."""
    policy = one.policy
    values = [
        ("deny", "nobody may call it" if policy.deny else ""),
        ("scopes", ", ".join(sorted(policy.scopes)) or "none needed"),
        ("rate", _rates(policy.rate or default) or "no limit"),
        ("concurrency", "" if policy.concurrency is None else f"{policy.concurrency} at once"),
        ("timeout", "no limit" if policy.timeout is None else f"{policy.timeout:g} s"),
        ("confirm", policy.confirm),
        ("untrusted", "yes" if policy.untrusted else ""),
        ("max_result_bytes", f"{policy.max_result_bytes}"),
        ("polls", "yes" if policy.polls else ""),
    ]
    origins = {"rate": [_DEFAULT_RATE if default else _NO_RATE], **one.origins}
    return [(name, value, ", ".join(origins.get(name, [_DEFAULT]))) for name, value in values if value]


def _rates(rate: "Sequence[Window]") -> str:
    units = {1.0: "s", 60.0: "min", 3600.0: "h", 86_400.0: "d"}
    return ", ".join(f"{limit}/{units.get(per, f'{per:g}s')}" for limit, per in rate)


def _as_json(one: "Explained", caller: Caller | None, default: "Sequence[Window]") -> dict[str, Any]:
    policy = one.policy
    found: dict[str, Any] = {
        "kind": one.kind,
        "name": one.address,
        "deny": policy.deny,
        "scopes": sorted(policy.scopes),
        "rate": [window._asdict() for window in policy.rate],
        "defaultRate": [] if policy.rate else [window._asdict() for window in default],
        "concurrency": policy.concurrency,
        "timeout": policy.timeout if policy.timeout is None or math.isfinite(policy.timeout) else None,
        "confirm": policy.confirm,
        "untrusted": policy.untrusted,
        "maxResultBytes": policy.max_result_bytes,
        "polls": policy.polls,
        "from": one.origins,
        "guards": list(one.guards),
    }
    if caller is not None:
        lacking = one.lacking(caller.held)
        found["allowed"] = lacking is None
        if lacking is not None:
            found["reason"] = lacking
    return found
