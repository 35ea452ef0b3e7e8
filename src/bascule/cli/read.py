"""`bascule read`: read a resource and print its text; what is not text is named with its type and size."""

from typing import TYPE_CHECKING

from bascule.cli import exits
from bascule.cli.aside import Aside
from bascule.cli.blocks import contents
from bascule.cli.connection import WORK_DEFAULTS, Aim, Rest, Words, WorkOptions, aim, run
from bascule.cli.screen import Screen
from bascule.cli.spelling import unknown
from bascule.errors import ConfigError, MCPError
from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.wire.resources import ReadResourceResult

_NOT_FOUND = (-32602, -32002)


def read(*words: Words, options: WorkOptions = WORK_DEFAULTS, command: Rest = None) -> int:
    """Read one resource."""
    aimed = aim(words, command, "The resource's URI")
    if len(aimed.words) > 1:
        raise ConfigError(f"One URI at a time: {aimed.words[1]!r} is one word too many")
    return run(_read(Screen.claim(), aimed, options))


async def _read(screen: Screen, aimed: Aim, options: WorkOptions) -> int:
    async with late("bascule.cli.dialogue:conversing")(aimed, options, Aside()) as (client, dialogue):
        result = await dialogue.wait(_contents(client, aimed.words[0]))
    if options.json:
        screen.raw(result)
        return exits.OK
    for part in result.contents:
        if len(result.contents) > 1:
            screen.remark(part.uri)
        screen.text(contents(part))
    return exits.OK


async def _contents(client: "Client", uri: str) -> "ReadResourceResult":
    try:
        return await client.read_resource(uri)
    except MCPError as error:
        if error.code not in _NOT_FOUND:
            raise
        offered = client.capabilities.resources is not None
        known = [resource.uri for resource in await client.list_resources()] if offered else []
        raise MCPError(unknown(f"{error.message}:", uri, known), code=error.code) from error
