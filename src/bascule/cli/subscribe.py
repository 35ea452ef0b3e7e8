"""`bascule subscribe`: print each change of a server's lists and resources as it is told, until Ctrl-C."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bascule.cli import exits
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, connected, run
from bascule.cli.screen import Screen
from bascule.errors import ConfigError

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.client.subscriptions import Change

LISTS = ("tools", "prompts", "resources")


def subscribe(
    *words: Words,
    tools: bool = False,
    resources: bool = False,
    prompts: bool = False,
    count: Annotated[int | None, Parameter(metavar="NUMBER")] = None,
    options: Options = DEFAULTS,
    command: Rest = None,
) -> int:
    """Print one line for each change; Ctrl-C, which is how it is meant to end, gives exit code 0.

    Parameters
    ----------
    tools
        Tell when the list of tools changes.
    resources
        Tell when the list of resources changes.
    prompts
        Tell when the list of prompts changes.
    count
        End after so many changes.
    """
    if count is not None and count < 1:
        raise ConfigError("--count takes a number above 0")
    aimed = aim(words, command)
    chosen = {"tools": tools, "prompts": prompts, "resources": resources}
    listener = _Listener(Screen.claim(), aimed, [name for name in LISTS if chosen[name]], count)
    try:
        return run(listener.listen(options))
    except KeyboardInterrupt:
        if listener.listening:
            return exits.OK
        raise


class _Listener:
    """One run of the command; knows whether it has come to listening, from where on Ctrl-C is no failure."""

    def __init__(self, screen: Screen, aimed: Aim, lists: list[str], count: int | None) -> None:
        self._screen = screen
        self._aimed = aimed
        self._lists = lists
        self._left = count
        self.listening = False

    async def listen(self, options: Options) -> int:
        uris = list(self._aimed.words)
        async with connected(self._aimed, options) as client:
            lists = _checked(client, self._lists, uris)
            async with client.subscribe(
                uris, tools="tools" in lists, prompts="prompts" in lists, resource_list="resources" in lists
            ) as changes:
                self.listening = True
                told = ", ".join([*map(_of, lists), *uris])
                self._screen.remark(f"Listening for changes of {told}; Ctrl-C ends it")
                async for change in changes:
                    self._show(change, options)
                    if self._left is not None:
                        self._left -= 1
                    if self._left == 0:
                        break
        return exits.OK

    def _show(self, change: "Change", options: Options) -> None:
        if options.json:
            missed = {"missed": True} if change.missed else {}
            uri = {} if change.uri is None else {"uri": change.uri}
            self._screen.line({"kind": change.kind, **uri, **missed})
            return
        what = _of(change.kind) if change.uri is None else " ".join(change.uri.split())
        self._screen.text(f"{what} {'may have changed' if change.missed else 'has changed'}")


def _checked(client: "Client", lists: list[str], uris: list[str]) -> list[str]:
    """The lists to hear of: those that were named, or all of which the server tells where nothing was.

    Raises ConfigError for what the server does not tell of.
    """
    offers = {name: getattr(client.capabilities, name) or {} for name in LISTS}
    told = [name for name in LISTS if offers[name].get("listChanged")]
    refused = [_of(name) for name in lists if name not in told]
    if not offers["resources"].get("subscribe"):
        refused += uris
    if refused:
        raise ConfigError(f"The server does not tell of changes of {', '.join(refused)}")
    if not lists and not uris and not told:
        raise ConfigError("The server does not tell of changes of its lists; name the URI of a resource")
    return lists if lists or uris else told


def _of(name: str) -> str:
    return f"the list of {name}"
