"""`bascule call`: call a tool and print what it answers. A tool that fails gives exit code 1, its words on stderr."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import UNSET

from bascule.cli import arguments, exits
from bascule.cli.blocks import described, show_result
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, connected, run
from bascule.cli.screen import Progress, Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.wire.tools import Tool


def call(*words: Words, options: Options = DEFAULTS, command: Rest = None) -> int:
    """Call the tool; its arguments are checked against its declaration before anything is sent."""
    aimed = aim(words, command, "The tool's NAME")
    given = arguments.read(aimed.words[1:])
    return run(_call(Screen.claim(), aimed, given, options))


async def _call(screen: Screen, aimed: Aim, given: Sequence[arguments.Given], options: Options) -> int:
    name = aimed.words[0]
    async with connected(aimed, options) as client:
        tool = await _tool(client, name)
        bound = arguments.bind(given, tool.input_schema, name)
        with Progress(name) as progress:
            report = progress.report if progress.wanted else None
            result = await client.call_tool(name, bound, on_progress=report)
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
