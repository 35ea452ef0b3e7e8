"""The files server itself: tools that read, tools that write where it is asked for, and files as resources.

Uses only what every author may use. How paths are kept inside is the business of `checks.beneath`; what the tools say
of themselves, who may call them and who is asked first stands here.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Literal

from msgspec import Meta

from bascule import Server, ToolAnnotations, __version__
from bascule.late import late
from bascule.servers.files import listing, reading, writing
from bascule.servers.files.resources import add_resources
from bascule.servers.files.tree import Tree

log = logging.getLogger("bascule")

_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)

Path = Annotated[str, Meta(description='A path as seen from the root, such as "docs/intro.md".', max_length=4095)]
Folder = Annotated[str, Meta(description='A directory, as seen from the root; "." is the root.', max_length=4095)]
Pattern = Annotated[
    str,
    Meta(
        description="A glob: * ? [a-z] {a,b} within a name, ** for any directories. Without a slash it is looked for "
        "in all directories.",
        min_length=1,
        max_length=1000,
    ),
]


def build(
    roots: Sequence[str | os.PathLike[str]], *, write: bool = False, hard_links: bool = False, watch: bool = True
) -> Server:
    """A server for these directories; with `write` what is in them can be changed, after confirmation.

    With `hard_links` files that have further names are served too, although those may lie outside. With `watch`
    subscribers hear of changes, where the extra `files` is installed. Raises ConfigError where a root is no directory.
    """
    tree = Tree(roots, hard_links=hard_links)

    @asynccontextmanager
    async def lifespan(served: Server) -> AsyncIterator[None]:
        watching = _watcher(served, tree) if watch else None
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching

    app = Server(
        "files",
        version=__version__,
        title="Files, read and write" if write else "Files",
        instructions=_instructions(tree, write),
        lifespan=lifespan,
    )
    _add_lists(app, tree)
    _add_reading(app, tree)
    _add_search(app, tree)
    add_resources(app, tree)
    if write:
        _add_writing(app, tree)
        _add_removal(app, tree)
    return app


def _instructions(tree: Tree, write: bool) -> str:
    several = f" There are several roots, with which paths begin: {', '.join(tree.roots)}." if tree.is_several else ""
    may = "Reads and changes files" if write else "Reads files; nothing can be changed"
    return f"{may}. Paths are seen from the root, without a slash in front.{several} Read long files in windows."


def _watcher(app: Server, tree: Tree) -> "asyncio.Task[None] | None":
    try:
        watch = late("bascule.servers.files.watch:watch")
    except ModuleNotFoundError:
        log.info("Changes of files are not told: that needs the extra, pip install 'bascule[files]'")
        return None
    return asyncio.create_task(watch(tree, app.notify_resource_updated, lambda: app.notify_list_changed("resources")))


def _add_lists(app: Server, tree: Tree) -> None:
    @app.tool(title="List a directory", annotations=_READ_ONLY, untrusted=True)
    def list_directory(
        path: Folder = ".",
        limit: Annotated[int, Meta(description="Show at most this many entries.", ge=1, le=2000)] = 500,
    ) -> listing.Listing:
        """What a directory holds: names, kinds, sizes, times. Links are shown as links."""
        return listing.list_directory(tree, path, limit)

    @app.tool(title="Show a tree", annotations=_READ_ONLY, untrusted=True)
    def directory_tree(
        path: Folder = ".",
        depth: Annotated[int, Meta(description="How many levels.", ge=1, le=50)] = 3,
        limit: Annotated[int, Meta(description="Show at most this many entries.", ge=1, le=5000)] = 500,
    ) -> listing.Outline:
        """Directories and files beneath a directory, one a line, indented."""
        return listing.outline(tree, path, depth, limit)

    @app.tool(title="Look at a file", annotations=_READ_ONLY, untrusted=True)
    def get_file_info(path: Path) -> listing.FileInfo:
        """Kind, size, time of the last change and permissions of a file, directory or link."""
        return listing.info(tree, path)


def _add_reading(app: Server, tree: Tree) -> None:
    @app.tool(title="Read text", annotations=_READ_ONLY, untrusted=True)
    def read_file(
        path: Path,
        first_line: Annotated[int, Meta(description="The line to begin with, from 1.", ge=1)] = 1,
        lines: Annotated[int, Meta(description="Read at most this many lines.", ge=1, le=20_000)] = 2000,
    ) -> reading.TextWindow:
        """Lines of a text file. Of a long one a window is read, and the answer says whether there is more."""
        return reading.read_text(tree, path, first_line, lines)

    @app.tool(title="Read bytes", annotations=_READ_ONLY, untrusted=True)
    def read_binary_file(
        path: Path,
        offset: Annotated[int, Meta(description="The byte to begin with, from 0.", ge=0, le=1 << 62)] = 0,
        length: Annotated[int, Meta(description="Read at most this many bytes.", ge=1, le=reading.MAX_RANGE)] = 65536,
    ) -> reading.ByteRange:
        """A range of a file's bytes, in base64."""
        return reading.read_range(tree, path, offset, length)


