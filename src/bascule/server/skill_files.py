"""Skills on the disk: a folder with a SKILL.md, read once and checked, before anybody is offered it.

What is served is what was read, so that it always has the digest that was promised. Nothing outside of the folder is
read, wherever links lead. Errors name the skill and the file within it, and no other path. Loaded only with skills.
Source: SEP-2640, "Skill Format".
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from bascule.errors import DeclarationError
from bascule.wire.requests import PREFIX

MANIFEST = "SKILL.md"
MAX_FILES = 512
MAX_BYTES = 16 * 1024 * 1024
MAX_MANIFEST = 256 * 1024
"""How many files a skill may have, how long they may be in all, and how long its SKILL.md."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


class SkillFolder(NamedTuple):
    """One skill: its name, its front matter, and its files by their path within it, SKILL.md first."""

    name: str
    frontmatter: dict[str, Any]
    files: dict[str, bytes]

    def uri(self, path: str) -> str:
        """The URI of a file."""
        return f"skill://{self.name}/{quote(path)}"


def digest(data: bytes) -> str:
    """The digest of a file as a manifest states it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_all(folder: str | os.PathLike[str]) -> list[SkillFolder]:
    """All skills directly below a folder, by name. Raises DeclarationError where one is not as it must be."""
    root = Path(folder)
    if not root.is_dir():
        raise DeclarationError(f"The folder of skills {root.name!r} is not there")
    found = sorted(path for path in root.iterdir() if path.is_dir() and (path / MANIFEST).is_file())
    if not found:
        raise DeclarationError(f"The folder {root.name!r} holds no skill: a folder with a {MANIFEST}")
    return [_read(path) for path in found]


def _read(folder: Path) -> SkillFolder:
    name = folder.name
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise DeclarationError(f"The skill {name!r} needs a name of 1 to 64 lower-case letters, digits, single hyphens")
    files = _files(folder)
    frontmatter = _front_matter(name, files[MANIFEST])
    if frontmatter.get("name") != name:
        raise DeclarationError(f"The skill {name!r} must have the name of its folder in its front matter")
    description = frontmatter.get("description")
    if not isinstance(description, str) or not description.strip():
        raise DeclarationError(f"The skill {name!r} needs a description in its front matter")
    metadata = frontmatter.get("metadata") or {}
    if not isinstance(metadata, dict) or any(str(key).startswith(PREFIX) for key in metadata):
        raise DeclarationError(f"The skill {name!r} has metadata under a prefix that is the protocol's own: {PREFIX}")
    return SkillFolder(name, frontmatter, files)


def _files(folder: Path) -> dict[str, bytes]:
    """The files by their path within the folder. Raises DeclarationError for too many, too long, or links outwards."""
    inside = folder.resolve()
    found: dict[str, bytes] = {MANIFEST: b""}
    size = 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for entry in (*folders, *sorted(names)):
            path = Path(parent) / entry
            relative = path.relative_to(folder).as_posix()
            if not path.resolve().is_relative_to(inside):
                raise DeclarationError(f"The skill {folder.name!r} has a link that leads out of it: {relative}")
            if not path.is_file():
                continue
            size += path.stat().st_size
            if size > MAX_BYTES or len(found) + (relative not in found) > MAX_FILES:
                raise DeclarationError(
                    f"The skill {folder.name!r} has more than {MAX_FILES} files or {MAX_BYTES} bytes"
                )
            found[relative] = path.read_bytes()
    return found


def _front_matter(name: str, manifest: bytes) -> dict[str, Any]:
    try:
        text = manifest.decode()
    except UnicodeDecodeError:
        raise DeclarationError(f"The {MANIFEST} of the skill {name!r} must be UTF-8 text") from None
    front = _FRONT.match(text)
    if front is None or len(manifest) > MAX_MANIFEST:
        raise DeclarationError(f"The {MANIFEST} of the skill {name!r} must begin with front matter between --- lines")
    try:
        found = _Loader(front[1]).get_single_data()
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = "" if line is None else f" (line {line + 2})"
        raise DeclarationError(f"The front matter of the skill {name!r} is not valid YAML{place}") from None
    except RecursionError:
        raise DeclarationError(f"The front matter of the skill {name!r} nests too deeply") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise DeclarationError(f"The front matter of the skill {name!r} must be a mapping of names")
    return found


class _Loader(yaml.SafeLoader):
    """Plain values only, and no aliases, which can make a small text mean an endless one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)
