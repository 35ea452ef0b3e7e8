"""`bascule approvals`: what waits for a person's approval, and that person's decision, with name and time.

Reads and writes the file that the servers share. What callers wrote is shown in quotation marks, as the question to a
user would show it, but in full; as JSON it is ASCII.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bascule.cli import exits
from bascule.cli.screen import Screen
from bascule.config import load
from bascule.engine.canonical import Call
from bascule.engine.ports import Approval
from bascule.errors import ConfigError
from bascule.guards.question import show
from bascule.guards.quoting import inline
from bascule.late import late

if TYPE_CHECKING:
    from bascule.stores.sqlite_approvals import SqliteApprovals

Action = Literal["list", "show", "approve", "deny"]

_DECIDED = {"approve": "approved", "deny": "denied"}
_EVERYTHING = 1 << 30
_BRIEF = 60


def approvals(
    action: Annotated[Action, Parameter(show=False)],
    id: Annotated[str | None, Parameter(show=False)] = None,
    /,
    *,
    as_: Annotated[str | None, Parameter(name="--as", metavar="NAME")] = None,
    all: bool = False,
    json: bool = False,
    file: Annotated[str | None, Parameter(metavar="FILE")] = None,
    config: Annotated[str | None, Parameter(metavar="FILE")] = None,
    debug: bool = False,
) -> int:
    """Show calls that wait for an approval, and approve or deny them.

    Parameters
    ----------
    as_
        Who decides, beside the user of the operating system, whose name is on record in any case.
    all
        List what was decided too.
    json
        Print JSON.
    file
        The file that holds the approvals, in place of the one that the settings name.
    config
        The settings file; ./bascule.toml where it exists.
    debug
        Show the traceback of an error.
    """
    if (id is None) != (action == "list"):
        raise ConfigError("Which approval? Give the ID" if id is None else "list takes no ID; show does")
    screen = Screen.claim()
    return asyncio.run(_run(_path(file, config), lambda store: _done(screen, store, action, id or "", as_, all, json)))


async def _run(path: str, work: Callable[["SqliteApprovals"], Awaitable[None]]) -> int:
    store = late("bascule.stores.sqlite_approvals:SqliteApprovals")(path)
    try:
        await work(store)
    except OSError as error:
        raise ConfigError(f"The approvals {error}") from None
    finally:
        await store.close()
    return exits.OK


async def _done(
    screen: Screen, store: "SqliteApprovals", action: Action, id: str, name: str | None, everything: bool, as_json: bool
) -> None:
    if action == "list":
        _list(screen, await store.listed(everything), as_json)
        return
    found = await store.find(id)
    if found is not None and action != "show":
        found = await _decided(store, found, action, name)
    if found is None:
        raise ConfigError(f"There is no approval {inline(id)}: it has expired, or there never was one")
    if as_json:
        screen.text(json.dumps(_plain(found)))
    else:
        screen.text("\n".join(_lines(found)))


async def _decided(store: "SqliteApprovals", found: Approval, action: Action, name: str | None) -> Approval | None:
    by = _user() if name is None else f"{name} (user {_user()})"
    if not by.isprintable() or len(by) > 200:
        raise ConfigError("The name after --as must be printable, and of 200 characters at most")
    if found.state == "pending":
        after = await store.decide(found.id, approve=action == "approve", by=by)
        if after is None or (after.state, after.decided_by) == (_DECIDED[action], by):
            return after
        found = after
    raise ConfigError(f"It is too late: {found.id} was {_decision(found)}")


def _list(screen: Screen, found: list[Approval], as_json: bool) -> None:
    if as_json:
        screen.text(json.dumps([_plain(approval) for approval in found]))
    elif found:
        columns = ["ID", "STATE", "SERVER", "FEATURE", "ARGUMENTS", "CALLER", "EXPIRES", "BY"]
        screen.table(columns, [_row(approval) for approval in found])
    else:
        screen.remark("No call waits for an approval")


def _row(approval: Approval) -> list[str]:
    wanted = approval.wanted
    arguments = wanted.arguments.decode()
    brief = arguments if len(arguments) <= _BRIEF else f"{arguments[:_BRIEF]}... (show tells more)"
    feature = f"{wanted.kind} {inline(wanted.name)}"
    by = inline(approval.decided_by) if approval.decided_by else ""
    return [
        approval.id, _state(approval), inline(wanted.server), feature, brief, _caller(approval),
        _time(approval.expires), by,
    ]  # fmt: skip


def _lines(approval: Approval) -> list[str]:
    wanted = approval.wanted
    call = Call(wanted.method, wanted.name, json.loads(wanted.arguments))
    shown = show(call, wanted.kind, _EVERYTHING, _EVERYTHING)
    return [
        f"approval {approval.id}, {_state(approval)}",
        f"asked for {_time(approval.created)}, expires {_time(approval.expires)}",
        *([_decision(approval)] if approval.decided_by else []),
        *([f"used {_time(approval.spent)}"] if approval.spent else []),
        f"server = {inline(wanted.server)}",
        f"caller = {_caller(approval)}",
        *shown.lines,
    ]


def _caller(approval: Approval) -> str:
    tenant, issuer, subject, _ = approval.wanted.owner
    if not any((tenant, issuer, subject)):
        return "anybody without credentials"
    return " of ".join(inline(part) for part in (subject, issuer, tenant) if part)


def _decision(approval: Approval) -> str:
    verb = "denied" if approval.state == "denied" else "approved"
    return f"{verb} by {inline(approval.decided_by or '')} {_time(approval.decided or 0)}"


def _state(approval: Approval) -> str:
    over = approval.expires < time.time() and approval.state != "spent"
    return f"{approval.state}, expired" if over else approval.state


def _plain(approval: Approval) -> dict[str, Any]:
    wanted = approval.wanted
    tenant, issuer, subject, session = wanted.owner
    return {
        "id": approval.id,
        "state": approval.state,
        "server": wanted.server,
        "kind": wanted.kind,
        "name": wanted.name,
        "arguments": json.loads(wanted.arguments),
        "caller": {"tenant": tenant, "issuer": issuer, "subject": subject, "session": session},
        "createdAt": _time(approval.created),
        "expiresAt": _time(approval.expires),
        "decidedBy": approval.decided_by,
        "decidedAt": _time(approval.decided) if approval.decided else None,
        "spentAt": _time(approval.spent) if approval.spent else None,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _user() -> str:
    """The name that the operating system has for whoever runs this; the environment is not asked where that knows."""
    try:
        return str(late("pwd:getpwuid")(os.getuid()).pw_name)
    except (ImportError, AttributeError, KeyError):
        return getuser()


def _path(file: str | None, settings: str | None) -> str:
    """The file of approvals. Raises ConfigError where there is none."""
    path = file or load(settings).approvals.file
    if not path:
        raise ConfigError("Which approvals? Set [approvals] file in the settings, or give --file")
    if not Path(path).is_file():
        raise ConfigError(f"There is no file {path}: no call has waited for an approval, or that is another file")
    return path