def _add_search(app: Server, tree: Tree) -> None:
    @app.tool(title="Find files", annotations=_READ_ONLY, untrusted=True)
    def find_files(
        pattern: Pattern,
        path: Folder = ".",
        limit: Annotated[int, Meta(description="Show at most this many paths.", ge=1, le=5000)] = 500,
    ) -> listing.Matches:
        """Paths that a glob matches, beneath a directory. Links are not followed."""
        return listing.find(tree, pattern, path, limit)

    @app.tool(title="Search in files", annotations=_READ_ONLY, untrusted=True)
    def search_files(
        text: Annotated[
            str, Meta(description="What to look for: plain text, no pattern.", min_length=1, max_length=1000)
        ],
        path: Folder = ".",
        files: Annotated[Pattern | None, Meta(description="Only in files that this glob matches.")] = None,
        ignore_case: bool = False,
        limit: Annotated[int, Meta(description="Show at most this many lines.", ge=1, le=1000)] = 200,
    ) -> reading.Hits:
        """Lines of text files that hold a text, beneath a directory or in one file. Links are not followed."""
        return reading.search(tree, text, path, files, ignore_case, limit)


def _add_writing(app: Server, tree: Tree) -> None:
    @app.tool(title="Write a file", annotations=_CHANGES, scopes=["files:write"], confirm=True)
    def write_file(
        path: Path, content: str, encoding: Literal["text", "base64"] = "text", overwrite: bool = False
    ) -> writing.Written:
        """Write a whole file; missing directories are made. One that exists is replaced only with `overwrite`."""
        return writing.write(tree, path, writing.content(content, encoding), overwrite)

    @app.tool(title="Edit a file", annotations=_CHANGES, scopes=["files:write"], confirm=True, untrusted=True)
    def edit_file(
        path: Path,
        old_text: Annotated[str, Meta(description="What stands there now, exactly.", min_length=1)],
        new_text: str,
        replace_all: bool = False,
    ) -> writing.Edited:
        """Replace a text that stands in a file exactly once, or each time with `replace_all`; answers with a diff."""
        return writing.edit(tree, path, old_text, new_text, replace_all)


def _add_removal(app: Server, tree: Tree) -> None:
    @app.tool(title="Move a file", annotations=_CHANGES, scopes=["files:move"], confirm=True)
    def move_file(source: Path, destination: Path) -> writing.Moved:
        """Give a file or directory another name, or another place beneath the root. Nothing is replaced."""
        return writing.move(tree, source, destination)

    @app.tool(title="Delete a file", annotations=_CHANGES, scopes=["files:delete"], confirm=True)
    def delete_file(path: Path) -> writing.Deleted:
        """Delete a file, a link, or a directory that is empty. There is no way back."""
        return writing.delete(tree, path)
