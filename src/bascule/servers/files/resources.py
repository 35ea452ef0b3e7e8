"""Files as resources: `file:///path`, where the path is that of the tools; where the tree lies stays untold."""

import asyncio
import base64
import mimetypes
import os

from bascule import Context, Resource, ResourceContents, ResourceNotFound, Server
from bascule.checks.path_text import PathMissing, PathRefused, shown
from bascule.servers.files.reading import read_up_to
from bascule.servers.files.tree import Tree, as_text, joined, uri_of
from bascule.servers.files.walk import Budget, walk

MAX_RESOURCES = 1000
"""How many files the list of resources names."""

MAX_LOOKED_AT = 20_000
"""How many entries of a root are looked at for that list, which any caller may ask for at any time."""

MAX_RESOURCE = 700_000
"""How long a file may be that is read as a resource, in bytes: a result is read as a whole, and has a limit."""

_BINARY = "application/octet-stream"


def add_resources(app: Server, tree: Tree) -> None:
    """Let a server offer the files of a tree, listed and by their URIs."""

    async def files(_ctx: Context) -> list[Resource]:
        return await asyncio.to_thread(listed, tree)

    @app.resource(
        "file:///{+path}",
        name="file",
        description="A file, by its path: text as text, anything else as bytes.",
        list=files,
        untrusted=True,
    )
    def file(path: str) -> ResourceContents:
        return read(tree, path)


def listed(tree: Tree) -> list[Resource]:
    """The first files of the tree, in order of their names."""
    found: list[Resource] = []
    for top in tree.roots:
        with tree.at(top or ".") as spot:
            for one in walk(spot, Budget(MAX_LOOKED_AT, 3.0)):
                if len(found) == MAX_RESOURCES:
                    return found
                path = joined(top, one.path)
                if one.is_file and as_text(path) == path and (one.status.st_nlink == 1 or one.root.hard_links):
                    found.append(_resource(path, one.status.st_size))
    return found


def read(tree: Tree, path: str) -> ResourceContents:
    """The content of a file. Raises ResourceNotFound, PathRefused."""
    try:
        with tree.at(path) as spot:
            fd = spot.open_file()
    except PathMissing:
        raise ResourceNotFound(uri_of(path)) from None
    try:
        size = os.fstat(fd).st_size
        if size > MAX_RESOURCE:
            raise PathRefused(f"{shown(path)} has {size} bytes; read it in parts, with read_file or read_binary_file")
        data = read_up_to(fd, size)
    finally:
        os.close(fd)
    mime = mimetypes.guess_type(path)[0]
    try:
        if b"\0" not in data:
            return ResourceContents(uri_of(path), mime or "text/plain", text=data.decode())
    except UnicodeDecodeError:
        pass
    return ResourceContents(uri_of(path), mime or _BINARY, blob=base64.b64encode(data).decode())


def _resource(path: str, size: int) -> Resource:
    return Resource(uri_of(path), path, mime_type=mimetypes.guess_type(path)[0], size=size)
