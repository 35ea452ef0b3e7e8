"""`bascule call`: call a tool and print what it answers. A tool that fails gives exit code 1, its words on stderr."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from bascule.cli import arguments, exits
from bascule.cli.aside import Aside
from bascule.cli.blocks import described, show_result
from bascule.cli.connection import WORK_DEFAULTS, Aim, Rest, Words, WorkOptions, aim, run
from bascule.cli.progress import Progress
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.wire.tools import Tool


def call(*words: Words, options: WorkOptions = WORK_DEFAULTS, command: Rest = None) -> int:
    """Call the tool; its arguments are checked against its declaration before anything is sent."""
    aimed = aim(words, command, "The tool's NAME")
    given = arguments.read(aimed.words[1:])
    return run(_call(Screen.claim(), aimed, given, options))


async def _call(screen: Screen, aimed: Aim, given: Sequence[arguments.Given], options: WorkOptions) -> int:
    name, aside = aimed.words[0], Aside()
    async with late("bascule.cli.dialogue:conversing")(aimed, options, aside) as (client, dialogue):
        tool = await dialogue.wait(_tool(client, name))
        bound = arguments.bind(given, tool.input_schema, name)
        with Progress(aside, name, options.verbose) as progress:
            report = progress.report if progress.wanted else None
            result = await dialogue.wait(client.call_tool(name, bound, on_progress=report))
    if options.json:
        if result.structured_content is None:
            result.structured_content = UNSET
        screen.raw(result)
    elif result.is_error:
        screen.remark(f"Error: {name} failed: " + "\n".join(described(block) for block in result.content))
    else:
        show_result(screen, result)
    return exits.TOOL_FAILED if result.is_error else exits.OK


async def _tool(client: "Client", name: str) -> "Tool":
    tools = await client.list_tools() if client.capabilities.tools is not None else []
    for tool in tools:
        if tool.name == name:
            return tool
    raise ConfigError(unknown("There is no tool", name, [tool.name for tool in tools]))
