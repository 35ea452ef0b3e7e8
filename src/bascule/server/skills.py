"""Skills as resources: what a server offers of the folders that `app.skills` was given, and the requests for them.

Loaded by `app.skills`; needs the extra `skills`. Source: SEP-2640.
"""

import base64
import mimetypes
import os
from collections.abc import Sequence
from typing import cast

from msgspec import UNSET, Struct

from bascule.engine.exchange import Exchange, Handler
from bascule.errors import DeclarationError, InvalidParams
from bascule.server.features import ResourceFeature
from bascule.server.pages import Pages
from bascule.server.registry import Registry
from bascule.server.results import BINARY
from bascule.server.skill_files import MANIFEST, SkillFolder, digest, read_all
from bascule.wire.content import ResourceContents
from bascule.wire.resources import ReadResourceParams, ReadResourceResult, Resource
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
        self._directories: dict[str, list[Resource]] = {}
        self._pages: dict[str, Pages] = {}
        self._keys = registry.cursor_keys

    def add(self, folder: str | os.PathLike[str]) -> list[ResourceFeature]:
        """Take in all skills below a folder, or none; gives the resources to offer. Raises DeclarationError."""
        found = read_all(folder)
        for one in found:
            if one.uri(MANIFEST) in self._skills:
                raise DeclarationError(f"The skill {one.name!r} is declared already")
        features = [_feature(one, path, data) for one in found for path, data in one.files.items()]
        self._registry.check(features)
        for one in found:
            files = [SkillFile(one.uri(path), digest(data), len(data)) for path, data in one.files.items()]
            self._skills[one.uri(MANIFEST)] = Skill(one.uri(MANIFEST), one.frontmatter, files)
            self._directories.update(_directories(one))
        self._pages.clear()
        return features

    def answer(self, exchange: Exchange) -> Result:
        """The answer to `skills/list`, `skills/get` or `resources/directory/read`. Raises InvalidParams."""
        params = exchange.params
        if isinstance(params, SkillParams):
            skill = self._skills.get(params.uri)
            if skill is None:
                raise InvalidParams("Invalid params: there is no such skill", data={"uri": params.uri})
            return GetSkillResult(skill=skill)
        if isinstance(params, DirectoryParams):
            uri = params.uri.rstrip("/")
            if uri not in self._directories:
                raise InvalidParams("Invalid params: there is no such directory", data={"uri": params.uri})
            page = self._paged(uri, self._directories[uri]).page(params.cursor)
            return ReadDirectoryResult(resources=page.items, next_cursor=page.next_cursor)
        page = self._paged("", list(self._skills.values())).page(getattr(params, "cursor", UNSET))
        return ListSkillsResult(skills=page.items, next_cursor=page.next_cursor)

    def _paged(self, name: str, items: Sequence[Struct]) -> Pages:
        """The pages of one list, encoded when first asked for, and again when the keys of cursors change."""
        if self._keys is not self._registry.cursor_keys:
            self._keys = self._registry.cursor_keys
            self._pages.clear()
        if name not in self._pages:
            self._pages[name] = Pages(items, self._registry.page_size, self._keys)
        return self._pages[name]


def _directories(skill: SkillFolder) -> dict[str, list[Resource]]:
    """What stands directly in each directory of a skill, empty ones included, by the directory's URI."""
    found: dict[str, list[Resource]] = {skill.uri(path): [] for path in ("", *skill.folders)}
    children = {path: _resource(skill, path, data) for path, data in skill.files.items()}
    for path in skill.folders:
        children[path] = Resource(skill.uri(path), path.rpartition("/")[2], mime_type=DIRECTORY)
    for path, child in children.items():
        found[skill.uri(path.rpartition("/")[0])].append(child)
    return found


def _feature(skill: SkillFolder, path: str, data: bytes) -> ResourceFeature:
    resource = _resource(skill, path, data)
    return ResourceFeature(resource.name, resource, _reader(resource.mime_type, data))


def _resource(skill: SkillFolder, path: str, data: bytes) -> Resource:
    uri = skill.uri(path)
    if path == MANIFEST:
        description = skill.frontmatter["description"]
        return Resource(uri, skill.name, description=description, mime_type=_MARKDOWN, size=len(data))
    guessed = _MARKDOWN if path.endswith(".md") else mimetypes.guess_type(path)[0]
    return Resource(uri, path, mime_type=guessed or ("text/plain" if _is_text(data) else None), size=len(data))


def _reader(mime_type: str | None, data: bytes) -> Handler:
    is_text = _is_text(data)
    content = data.decode() if is_text else base64.b64encode(data).decode()

    async def read(exchange: Exchange) -> Result:
        uri = cast(ReadResourceParams, exchange.params).uri  # a mounting server may have given it a prefix
        text, blob = (content, None) if is_text else (None, content)
        return ReadResourceResult(contents=[ResourceContents(uri, mime_type or BINARY, text=text, blob=blob)])

    return read


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
