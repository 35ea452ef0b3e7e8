"""`bascule complete`: what a server suggests for an argument of a prompt, or a variable of a resource template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bascule.cli import arguments, exits
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, connected, run
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError, MCPError

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.wire.completion import Completion

_NOT_KNOWN = -32602


def complete(
    *words: Words,
    prompt: Annotated[str | None, Parameter(metavar="NAME")] = None,
    resource: Annotated[str | None, Parameter(metavar="TEMPLATE")] = None,
    argument: Annotated[tuple[str, str] | None, Parameter(metavar="NAME VALUE", allow_leading_hyphen=True)] = None,
    options: Options = DEFAULTS,
    command: Rest = None,
) -> int:
    """Print one suggestion a line, best first.

    Parameters
    ----------
    prompt
        The prompt whose argument is completed.
    resource
        The URI template whose variable is completed.
    argument
        The argument or variable, and what it says so far.
    """
    if (prompt is None) == (resource is None):
        raise ConfigError("What is to be completed? Give --prompt NAME or --resource TEMPLATE, and not both")
    if argument is None:
        raise ConfigError("Which argument? Give --argument NAME VALUE")
    aimed = aim(words, command)
    given = arguments.read(aimed.words)
    return run(_complete(Screen.claim(), aimed, options, (prompt, resource), argument, given))


async def _complete(
    screen: Screen,
    aimed: Aim,
    options: Options,
    of: tuple[str | None, str | None],
    argument: tuple[str, str],
    given: Sequence[arguments.Given],
) -> int:
    prompt, resource = of
    others = arguments.texts(given, [one.key for one in given if one.key is not None], prompt or str(resource))
    async with connected(aimed, options) as client:
        if client.capabilities.completions is None:
            raise ConfigError("The server offers no completion")
        try:
            found = await client.complete(*argument, prompt=prompt, resource=resource, given=others)
        except MCPError as error:
            if error.code == _NOT_KNOWN:
                await _check(client, prompt, resource)
            raise
    if options.json:
        screen.raw({"completion": found})
    else:
        _show(screen, found)
    return exits.OK


def _show(screen: Screen, found: "Completion") -> None:
    for value in found.values:
        screen.text(" ".join(value.splitlines()))
    more = (found.total or 0) - len(found.values)
    if more > 0 or found.has_more:
        screen.remark(f"There are {more if more > 0 else 'some'} more")


async def _check(client: "Client", prompt: str | None, resource: str | None) -> None:
    """Raise ConfigError where the name that was typed is none of the server's."""
    if prompt is not None:
        known = [one.name for one in await client.list_prompts()] if client.capabilities.prompts is not None else []
        if prompt not in known:
            raise ConfigError(unknown("There is no prompt", prompt, known))
    elif client.capabilities.resources is not None:
        known = [one.uri_template for one in await client.list_resource_templates()]
        if resource not in known:
            raise ConfigError(unknown("There is no resource template", str(resource), known))
