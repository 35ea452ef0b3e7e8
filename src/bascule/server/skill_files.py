"""Skills on the disk: a folder with a SKILL.md, read once and checked, before anybody is offered it.

What is served is what was read, so that it always has the digest that was promised. Nothing outside of the folder is
read, wherever links lead, and nothing hidden: what editors, version control and secrets leave there is no part of a
skill. Errors name the skill and the file within it, and no other path. Loaded only with skills.
Source: SEP-2640, "Skill Format".
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

from bascule.errors import DeclarationError
from bascule.server.front_matter import front_matter
from bascule.wire.requests import PREFIX

MANIFEST = "SKILL.md"
MAX_FILES = 512
MAX_BYTES = 16 * 1024 * 1024
"""How many files a skill may have, and how long they may be in all."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class SkillFolder(NamedTuple):
    """One skill: its name, its front matter, its files by their path within it, SKILL.md first, and its folders."""

    name: str
    frontmatter: dict[str, Any]
    files: dict[str, bytes]
    folders: list[str]

    def uri(self, path: str) -> str:
        """The URI of a file or folder; of the skill's own where the path is empty."""
        return f"skill://{self.name}/{quote(path)}" if path else f"skill://{self.name}"


def digest(data: bytes) -> str:
    """The digest of a file as a manifest states it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_all(folder: str | os.PathLike[str]) -> list[SkillFolder]:
    """All skills directly below a folder, by name. Raises DeclarationError where one is not as it must be."""
    root = Path(folder)
    if not root.is_dir():
        raise DeclarationError(f"The folder of skills {root.name!r} is not there")
    try:
        visible = (path for path in root.iterdir() if not _is_hidden(path.name))
        found = sorted(path for path in visible if path.is_dir() and (path / MANIFEST).is_file())
    except OSError as error:
        raise DeclarationError(f"The folder of skills {root.name!r} cannot be read: {error.strerror}") from None
    if not found:
        raise DeclarationError(f"The folder {root.name!r} holds no skill: a folder with a {MANIFEST}")
    return [_read(path) for path in found]


def _read(folder: Path) -> SkillFolder:
    name = folder.name
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise DeclarationError(f"The skill {name!r} needs a name of 1 to 64 lower-case letters, digits, single hyphens")
    try:
        files, folders = _contents(folder)
    except OSError as error:
        raise DeclarationError(f"The skill {name!r} has something that cannot be read: {error.strerror}") from None
    frontmatter = front_matter(name, files[MANIFEST])
    if frontmatter.get("name") != name:
        raise DeclarationError(f"The skill {name!r} must have the name of its folder in its front matter")
    description = frontmatter.get("description")
    if not isinstance(description, str) or not description.strip():
        raise DeclarationError(f"The skill {name!r} needs a description in its front matter")
    metadata = frontmatter.get("metadata") or {}
    if not isinstance(metadata, dict) or any(key.startswith(PREFIX) for key in metadata):
        raise DeclarationError(f"The skill {name!r} has metadata under a prefix that is the protocol's own: {PREFIX}")
    return SkillFolder(name, frontmatter, files, folders)


def _contents(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """The files and folders by their path within the folder. Raises DeclarationError for too many or too long ones."""
    files: dict[str, bytes] = {MANIFEST: b""}
    folders: list[str] = []
    left = MAX_BYTES
    for path in _inside(folder):
        relative = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            folders.append(relative)
        elif path.is_file():
            with path.open("rb") as file:
                data = file.read(left + 1)
            left -= len(data)
            files[relative] = data
            if left < 0 or len(files) > MAX_FILES:
                raise DeclarationError(
                    f"The skill {folder.name!r} has more than {MAX_FILES} files or {MAX_BYTES} bytes"
                )
    return files, folders


def _inside(folder: Path) -> Iterator[Path]:
    """All that lies in the folder, in order, but for what is hidden and links to it.

    Raises DeclarationError for links outwards, OSError for closed folders.
    """
    inside = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for entry in (*folders, *sorted(name for name in names if not _is_hidden(name))):
            path = Path(parent, entry)
            relative = path.relative_to(folder).as_posix()
            if not _is_unicode(relative):
                raise DeclarationError(f"The skill {folder.name!r} has a file whose name is not UTF-8: {relative!r}")
            real = Path(os.path.realpath(path))
            if not real.is_relative_to(inside):
                raise DeclarationError(f"The skill {folder.name!r} has a link that leads out of it: {relative}")
            if not any(map(_is_hidden, real.relative_to(inside).parts)):
                yield path


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise(error: OSError) -> NoReturn:
    raise error
