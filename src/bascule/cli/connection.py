"""Connecting: the options that all commands but `serve` share, and a client of whatever was named.

Nothing heavy loads before a connection is really opened. Raises ConfigError for what cannot be meant.
"""

import re
import shlex
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bascule.cli import logs, targets
from bascule.cli.aside import Aside
from bascule.cli.ready_made import NOTHING, READY_MADE, Choices, refuse_for_others
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client

_HEADER = re.compile(r"\s*(?P<name>[^:=\s]+)\s*[:=]\s*(?P<value>.*)", re.DOTALL)
_VARIABLE = re.compile(r"(?P<name>[^=]+)=(?P<value>.*)", re.DOTALL)

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
        tuple[str, ...], Parameter(help="Sent with every request to a URL; may be repeated.", metavar="NAME=VALUE")
    ] = ()
    env: Annotated[
        tuple[str, ...], Parameter(help="For the environment of a command; may be repeated.", metavar="NAME=VALUE")
    ] = ()
    choices: Choices = NOTHING
    config: Annotated[
        str | None, Parameter(help="A list of servers (mcpServers); TARGET is the name of one.", metavar="FILE")
    ] = None
    trace: Annotated[bool, Parameter(help="Show every message on standard error, with secrets masked.")] = False
    debug: Annotated[bool, Parameter(help="Show the traceback of an error.")] = False


@Parameter(name="*")
@dataclass(frozen=True)
class WorkOptions(Options):
    """The options of commands that make a server work, and may be asked back."""

    answer: Annotated[
        str | None,
        Parameter(
            help="Answers to the server's questions, as JSON: a list, or by key.",
            metavar="FILE",
            allow_leading_hyphen=True,
        ),
    ] = None
    verbose: Annotated[
        bool, Parameter(alias="-v", help="Show all log messages, and progress as lines where there is no terminal.")
    ] = False


DEFAULTS = Options()
WORK_DEFAULTS = WorkOptions()


@dataclass(frozen=True)
class Aim:
    """Which server is meant, and the words that are left for it."""

    target: str
    command: Sequence[str] | None
    words: Sequence[str] = field(default=())

    @property
    def shown(self) -> str:
        """The server as the user has named it."""
        return self.target if self.command is None else shlex.join(self.command)


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
async def connected(aimed: Aim, options: Options, **more: Any) -> "AsyncIterator[Client]":
    """A connected client of the server that is meant; `more` is for the Client.

    Raises ConnectionLost, CallTimedOut and MCPError.
    """
    async with client_of(aimed, options, Aside(), timeout=options.timeout, **more) as client:
        yield client


def client_of(aimed: Aim, options: Options, aside: Aside, **more: Any) -> "Client":
    """A client of the server that is meant, not yet connected; `more` is for the Client."""
    if options.timeout <= 0:
        raise ConfigError("--timeout takes a number of seconds above 0")
    if options.env and aimed.command is None:
        raise ConfigError("--env is for a command after --")
    logs.for_client(options.debug)
    client: Client = late("bascule.client.client:Client")(
        _target(aimed, options),
        era=options.era,
        headers=dict(_pair(_HEADER, header, "--header") for header in options.header) or None,
        env=dict(_pair(_VARIABLE, entry, "--env") for entry in options.env) or None,
        on_wire=late("bascule.cli.trace:Trace")(aside).show if options.trace else None,
        **more,
    )
    return client


def _target(aimed: Aim, options: Options) -> Any:
    choices = _choices(aimed, options)
    if options.config is not None:
        return targets.listed(options.config, aimed.target, aimed.command is not None or choices != NOTHING)
    if aimed.command is None and not targets.is_url(aimed.target):
        return targets.load(aimed.target, choices)
    refuse_for_others("", choices)
    return aimed.target if aimed.command is None else list(aimed.command)


def _choices(aimed: Aim, options: Options) -> Choices:
    """What was chosen for a ready-made server. Any other that works is told its folders when it asks for its roots."""
    serves = aimed.command is None and options.config is None and aimed.target in READY_MADE
    told = isinstance(options, WorkOptions) and not serves
    return replace(options.choices, root=()) if told else options.choices


def _meaning(words: Sequence[str], command: Sequence[str] | None) -> str:
    if command is not None:
        return "it stands before the --"
    return f"it stands after the target, and {words[0]!r} was taken for that"


def _pair(form: re.Pattern[str], text: str, option: str) -> tuple[str, str]:
    taken = form.fullmatch(text)
    if taken is None:
        raise ConfigError(f"{option} takes NAME=VALUE")
    return taken["name"], taken["value"]
