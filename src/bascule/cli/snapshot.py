"""`bascule snapshot`: keep a server's public surface in a file, and check the server against one that was kept."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bascule.cli import exits
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, connected, run
from bascule.cli.screen import Screen
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.testing.changes import Change
    from bascule.testing.surface import Snapshot

_FILE = "bascule.snapshot.json"


def snapshot(
    *words: Words,
    out: Annotated[str | None, Parameter(metavar="FILE")] = None,
    check: Annotated[str | None, Parameter(metavar="FILE")] = None,
    strict: bool = False,
    options: Options = DEFAULTS,
    command: Rest = None,
) -> int:
    """Write the snapshot, or compare.

    Parameters
    ----------
    out
        Write the snapshot to this file; bascule.snapshot.json without --out, --check and --json.
    check
        Compare with the snapshot in this file and tell every change; exit code 1 where one breaks callers.
    strict
        With --check: another title or description counts as breaking too.
    """
    aimed = aim(words, command)
    if aimed.words:
        raise ConfigError(
            f"snapshot takes one target, and {aimed.words[0]!r} is left; a file goes with --out or --check"
        )
    if strict and check is None:
        raise ConfigError("--strict goes with --check")
    kept = None if check is None else late("bascule.testing.surface:read_snapshot")(check)
    if out is None and check is None and not options.json:
        out = _FILE
    return run(_snapshot(Screen.claim(), aimed, out, kept, check or "", strict, options))


async def _snapshot(
    screen: Screen, aimed: Aim, out: str | None, kept: "Snapshot | None", name: str, strict: bool, options: Options
) -> int:
    async with connected(aimed, options) as client:
        taken: Snapshot = await late("bascule.testing.surface:snapshot")(client)
    if out is not None:
        taken.write(out)
    if kept is not None:
        return _compared(screen, late("bascule.testing.changes:compare")(kept, taken, strict=strict), name, options)
    if options.json:
        screen.text(taken.encoded().decode())
    else:
        screen.remark(f"Wrote {out}: {_amounts(taken)}")
    return exits.OK


def _compared(screen: Screen, changes: "list[Change]", name: str, options: Options) -> int:
    breaking = [change for change in changes if change.breaking]
    compatible = [change for change in changes if not change.breaking]
    if options.json:
        screen.raw({"breaking": breaking, "compatible": compatible})
    else:
        for heading, group in (("Breaking:", breaking), ("Compatible:", compatible)):
            if group:
                screen.text("\n".join([heading, *(f"  {_line(str(change))}" for change in group)]))
    sentence = f"{_count(breaking, 'breaking change')} and {_count(compatible, 'compatible change')} since {name}"
    if breaking:
        return exits.tell(exits.BREAKING, sentence)
    screen.remark(f"The server keeps what {name} promises: {sentence}" if changes else f"Nothing changed since {name}")
    return exits.OK


def _amounts(taken: "Snapshot") -> str:
    families = {"tool": taken.tools, "resource": taken.resources, "template": taken.resource_templates}
    return ", ".join(_count(items, noun) for noun, items in {**families, "prompt": taken.prompts}.items())


def _count(items: Any, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _line(text: str) -> str:
    return " ".join(text.split())
