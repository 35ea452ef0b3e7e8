"""`bascule list`: what a server offers. Families that it does not offer are not asked for."""

from typing import TYPE_CHECKING, Any

from bascule.cli import exits
from bascule.cli.connection import DEFAULTS, Aim, Options, Rest, Words, aim, connected, run
from bascule.cli.parameters import parameters
from bascule.cli.screen import Screen

if TYPE_CHECKING:
    from bascule.client.client import Client

_LINE = 100


def list_features(
    *words: Words,
    tools: bool = False,
    resources: bool = False,
    prompts: bool = False,
    options: Options = DEFAULTS,
    command: Rest = None,
) -> int:
    """Print one table for each family.

    Parameters
    ----------
    tools
        Show the tools.
    resources
        Show the resources and their templates.
    prompts
        Show the prompts.
    """
    wanted = {"tools": tools, "resources": resources, "prompts": prompts}
    families = [family for family, chosen in wanted.items() if chosen] or list(wanted)
    return run(_list(Screen.claim(), aim(words, command), families, options))


async def _list(screen: Screen, aimed: Aim, families: list[str], options: Options) -> int:
    async with connected(aimed, options) as client:
        found = await _found(client, families)
        if options.json:
            screen.raw(found)
            return exits.OK
        if screen.terminal:
            _introduce(screen, client)
    tables = [(family, items) for family, items in found.items() if items]
    for place, (family, items) in enumerate(tables):
        if place and not screen.terminal:
            screen.text("")
        columns, row = _TABLES[family]
        screen.table(columns, [row(item) for item in items], _TITLES[family] if len(tables) > 1 else None)
    if not tables:
        screen.remark(f"The server offers no {' and no '.join(families)}")
    return exits.OK


async def _found(client: "Client", families: list[str]) -> dict[str, list[Any]]:
    offered = client.capabilities
    found: dict[str, list[Any]] = {}
    if "tools" in families:
        found["tools"] = await client.list_tools() if offered.tools is not None else []
    if "resources" in families:
        has = offered.resources is not None
        found["resources"] = await client.list_resources() if has else []
        found["resourceTemplates"] = await client.list_resource_templates() if has else []
    if "prompts" in families:
        found["prompts"] = await client.list_prompts() if offered.prompts is not None else []
    return found


def _introduce(screen: Screen, client: "Client") -> None:
    name = f"{client.server.title or client.server.name} {client.server.version}" if client.server else "A server"
    screen.text(f"{name} (protocol {client.protocol_version})\n{client.instructions or ''}")


def _tool(tool: Any) -> list[Any]:
    return [tool.name, [str(parameter) for parameter in parameters(tool.input_schema)], _brief(tool)]


def _resource(resource: Any) -> list[Any]:
    return [resource.uri, resource.mime_type or "", _brief(resource)]


def _template(template: Any) -> list[Any]:
    return [template.uri_template, template.mime_type or "", _brief(template)]


def _prompt(prompt: Any) -> list[Any]:
    arguments = prompt.arguments or []
    return [prompt.name, [f"{one.name}{'' if one.required else '?'}" for one in arguments], _brief(prompt)]


def _brief(item: Any) -> str:
    """The first sentence of a description, or the title; cut where it is long."""
    text = " ".join((item.description or item.title or "").split())
    end = text.find(". ")
    text = text if end < 0 else text[: end + 1]
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


_TITLES = {"tools": "Tools", "resources": "Resources", "resourceTemplates": "Templates", "prompts": "Prompts"}
_TABLES: dict[str, tuple[list[str], Any]] = {
    "tools": (["NAME", "PARAMETERS", "DESCRIPTION"], _tool),
    "resources": (["URI", "TYPE", "DESCRIPTION"], _resource),
    "resourceTemplates": (["URI", "TYPE", "DESCRIPTION"], _template),
    "prompts": (["NAME", "ARGUMENTS", "DESCRIPTION"], _prompt),
}
