"""`bascule audit verify`: whether audit logs are as they were written, and where that first shows if not."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bascule import config
from bascule.cli import exits
from bascule.cli.connection import Words
from bascule.cli.screen import Screen
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.engine.settings import AuditSettings
    from bascule.stores.audit.chain import Keys
    from bascule.stores.audit.verify import Report

_KNOWN = re.compile(r"(?P<line>[1-9][0-9]*):(?P<mac>[0-9a-f]{64})")
_BESIDE = re.compile(r"\.[0-9]+$")


def verify(
    *files: Words,
    key_file: Annotated[str | None, Parameter(metavar="FILE")] = None,
    first: Annotated[int, Parameter(metavar="LINE")] = 1,
    known: Annotated[tuple[str, ...], Parameter(metavar="LINE:MAC")] = (),
    json: bool = False,
    debug: bool = False,
) -> int:
    """Verify logs, each with the files that came before it. Exit code 1 where one is not as it was written.

    Parameters
    ----------
    key_file
        The key; by default that of the settings, or the log's name and .key.
    first
        The line that the log begins with, where earlier ones were archived.
    known
        A line that the log must still have, as an earlier report had it; may be repeated.
    json
        Print the reports as JSON, and nothing else, on standard output.
    debug
        Show the traceback of an error.
    """
    if not files:
        raise ConfigError("Say which audit log: bascule audit verify FILE...")
    marks = [_mark(text) for text in known]
    screen = Screen.claim()
    reports = _reports(files, key_file, first, marks)
    sound = all(report.fault is None for report in reports)
    if json:
        screen.raw({"sound": sound, "logs": reports})
        return exits.OK if sound else exits.TOOL_FAILED
    for report in reports:
        screen.text(_shown(report))
    return exits.OK if sound else exits.TOOL_FAILED


def _reports(files: tuple[str, ...], key_file: str | None, first: int, marks: list[tuple[int, str]]) -> "list[Report]":
    check, fault = late("bascule.stores.audit.verify:verify"), late("bascule.stores.audit.verify:Fault")
    settings = config.load().audit
    reports: list[Report] = []
    chains: dict[str, str] = {}
    for file in files:
        keys = _keys(file, key_file, settings)
        wanted: list[tuple[int, str] | None] = [*marks] or [None]
        found = [check(file, keys, first=first, known=mark) for mark in wanted]
        report = next((one for one in found if one.fault is not None), found[0])
        twin = chains.setdefault(report.chain, report.file) if report.chain else report.file
        if twin != report.file and report.fault is None:
            report.fault = fault(report.file, 0, f"it is the log that {twin} is too: one of them is gone")
        reports.append(report)
    return reports


def _keys(file: str, key_file: str | None, settings: "AuditSettings") -> "Keys":
    """The keys of a log: named, or of the settings, or beside it."""
    read = late("bascule.stores.audit.key:read_key")
    if key_file is not None:
        return read(Path(key_file))  # type: ignore[no-any-return]
    if settings.key or settings.key_file:
        return late("bascule.stores.audit.key:keys_from")(settings, make=False)  # type: ignore[no-any-return]
    path = Path(file)
    beside = path.with_name(f"{_BESIDE.sub('', path.stem)}{path.suffix}.key")
    own = path.with_name(f"{path.name}.key")
    return read(own if own.exists() else beside)  # type: ignore[no-any-return]


def _mark(text: str) -> tuple[int, str]:
    found = _KNOWN.fullmatch(text)
    if found is None:
        raise ConfigError(f"--known takes the number of a line and its mac, as in 1204:9f31..., and not {text!r}")
    return int(found["line"]), found["mac"]


def _shown(report: "Report") -> str:
    fault = report.fault
    if fault is not None:
        place = f"{fault.file}:{fault.line}" if fault.line else fault.file
        good = f"lines {report.first} to {report.last} before it are as written" if report.lines else "nothing is sound"
        return f"{place}: {fault.reason} ({good})"
    notes = [f"{report.lines} lines in {len(report.files)} file{'s' if len(report.files) > 1 else ''} are as written"]
    if report.torn:
        notes.append(f"{report.torn} bytes of a line that was never finished stand at the end")
    if report.dropped or report.refused:
        notes.append(
            f"{report.dropped} decisions have no line, and {report.refused} calls were refused for want of one"
        )
    return f"{report.file}: {'; '.join(notes)}; keep {report.last}:{report.mac}"
