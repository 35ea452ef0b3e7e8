"""Watching: subscribers hear of files that change, and of files that come and go.

Needs `watchfiles`, so it is loaded late. Each directory is watched by itself, never "recursively": a recursive watcher
follows links, and would watch, and tell of, what lies outside. A change is told only of what stands in a directory of
the tree.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing

from watchfiles import Change, awatch

from bascule.checks.path_text import PathRefused
from bascule.servers.files.tree import Tree, joined, uri_of
from bascule.servers.files.walk import Budget, Found, walk

log = logging.getLogger("bascule")

MAX_WATCHED = 8000
"""How many directories are watched; systems allow a user only so many."""

_STEP = 50
_DEBOUNCE = 400
_MINE = ".bascule-"
_COARSE = 1.0
"""How much earlier than it happened a file system may date a change, in seconds."""
_STANDS = 0.5
"""After how many seconds a watch that has begun surely stands."""

Tell = Callable[[str], None]


async def watch(tree: Tree, updated: Tell, listed: Callable[[], None], now: Callable[[], float] = time.time) -> None:
    """Tell of changes until cancelled: `updated(uri)` of a resource, `listed()` of those that there are.

    When directories come, the watch begins anew with them; what changed meanwhile is found by its time and told then.
    `now` is the time by which the file system dates changes.
    """
    known: set[str] = set()
    since = math.inf
    while True:
        watched = await asyncio.to_thread(lambda: dict(_directories(tree)))
        new = set(watched.values()) - known if known else set()
        known = set(watched.values())
        behind = asyncio.create_task(_catch_up(tree, new, since, updated, listed))
        try:
            await _until_directories_change(tree, watched, updated, listed)
            since = now() - _COARSE
            await behind  # so that the watch begins anew once in a while only, and always catches up
        except FileNotFoundError:
            await asyncio.sleep(_STANDS)  # a directory went away between the walk and the watch, or the root did
        except OSError as error:
            log.warning("Files are not watched any more: %s", error.strerror or "the system has no room for it")
            return
        finally:
            behind.cancel()


async def _catch_up(tree: Tree, new: set[str], since: float, updated: Tell, listed: Callable[[], None]) -> None:
    """Tell what nobody saw: files that have changed since, and all files of directories that are new."""
    if since == math.inf:
        return
    await asyncio.sleep(_STANDS)
    for path in await asyncio.to_thread(_missed, tree, new, since):
        updated(uri_of(path))
    listed()


async def _until_directories_change(
    tree: Tree, watched: dict[str, str], updated: Tell, listed: Callable[[], None]
) -> None:
    changes = awatch(*watched, recursive=False, watch_filter=None, step=_STEP, debounce=_DEBOUNCE)
    async with aclosing(changes):
        async for batch in changes:
            again = False
            for change, full in sorted(batch):
                path = _path_of(watched, full)
                if path is None:
                    continue
                is_directory = await asyncio.to_thread(_is_directory, tree, path)
                updated(uri_of(path))
                again |= change == Change.added and is_directory
            if any(change != Change.modified for change, _ in batch):
                listed()
            if again:
                return


def _path_of(watched: dict[str, str], full: str) -> str | None:
    """The path in the tree of what has changed; None for what is not in a watched directory, or is not to be told."""
    folder, _, name = full.rpartition("/")
    if folder not in watched or name.startswith(_MINE) or not name.isprintable():
        return None
    return joined(watched[folder], name)


def _is_directory(tree: Tree, path: str) -> bool:
    try:
        with tree.at(path, follow=False) as spot:
            return spot.place.is_directory
    except PathRefused:
        return False


def _directories(tree: Tree) -> Iterator[tuple[str, str]]:
    """Where every directory lies, and its path in the tree."""
    for top in tree.roots:
        root, _ = tree.find(top or ".")
        yield root.path, top
        count = 1
        for found in _below(tree, top or "."):
            if found.is_directory and count < MAX_WATCHED:
                count += 1
                yield os.path.join(root.path, found.path), joined(top, found.path)  # noqa: PTH118
        if count >= MAX_WATCHED:
            log.warning("Only %d directories are watched for changes", MAX_WATCHED)


def _missed(tree: Tree, new: set[str], since: float) -> list[str]:
    found = []
    for top in tree.roots:
        for one in _below(tree, top or "."):
            path = joined(top, one.path)
            if one.is_file and (one.status.st_ctime >= since or path.rpartition("/")[0] in new):
                found.append(path)
    return [path for path in found if path.isprintable()]


def _below(tree: Tree, path: str) -> Iterator[Found]:
    try:
        with tree.at(path, follow=False) as spot:
            yield from walk(spot, Budget())
    except PathRefused:
        return
