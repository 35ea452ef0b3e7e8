"""The snapshot: what a server offers to everybody, in a file that can be read, compared and kept under version control.

Holds what callers rely on and nothing that changes by itself: no versions, sizes, icons or `_meta`. Equal surfaces
give equal bytes.
"""

import os
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bascule.client.client import Client
from bascule.client.connect import Target
from bascule.errors import ConfigError
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.prompts import Prompt
from bascule.wire.resources import Resource, ResourceTemplate
from bascule.wire.tools import Tool

FILE = "bascule.snapshot.json"
"""Where a snapshot is kept unless told otherwise."""

Item = TypeVar("Item", Tool, Resource, ResourceTemplate, Prompt)


class Snapshot(Struct, rename="camel", kw_only=True):
    """A server's public surface; the lists are sorted by name or URI."""

    snapshot: Literal[1] = 1
    """The version of the format."""
    server: str | None = None
    capabilities: ServerCapabilities
    tools: list[Tool] = []
    resources: list[Resource] = []
    resource_templates: list[ResourceTemplate] = []
    prompts: list[Prompt] = []

    def encoded(self) -> bytes:
        """The snapshot as it is kept in a file: JSON, sorted and indented."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=2) + b"\n"

    def write(self, path: str | os.PathLike[str] = FILE) -> None:
        """Keep the snapshot in a file. Raises ConfigError where that fails."""
        try:
            Path(path).write_bytes(self.encoded())
        except OSError as error:
            raise ConfigError(f"The snapshot {path} cannot be written: {error.strerror}") from None


async def snapshot(source: Client | Target) -> Snapshot:
    """The surface of a server as it is now: of a connected client's, or of a target, which is connected to for this."""
    if isinstance(source, Client):
        return await _taken(source)
    async with Client(source) as client:
        return await _taken(client)


def read_snapshot(path: str | os.PathLike[str] = FILE) -> Snapshot:
    """The snapshot in a file. Raises ConfigError where there is none."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Snapshot)
    except FileNotFoundError:
        raise ConfigError(
            f"There is no snapshot {path}; write one first, with bascule snapshot TARGET --out {path}"
        ) from None
    except OSError as error:
        raise ConfigError(f"The snapshot {path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ConfigError(f"The file {path} is no snapshot that this version can read: {error}") from None


async def _taken(client: Client) -> Snapshot:
    offers = client.capabilities
    tools = await client.list_tools() if offers.tools is not None else []
    resources = await client.list_resources() if offers.resources is not None else []
    templates = await client.list_resource_templates() if offers.resources is not None else []
    prompts = await client.list_prompts() if offers.prompts is not None else []
    return Snapshot(
        server=client.server.name if client.server else None,
        capabilities=offers,
        tools=_listed(tools, "name"),
        resources=_listed(resources, "uri", size=None, annotations=None),
        resource_templates=_listed(templates, "uri_template", annotations=None),
        prompts=_listed([_in_order(prompt) for prompt in prompts], "name"),
    )


def _listed(items: Iterable[Item], key: str, **dropped: Any) -> list[Item]:
    kept = [replace(item, icons=None, meta=None, **dropped) for item in items]
    return sorted(kept, key=attrgetter(key))


def _in_order(prompt: Prompt) -> Prompt:
    """A prompt with its arguments by name: callers give them by name."""
    if prompt.arguments is None:
        return prompt
    return replace(prompt, arguments=sorted(prompt.arguments, key=attrgetter("name")))
