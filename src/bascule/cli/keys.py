"""`bascule keys`: make, list, withdraw and replace the API keys of a server.

Knows the words of a command and what they mean; the work is the desk's. The server that reads the keys need not run,
and notices every change within seconds. A key is shown once, on standard output: nothing keeps it.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bascule.cli.connection import run
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.cli.key_desk import KeyDesk

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_LONGEST = 100 * 366 * 86_400
_DURATION = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[smhdw])")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_SEPARATORS = re.compile(r"[\s,+]+")
_NEVER = "never"

Which = Annotated[str, Parameter(show=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class KeyOptions:
    """Where the keys are, and how to print."""

    db: Annotated[
        str | None, Parameter(help="The key database; [auth] keys of the settings, or keys.db.", metavar="FILE")
    ] = None
    config: Annotated[
        str | None, Parameter(help="The settings file; ./bascule.toml where it exists.", metavar="FILE")
    ] = None
    json: Annotated[bool, Parameter(help="Print JSON, and nothing else, on standard output.")] = False
    debug: Annotated[bool, Parameter(help="Show the traceback of an error.")] = False


DEFAULTS = KeyOptions()


def create(
    *,
    name: Annotated[str, Parameter(metavar="NAME")],
    scopes: Annotated[tuple[str, ...], Parameter(metavar="SCOPES")] = (),
    expires: Annotated[str, Parameter(metavar="TIME", show_default=True)] = _NEVER,
    options: KeyOptions = DEFAULTS,
) -> int:
    """Print a new key, this once.

    Parameters
    ----------
    name
        What the key is for: letters, digits and _ . @ -
    scopes
        What its holder may do, as tools:read,resources:read; without it, everything.
    expires
        How long it is good for: 30m, 12h, 90d, 4w or never.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name[:100]!r} is no name for a key: 1 to 64 letters, digits and _ . @ - make one")
    held = [scope for given in scopes for scope in _SEPARATORS.split(given) if scope]
    desk = _desk(options)
    return run(desk.create(name, held, _life(expires)))


def list_keys(*, options: KeyOptions = DEFAULTS) -> int:
    """Print one line for each key. The keys themselves are not kept."""
    return run(_desk(options).show())


def revoke(
    key: Which,
    /,
    *,
    options: KeyOptions = DEFAULTS,
) -> int:
    """Let no one in with a key any more. KEY is an id, or the name of one key or several."""
    return run(_desk(options).revoke(key))


def rotate(
    key: Which,
    /,
    *,
    overlap: Annotated[str, Parameter(metavar="TIME", show_default=True)] = "24h",
    expires: Annotated[str | None, Parameter(metavar="TIME")] = None,
    options: KeyOptions = DEFAULTS,
) -> int:
    """Print a new key in place of KEY (an id or a name), which is good for a while yet. Both are the same caller.

    Parameters
    ----------
    overlap
        How long the old key is still good for: 0s, 30m, 24h, 7d.
    expires
        How long the new key is good for; as long as the old one was, unless said.
    """
    kept = _seconds(overlap, "--overlap")
    desk = _desk(options)
    return run(desk.rotate(key, kept) if expires is None else desk.rotate(key, kept, _life(expires)))


def _desk(options: KeyOptions) -> "KeyDesk":
    desk: KeyDesk = late("bascule.cli.key_desk:KeyDesk")(options.db, options.config, as_json=options.json)
    return desk


def _life(text: str) -> float | None:
    """How long a key is good for, in seconds; None for ever."""
    if text == _NEVER:
        return None
    seconds = _seconds(text, "--expires")
    if not seconds:
        raise ConfigError("--expires must be more than nothing")
    return seconds


def _seconds(text: str, option: str) -> float:
    found = _DURATION.fullmatch(text)
    seconds = 0 if found is None else int(found["number"]) * _SECONDS[found["unit"]]
    if found is None or seconds > _LONGEST:
        raise ConfigError(f"{option} takes a time as 30m, 12h, 90d or 4w, of at most 100 years")
    return float(seconds)
