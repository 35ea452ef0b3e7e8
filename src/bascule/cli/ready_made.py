"""The ready-made servers: how each is built, and which options of the command line are its own.

A new server is a function that builds it from `Choices`, and a row in READY_MADE; a new option is a field of `Choices`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from bascule.errors import ConfigError, DeclarationError
from bascule.late import late


@dataclass(frozen=True)
class Choices:
    """What was chosen on the command line for a ready-made server; a field is the option of its name."""

    db: str | None = None
    allow: tuple[str, ...] = ()
    offline: bool = False
    config: str | None = None
    """The settings file, which any target may have."""


NOTHING = Choices()


class ReadyMade(NamedTuple):
    """How a server is built, and the fields of Choices that it takes."""

    build: Callable[[Choices], Any]
    takes: tuple[str, ...]


def _sql(choices: Choices) -> Any:
    return late("bascule.servers.sql.server:build")(choices.db or os.environ.get("DATABASE_URL") or None)


def _fetch(choices: Choices) -> Any:
    try:
        return late("bascule.servers.fetch.server:build")(choices.allow or None)
    except ModuleNotFoundError as error:
        raise ConfigError(f"fetch needs the extra: pip install 'bascule[fetch]' (missing: {error.name})") from None
    except DeclarationError as wrong:
        raise ConfigError(f"--allow: {wrong}") from None


def _weather(choices: Choices) -> Any:
    said = late("bascule.config:load")(choices.config).weather
    given = {name: getattr(said, name) for name in said.__struct_fields__}
    options = late("bascule.servers.weather.server:Options")(**given)
    return late("bascule.servers.weather.server:build")(options, offline=choices.offline)


READY_MADE = {
    "sql": ReadyMade(_sql, ("db",)),
    "fetch": ReadyMade(_fetch, ("allow",)),
    "weather": ReadyMade(_weather, ("offline",)),
}


def refuse_for_others(target: str, choices: Choices) -> None:
    """Raise ConfigError where an option was chosen that the target does not take."""
    takes = ("config", *(READY_MADE[target].takes if target in READY_MADE else ()))
    for option in fields(Choices):
        if option.name not in takes and getattr(choices, option.name) != option.default:
            owners = [name for name, server in READY_MADE.items() if option.name in server.takes]
            raise ConfigError(f"--{option.name} is for the ready-made server {' or '.join(owners)}")
