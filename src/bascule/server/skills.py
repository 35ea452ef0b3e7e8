"""Skills as resources: what a server offers of the folders that `app.skills` was given, and the requests for them.

Loaded by `app.skills`; needs the extra `skills`. Source: SEP-2640.
"""

import base64
import mimetypes
import os
from collections.abc import Iterator, Sequence

from msgspec import UNSET, Struct

from bascule.engine.exchange import Exchange, Handler
from bascule.errors import DeclarationError, InvalidParams
from bascule.server.features import ResourceFeature
from bascule.server.pages import Pages
from bascule.server.registry import Registry
from bascule.server.skill_files import MANIFEST, SkillFolder, digest, read_all
from bascule.wire.content import ResourceContents
from bascule.wire.resources import ReadResourceResult, Resource
from bascule.wire.results import Result
from bascule.wire.skills import (
    DirectoryParams,
    GetSkillResult,
    ListSkillsResult,
    ReadDirectoryResult,
    Skill,
    SkillFile,
    SkillParams,
)

DIRECTORY = "inode/directory"
_MARKDOWN = "text/markdown"


class Skills:
    """The skills of one server."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._skills: dict[str, Skill] = {}
        self._directories: dict[str, dict[str, Resource]] = {}

    def add(self, folder: str | os.PathLike[str]) -> Iterator[ResourceFeature]:
        """Take in all skills below a folder; gives the resources to offer. Raises DeclarationError."""
        found = read_all(folder)
        for one in found:
            if one.uri(MANIFEST) in self._skills:
                raise DeclarationError(f"The skill {one.name!r} is declared already")
            files = [SkillFile(one.uri(path), digest(data), len(data)) for path, data in one.files.items()]
            self._skills[one.uri(MANIFEST)] = Skill(one.uri(MANIFEST), one.frontmatter, files)
            for path, data in one.files.items():
                resource = _resource(one, path, data)
                self._place(one, path, resource)
                yield ResourceFeature(resource.name, resource, _reader(resource, data))

    def answer(self, exchange: Exchange) -> Result:
        """The answer to `skills/list`, `skills/get` or `resources/directory/read`. Raises InvalidParams."""
        params = exchange.params
        if isinstance(params, SkillParams):
            skill = self._skills.get(params.uri)
            if skill is None:
                raise InvalidParams("Invalid params: there is no such skill", data={"uri": params.uri})
            return GetSkillResult(skill=skill)
        if isinstance(params, DirectoryParams):
            children = self._directories.get(params.uri.rstrip("/"))
            if children is None:
                raise InvalidParams("Invalid params: there is no such directory", data={"uri": params.uri})
            page = self._paged(list(children.values())).page(params.cursor)
            return ReadDirectoryResult(resources=page.items, next_cursor=page.next_cursor)
        page = self._paged(list(self._skills.values())).page(getattr(params, "cursor", UNSET))
        return ListSkillsResult(skills=page.items, next_cursor=page.next_cursor)

    def _paged(self, items: Sequence[Struct]) -> Pages:
        return Pages(items, self._registry.page_size, self._registry.cursor_keys)

    def _place(self, skill: SkillFolder, path: str, resource: Resource) -> None:
        """Put a file into its directory, and each directory into the one above."""
        child = resource
        *above, _ = path.split("/")
        for depth in range(len(above), -1, -1):
            uri = f"skill://{skill.name}" if depth == 0 else skill.uri("/".join(above[:depth]))
            self._directories.setdefault(uri, {}).setdefault(child.uri, child)
            child = Resource(uri, above[depth - 1] if depth else skill.name, mime_type=DIRECTORY)


def _resource(skill: SkillFolder, path: str, data: bytes) -> Resource:
    uri = skill.uri(path)
    if path == MANIFEST:
        description = skill.frontmatter["description"]
        return Resource(uri, skill.name, description=description, mime_type=_MARKDOWN, size=len(data))
    guessed = _MARKDOWN if path.endswith(".md") else mimetypes.guess_type(path)[0]
    return Resource(uri, path, mime_type=guessed or ("text/plain" if _is_text(data) else None), size=len(data))


def _reader(resource: Resource, data: bytes) -> Handler:
    mime_type = resource.mime_type or "application/octet-stream"
    if _is_text(data):
        contents = ResourceContents(resource.uri, mime_type, text=data.decode())
    else:
        contents = ResourceContents(resource.uri, mime_type, blob=base64.b64encode(data).decode())

    async def read(exchange: Exchange) -> Result:
        return ReadResourceResult(contents=[contents])

    return read


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
