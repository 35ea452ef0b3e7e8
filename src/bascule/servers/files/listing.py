"""Lists: what a directory holds, the tree beneath it, and what a glob finds. All bounded, and they say so."""

import os

from msgspec import UNSET, Struct, UnsetType

from bascule.checks.path_text import PathMissing, shown
from bascule.servers.files.globs import Glob, State
from bascule.servers.files.tree import Entry, Kind, Tree, as_text, entry_of, joined
from bascule.servers.files.walk import Budget, look, sorted_names, walk

_READ = 200_000
"""How many names of a directory are read to put them in order."""


class Listing(Struct, omit_defaults=True):
    """What a directory holds, by name. `note` says what is missing when `truncated` is true."""

    path: str
    entries: list[Entry]
    truncated: bool
    note: str | UnsetType = UNSET


class Outline(Struct, omit_defaults=True):
    """A tree as text, one line for each entry, indented by two blanks a level; directories end in a slash."""

    path: str
    tree: str
    entries: int
    truncated: bool
    note: str | UnsetType = UNSET


class FileInfo(Struct, omit_defaults=True):
    """What one entry is; `mode` is octal, `target` is what a link says, which may be nowhere that can be read."""

    path: str
    kind: Kind
    size: int | UnsetType = UNSET
    modified: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    note: str | UnsetType = UNSET


class Matches(Struct, omit_defaults=True):
    """Paths that a glob found, from the tree's root; directories end in a slash."""

    paths: list[str]
    truncated: bool
    note: str | UnsetType = UNSET


def list_directory(tree: Tree, path: str, limit: int) -> Listing:
    """The first `limit` entries of a directory. Raises PathRefused."""
    if tree.is_top(path):
        return Listing(path, [entry_of(name, os.fstat(root.fd)) for name, root in tree.roots.items()], False)
    with tree.at(path) as spot:
        fd = spot.open_directory()
        try:
            names, more = sorted_names(fd, _READ)
            entries = [entry_of(name, status) for name in names[:limit] if (status := look(fd, name))]
        finally:
            os.close(fd)
    left = len(names) - limit
    if left <= 0 and not more:
        return Listing(path, entries, False)
    more_of = f"at least {left}" if more else f"{left}"
    return Listing(path, entries, True, f"Only {limit} entries are shown; there are {more_of} more. Use find_files.")


def outline(tree: Tree, path: str, depth: int, limit: int) -> Outline:
    """The tree beneath a directory, `depth` levels deep, at most `limit` entries. Raises PathRefused."""
    if tree.is_top(path):
        names = [f"{name}/" for name in tree.roots]
        return Outline(path, "\n".join(names), len(names), True, "These are the roots; give one of them.")
    budget = Budget(limit, depth=depth)
    lines: list[str] = []
    with tree.at(path) as spot:
        for found in walk(spot, budget):
            name = as_text(found.place.name)
            mark = "/" if found.is_directory else "" if found.is_file else f" ({entry_of(name, found.status).kind})"
            lines.append("  " * found.path.count("/") + name + mark)
    return Outline(path, "\n".join(lines), len(lines), budget.cut is not None, budget.cut or UNSET)


def info(tree: Tree, path: str) -> FileInfo:
    """What stands at a path; a link at its end is told as a link. Raises PathRefused."""
    if tree.is_top(path):
        return FileInfo(path, "directory")
    with tree.at(path, follow=False) as spot:
        status = spot.place.status
        if status is None:
            raise PathMissing(f"There is nothing at {shown(path)}")
        entry = entry_of(spot.place.name, status)
    mode = f"{status.st_mode & 0o7777:04o}"
    return FileInfo(path, entry.kind, entry.size, entry.modified, mode, entry.note)


def find(tree: Tree, pattern: str, path: str, limit: int) -> Matches:
    """Paths beneath a directory that a glob matches, as seen from there, at most `limit`. Raises PathRefused."""
    glob = Glob(pattern)
    budget = Budget()
    paths: list[str] = []
    for top in tops(tree, path):
        with tree.at(top) as spot:
            states: dict[str, State] = {"": glob.start}
            for found in walk(spot, budget, lambda one, states=states: bool(states[one.path])):  # type: ignore[misc]
                state = glob.enter(states[found.path.rpartition("/")[0]], found.place.name)
                if found.is_directory:
                    states[found.path] = state
                if not glob.accepts(state):
                    continue
                if len(paths) == limit:
                    budget.end(f"Only the first {limit} paths are shown; there are more.")
                    break
                paths.append(as_text(joined(top, found.path)) + ("/" if found.is_directory else ""))
    return Matches(paths, budget.cut is not None, budget.cut or UNSET)


def tops(tree: Tree, path: str) -> list[str]:
    """The directories that a walk from a path begins with: itself, or all the roots."""
    return list(tree.roots) if tree.is_top(path) else [path]
