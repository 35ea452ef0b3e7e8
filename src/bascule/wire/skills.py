"""The skills extension (SEP-2640): folders of instructions for a model, as resources with a manifest.

Source: SEP-2640, `skills/list`, `skills/get`, `resources/directory/read`.
"""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.wire.requests import PREFIX, PaginatedParams, RequestParams
from bascule.wire.resources import Resource
from bascule.wire.results import CacheableResult

SKILLS = PREFIX + "skills"


class SkillFile(Struct):
    """One file of a skill: `digest` is `sha256:` and 64 hexadecimal digits of its bytes, `size` their number."""

    uri: str
    digest: str
    size: int


class Skill(Struct):
    """One skill: the URI of its SKILL.md, that file's front matter, and all of its files."""

    uri: str
    frontmatter: dict[str, Any]
    resources: list[SkillFile]


class SkillParams(RequestParams):
    """Which skill."""

    uri: str


class DirectoryParams(PaginatedParams, kw_only=True):
    """Which directory."""

    uri: str


class ListSkillsResult(CacheableResult, kw_only=True):
    """One page of skills."""

    skills: list[Skill] | Raw
    next_cursor: str | UnsetType = UNSET


class GetSkillResult(CacheableResult, kw_only=True):
    """One skill."""

    skill: Skill


class ReadDirectoryResult(CacheableResult, kw_only=True):
    """One page of what stands directly in a directory."""

    resources: list[Resource] | Raw
    next_cursor: str | UnsetType = UNSET
