"""`bascule prompt`: render a prompt and print its messages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bascule.cli import arguments, exits
from bascule.cli.aside import Aside
from bascule.cli.blocks import described
from bascule.cli.connection import WORK_DEFAULTS, Aim, Rest, Words, WorkOptions, aim, run
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.wire.prompts import Prompt


def prompt(*words: Words, options: WorkOptions = WORK_DEFAULTS, command: Rest = None) -> int:
    """Render one prompt; its arguments are text."""
    aimed = aim(words, command, "The prompt's NAME")
    given = arguments.read(aimed.words[1:])
    return run(_render(Screen.claim(), aimed, given, options))


async def _render(screen: Screen, aimed: Aim, given: Sequence[arguments.Given], options: WorkOptions) -> int:
    name = aimed.words[0]
    async with late("bascule.cli.dialogue:conversing")(aimed, options, Aside()) as (client, dialogue):
        found = await dialogue.wait(_prompt(client, name))
        known = [argument.name for argument in found.arguments or []]
        result = await dialogue.wait(client.get_prompt(name, arguments.texts(given, known, name)))
    if options.json:
        screen.raw(result)
        return exits.OK
    for message in result.messages:
        if len(result.messages) > 1:
            screen.text(f"[{message.role}]")
        screen.text(described(message.content))
    return exits.OK


async def _prompt(client: "Client", name: str) -> "Prompt":
    prompts = await client.list_prompts() if client.capabilities.prompts is not None else []
    for one in prompts:
        if one.name == name:
            return one
    raise ConfigError(unknown("There is no prompt", name, [one.name for one in prompts]))
