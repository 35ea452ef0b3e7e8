"""The ready-made servers: how each is built, and which options of the command line are its own.

A new server is a function that builds it from `Choices`, and a row in READY_MADE; a new option is a field of `Choices`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from bascule.errors import ConfigError, DeclarationError
from bascule.late import late


@Parameter(name="*")
@dataclass(frozen=True)
class Choices:
    """What was chosen on the command line for a ready-made server; a field is the option of its name."""

    db: Annotated[
        str | None,
        Parameter(
            help="The database of sql: sqlite:///path or postgresql://..., by default DATABASE_URL, or a sample.",
            metavar="URL",
        ),
    ] = None
    root: Annotated[
        tuple[str, ...],
        Parameter(
            help="A folder that files serves, or that another server may work in; may be repeated.", metavar="DIR"
        ),
    ] = ()
    write: Annotated[bool, Parameter(help="Let the server files change what is in its folders, once confirmed.")] = (
        False
    )
    allow: Annotated[
        tuple[str, ...],
        Parameter(help="A host that fetch may read from, or *.host for all below it; may be repeated.", metavar="HOST"),
    ] = ()
    offline: Annotated[bool, Parameter(help="Let the server weather serve sample data, and say so.")] = False


NOTHING = Choices()


class ReadyMade(NamedTuple):
    """How a server is built, and the fields of Choices that it takes."""

    build: Callable[[Choices, str | None], Any]
    """Also given the settings file, where one was named."""
    takes: tuple[str, ...]


def _sql(choices: Choices, config: str | None) -> Any:
    return late("bascule.servers.sql.server:build")(choices.db or os.environ.get("DATABASE_URL") or None)


def _files(choices: Choices, config: str | None) -> Any:
    return late("bascule.servers.files.server:build")(choices.root, write=choices.write)


def _fetch(choices: Choices, config: str | None) -> Any:
    try:
        return late("bascule.servers.fetch.server:build")(choices.allow or None)
    except ModuleNotFoundError as error:
        raise ConfigError(f"fetch needs the extra: pip install 'bascule[fetch]' (missing: {error.name})") from None
    except DeclarationError as wrong:
        raise ConfigError(f"--allow: {wrong}") from None


def _weather(choices: Choices, config: str | None) -> Any:
    said = late("bascule.config:load")(config).weather
    given = {name: getattr(said, name) for name in said.__struct_fields__}
    options = late("bascule.servers.weather.server:Options")(**given)
    return late("bascule.servers.weather.server:build")(options, offline=choices.offline)


READY_MADE = {
    "sql": ReadyMade(_sql, ("db",)),
    "files": ReadyMade(_files, ("root", "write")),
    "fetch": ReadyMade(_fetch, ("allow",)),
    "weather": ReadyMade(_weather, ("offline",)),
}


def refuse_for_others(target: str, choices: Choices) -> None:
    """Raise ConfigError where an option was chosen that the target does not take."""
    takes = READY_MADE[target].takes if target in READY_MADE else ()
    for option in fields(Choices):
        if option.name not in takes and getattr(choices, option.name) != option.default:
            owners = [name for name, server in READY_MADE.items() if option.name in server.takes]
            raise ConfigError(f"--{option.name} is for the ready-made server {' or '.join(owners)}")
