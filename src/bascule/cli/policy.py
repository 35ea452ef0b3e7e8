"""`bascule policy`: what holds for each feature of a server, where it was said, and whether somebody may call it."""

import math
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bascule.cli import exits, targets
from bascule.cli.connection import Words
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.server.offer import Explained

_DEFAULT = "default"


def explain(
    *words: Words,
    tool: Annotated[str | None, Parameter(metavar="NAME")] = None,
    scopes: Annotated[str | None, Parameter(metavar="SCOPE,...")] = None,
    config: Annotated[str | None, Parameter(metavar="FILE")] = None,
    db: Annotated[str | None, Parameter(metavar="URL")] = None,
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
    config
        The settings; bascule.toml in this folder unless given.
    db
        The database of the server sql, by default DATABASE_URL.
    json
        Print JSON, and nothing else, on standard output.
    debug
        Show the traceback of an error.
    """
    if len(words) != 1:
        raise ConfigError("policy explain takes one TARGET: a server's file or module, or a ready-made server")
    screen = Screen.claim()
    settings = late("bascule.config:load")(config)
    server = targets.load(words[0], db)
    server.use_guards(late("bascule.pipeline:Pipeline")(settings))
    found: list[Explained] = server.explain()
    if tool is not None:
        known = {one.address for one in found}
        found = [one for one in found if one.address == tool]
        if not found:
            raise ConfigError(unknown("The server has no tool, resource or prompt", tool, sorted(known)))
    held = None if scopes is None else frozenset(part.strip() for part in scopes.split(",") if part.strip())
    if json:
        screen.raw([_as_json(one, held) for one in found])
        return exits.OK
    for place, one in enumerate(found):
        if place:
            screen.text("")
        _show(screen, one, held)
    for pattern in late("bascule.policy:Rules")(settings.policy).idle([(one.kind, one.address) for one in found]):
        if tool is None:
            screen.remark(f'[policy."{pattern}"] is for nothing that this server has')
    return exits.OK


def _show(screen: Screen, one: "Explained", held: frozenset[str] | None) -> None:
    screen.text(f"{one.kind} {one.address}")
    rows = [(name, value, ", ".join(one.origins.get(name, [_DEFAULT]))) for name, value in _values(one)]
    width = max(len(value) for _, value, _ in rows)
    for name, value, origin in rows:
        screen.text(f"  {name:17} {value:{width}}  {origin}")
    screen.text(f"  {'guards':17} {', '.join(one.guards) or 'none'}")
    if held is not None:
        lacking = one.lacking(held)
        who = ", ".join(sorted(held)) or "no scope"
        told = "may call it" if lacking is None else f"may not call it: {lacking}"
        screen.text(f"  {'with ' + who:17} {told}")


def _values(one: "Explained") -> list[tuple[str, str]]:
    """What holds, in words; what asks for nothing is left out, except where people look for it."""
    policy = one.policy
    rows = [
        ("deny", "nobody may call it" if policy.deny else ""),
        ("scopes", ", ".join(sorted(policy.scopes)) or "none needed"),
        ("rate", ", ".join(_rate(window.limit, window.per) for window in policy.rate)),
        ("concurrency", "" if policy.concurrency is None else f"{policy.concurrency} at once"),
        ("timeout", "no limit" if policy.timeout is None else f"{policy.timeout:g} s"),
        ("confirm", policy.confirm),
        ("untrusted", "yes" if policy.untrusted else ""),
        ("max_result_bytes", f"{policy.max_result_bytes}"),
        ("polls", "yes" if policy.polls else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _rate(limit: int, per: float) -> str:
    units = {1.0: "s", 60.0: "min", 3600.0: "h", 86_400.0: "d"}
    return f"{limit}/{units.get(per, f'{per:g}s')}"


def _as_json(one: "Explained", held: frozenset[str] | None) -> dict[str, Any]:
    policy = one.policy
    found: dict[str, Any] = {
        "kind": one.kind,
        "name": one.address,
        "deny": policy.deny,
        "scopes": sorted(policy.scopes),
        "rate": [{"limit": window.limit, "per": window.per} for window in policy.rate],
        "concurrency": policy.concurrency,
        "timeout": policy.timeout if policy.timeout is None or math.isfinite(policy.timeout) else None,
        "confirm": policy.confirm,
        "untrusted": policy.untrusted,
        "maxResultBytes": policy.max_result_bytes,
        "polls": policy.polls,
        "from": one.origins,
        "guards": list(one.guards),
    }
    if held is not None:
        lacking = one.lacking(held)
        found["allowed"] = lacking is None
        if lacking is not None:
            found["reason"] = lacking
    return found
