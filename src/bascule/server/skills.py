"""Skills as resources: what a server offers of the folders that `app.skills` was given, and the requests for them.

Loaded by `app.skills`; needs the extra `skills`. Source: SEP-2640.
"""

import base64
import mimetypes
import os
from collections.abc import Iterable
from typing import NamedTuple, Self, cast

from msgspec import UNSET
from msgspec.structs import replace

from bascule.engine.exchange import Exchange, Handler
from bascule.engine.hub import RESOURCES
from bascule.errors import InvalidParams
from bascule.guards.scopes import may_use
from bascule.server.features import ResourceFeature
from bascule.server.mounting import prefixed_uri
from bascule.server.registry import Registry
from bascule.server.results import BINARY
from bascule.server.skill_files import MANIFEST, SkillFolder, digest, read_all
from bascule.wire.content import ResourceContents
from bascule.wire.resources import ReadResourceParams, ReadResourceResult, Resource
from bascule.wire.results import CacheableResult, Result
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


class OfferedSkill(NamedTuple):
    """One skill as a server offers it: its manifest, and what stands directly in each of its directories, by URI."""

    manifest: Skill
    directories: dict[str, list[Resource]]

    def below(self, prefix: str) -> Self:
        """The same skill at a server that mounts this one: each URI becomes `skill://prefix/…`."""
        uri, files = prefixed_uri(prefix, self.manifest.uri), self.manifest.resources
        manifest = replace(
            self.manifest, uri=uri, resources=[replace(file, uri=prefixed_uri(prefix, file.uri)) for file in files]
        )
        directories = {
            prefixed_uri(prefix, at): [replace(child, uri=prefixed_uri(prefix, child.uri)) for child in children]
            for at, children in self.directories.items()
        }
        return type(self)(manifest, directories)


class Skills:
    """The skills that one server offers: its own, and those of the servers mounted in it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._skills: dict[str, OfferedSkill] = {}
        self._directories: dict[str, list[Resource]] = {}

    def take(self, skills: Iterable[OfferedSkill]) -> None:
        """Offer these from now on."""
        for skill in skills:
            self._skills[skill.manifest.uri] = skill
            for uri, children in skill.directories.items():
                self._directories[uri] = [*self._directories.get(uri, ()), *children]
        self._registry.changed()

    @property
    def offered(self) -> list[OfferedSkill]:
        """All of them."""
        return list(self._skills.values())

    def promises(self, uri: str) -> bool:
        """Whether a resource is a file of one of them."""
        return any(file.uri == uri for skill in self._skills.values() for file in skill.manifest.resources)

    def answer(self, exchange: Exchange, held: frozenset[str]) -> CacheableResult:
        """The answer to `skills/list`, `skills/get` or `resources/directory/read`: what somebody who holds these scopes
        may read. Raises InvalidParams."""
        params = exchange.params
        if isinstance(params, SkillParams):
            skill = self._skills.get(params.uri)
            if skill is None or not self._may_read(skill.manifest.uri, held):
                raise InvalidParams("Invalid params: there is no such skill", data={"uri": params.uri})
            return GetSkillResult(skill=self._shown(skill, held))
        cursor = getattr(params, "cursor", UNSET)
        if isinstance(params, DirectoryParams):
            uri = params.uri.rstrip("/")
            if uri not in self._directories or not self._may_open(uri, held):
                raise InvalidParams("Invalid params: there is no such directory", data={"uri": params.uri})
            page = self._registry.paged(uri, RESOURCES, held, lambda: self._inside(uri, held)).page(cursor)
            return ReadDirectoryResult(resources=page.items, next_cursor=page.next_cursor)
        page = self._registry.paged("skills", RESOURCES, held, lambda: self._listed(held)).page(cursor)
        return ListSkillsResult(skills=page.items, next_cursor=page.next_cursor)

    def _listed(self, held: frozenset[str]) -> list[Skill]:
        return [self._shown(one, held) for one in self._skills.values() if self._may_read(one.manifest.uri, held)]

    def _shown(self, skill: OfferedSkill, held: frozenset[str]) -> Skill:
        files = skill.manifest.resources
        return replace(skill.manifest, resources=[file for file in files if self._may_read(file.uri, held)])

    def _inside(self, uri: str, held: frozenset[str]) -> list[Resource]:
        inside = self._directories[uri]
        return [one for one in inside if self._may_read(one.uri, held) or self._may_open(one.uri, held)]

    def _may_read(self, uri: str, held: frozenset[str]) -> bool:
        file = self._registry.resources.get(uri)
        return file is not None and may_use(file.policy, held)

    def _may_open(self, uri: str, held: frozenset[str]) -> bool:
        """Whether a directory is one of a skill that may be used."""
        return any(uri in one.directories and self._may_read(one.manifest.uri, held) for one in self._skills.values())


def read(folder: str | os.PathLike[str]) -> tuple[list[ResourceFeature], list[OfferedSkill]]:
    """The resources that serve the files of all skills below a folder, and the skills. Raises DeclarationError."""
    found = read_all(folder)
    features = [_feature(one, path, data) for one in found for path, data in one.files.items()]
    return features, [_offered(one) for one in found]


def _offered(skill: SkillFolder) -> OfferedSkill:
    files = [SkillFile(skill.uri(path), digest(data), len(data)) for path, data in skill.files.items()]
    return OfferedSkill(Skill(skill.uri(MANIFEST), skill.frontmatter, files), _directories(skill))


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
