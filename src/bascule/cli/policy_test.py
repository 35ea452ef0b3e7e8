"""`bascule policy test`: whether a table of calls is answered as its author expects, for CI.

Knows the words of the command and how results are printed; the cases and their trial are others' business.
"""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bascule.cli import exits, logs, targets
from bascule.cli.connection import Words, run
from bascule.cli.letters import visible
from bascule.cli.ready_made import Choices
from bascule.cli.screen import Screen
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bascule.cli.cases import Case, Cases
    from bascule.cli.trial import Trial, Tried

_SHOWN = 200
"""How many characters of a refusal's sentence are shown."""


def try_cases(
    *words: Words,
    config: Annotated[str | None, Parameter(metavar="FILE")] = None,
    keys: Annotated[str | None, Parameter(metavar="FILE")] = None,
    db: Annotated[str | None, Parameter(metavar="URL")] = None,
    json: bool = False,
    debug: bool = False,
) -> int:
    """Try a table of calls.

    Parameters
    ----------
    config
        The settings; those that the file names, or bascule.toml in this folder, unless given.
    keys
        The key database for principals; that of the file or the settings unless given.
    db
        The database of the server sql, by default DATABASE_URL. It is not opened.
    json
        Print JSON, and nothing else, on standard output.
    debug
        Show the traceback of an error.
    """
    if len(words) not in (1, 2):
        raise ConfigError("policy test takes one FILE with calls, and the TARGET where the file names none")
    screen = Screen.claim()
    logs.for_client(debug)
    cases: Cases = late("bascule.cli.cases:read")(words[0])
    target = words[1] if len(words) > 1 else cases.target
    if target is None:
        raise ConfigError(f"Which server? Give a TARGET after {words[0]}, or write target = ... into it")
    settings = late("bascule.config:load")(config or cases.config)
    database = keys or cases.keys or settings.auth.keys
    named = [case.principal for case in cases.call if case.principal is not None]
    principals = late("bascule.cli.principals:named")(named, database)
    trial: Trial = late("bascule.cli.trial:Trial")(
        targets.load(target, Choices(db=db), config or cases.config), settings, principals
    )
    trial.check(cases.call)
    return run(_tried(screen, trial, cases.call, as_json=json))


async def _tried(screen: Screen, trial: "Trial", cases: "Sequence[Case]", *, as_json: bool) -> int:
    """Try and print one case after the other."""
    done: list[Tried] = []
    async for tried in trial.run(cases):
        done.append(tried)
        if not as_json:
            _show_tried(screen, tried, len(done))
    failed = sum(not tried.ok for tried in done)
    if as_json:
        cases_told = [_tried_as_json(tried, number) for number, tried in enumerate(done, 1)]
        screen.raw({"ok": not failed, "failed": failed, "calls": cases_told})
    else:
        screen.text(f"{len(done)} call{'s' if len(done) > 1 else ''}, {failed or 'none'} failed")
    return exits.POLICY_FAILED if failed else exits.OK


def _show_tried(screen: Screen, tried: "Tried", number: int) -> None:
    case = tried.case
    title = _line(_title(case, number))
    if tried.ok:
        came = tried.came[0]
        screen.text(f"ok      {title}: {_line(_came(came.outcome, came.guard))}")
        return
    wrong = [came for came in tried.came if not came.fits(case)]
    told = "; ".join(f"in the {came.era} era {_came(came.outcome, came.guard)}{_said(came.message)}" for came in wrong)
    screen.text(f"FAILED  {title}: expected {_line(_came(case.expect, case.guard))}, but it was {_line(told)}")


def _said(message: str) -> str:
    return f" ({message[:_SHOWN]})" if message else ""


def _title(case: "Case", number: int) -> str:
    return case.name or f"call {number}, {case.kind} {case.feature}"


def _came(outcome: str, guard: str | None) -> str:
    return outcome if guard is None else f"{outcome} by {guard}"


def _line(text: str) -> str:
    """Text on one line that steers no terminal, nor whatever reads a log of it."""
    return visible(" ".join(text.split()))


def _tried_as_json(tried: "Tried", number: int) -> dict[str, Any]:
    case = tried.case
    return {
        "name": _title(case, number),
        "kind": case.kind,
        "feature": case.feature,
        "expect": case.expect,
        "guard": case.guard,
        "ok": tried.ok,
        "came": [came._asdict() for came in tried.came],
    }
