"""Connecting: the options that list, call, read and prompt share, and a client of whatever was named.

Nothing heavy loads before a connection is really opened. Raises ConfigError for what cannot be meant.
"""

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bascule.cli import logs, targets
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client

Words = Annotated[str, Parameter(show=False)]
"""Positional words; the usage line says what they are."""

Rest = Annotated[Sequence[str] | None, Parameter(parse=False)]
"""A server's command, which stands after `--`."""


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """How to connect, and how to print."""

    json: Annotated[bool, Parameter(help="Print the raw result as JSON, and nothing else, on standard output.")] = False
    era: Annotated[
        Literal["modern", "legacy"] | None, Parameter(help="Speak this era of the protocol; found out without.")
    ] = None
    timeout: Annotated[
        float, Parameter(help="How long to wait for each answer.", metavar="SECONDS", show_default=True)
    ] = 60.0
    header: Annotated[
        tuple[str, ...], Parameter(help="Sent with every request to a URL; may be repeated.", metavar="'NAME: VALUE'")
    ] = ()
    env: Annotated[
        tuple[str, ...], Parameter(help="For the environment of a command; may be repeated.", metavar="NAME=VALUE")
    ] = ()
    db: Annotated[
        str | None, Parameter(help="The database of the server sql, by default DATABASE_URL.", metavar="URL")
    ] = None
    debug: Annotated[bool, Parameter(help="Show the traceback of an error.")] = False


DEFAULTS = Options()


@dataclass(frozen=True)
class Aim:
    """Which server is meant, and the words that are left for it."""

    target: str
    command: Sequence[str] | None
    words: Sequence[str] = field(default=())


def aim(words: Sequence[str], command: Sequence[str] | None, *needed: str) -> Aim:
    """Take the target off the words, unless a command after `--` is the target; `needed` names what must follow."""
    if command is not None and not command:
        raise ConfigError("After -- stands the command that starts the server; there is none")
    if command is None and not words:
        raise ConfigError("Which server? Give a TARGET (see --help), or a command after --")
    rest = words if command is not None else words[1:]
    if len(rest) < len(needed):
        raise ConfigError(f"{needed[len(rest)]} is missing: {_meaning(words, command)}")
    return Aim("" if command is not None else words[0], command, rest)


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine to its end and return its exit code."""
    return int(late("asyncio:run")(main))


@asynccontextmanager
async def connected(aimed: Aim, options: Options) -> "AsyncIterator[Client]":
    """A connected client of the server that is meant. Raises ConnectionLost, CallTimedOut and MCPError."""
    if options.timeout <= 0:
        raise ConfigError("--timeout takes a number of seconds above 0")
    if options.env and aimed.command is None:
        raise ConfigError("--env is for a command after --")
    logs.for_client(options.debug)
    client: Client = late("bascule.client.client:Client")(
        _target(aimed, options),
        era=options.era,
        timeout=options.timeout,
        headers=dict(_pair(header, ":", "--header", "'Name: value'") for header in options.header) or None,
        env=dict(_pair(entry, "=", "--env", "NAME=VALUE") for entry in options.env) or None,
    )
    async with client:
        yield client


def _target(aimed: Aim, options: Options) -> Any:
    if aimed.command is None and not targets.is_url(aimed.target):
        return targets.load(aimed.target, options.db)
    if options.db is not None:
        raise ConfigError("--db is for the ready-made server sql")
    return aimed.target if aimed.command is None else list(aimed.command)


def _meaning(words: Sequence[str], command: Sequence[str] | None) -> str:
    if command is not None:
        return "it stands before the --"
    return f"it stands after the target, and {words[0]!r} was taken for that"


def _pair(text: str, sign: str, option: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise ConfigError(f"{option} takes {form}")
    return name.strip(), value.strip() if sign == ":" else value
