"""The tree that tests/attacks/paths.toml is about: a root, and canaries all around it."""

import os
import socket
import stat
import tomllib
from pathlib import Path
from typing import NamedTuple

CANARY = "CANARY-of-the-outside"
TABLE = Path(__file__).parents[2] / "attacks" / "paths.toml"

FILES = [
    "notes.txt",
    "docs/intro.md",
    "docs/deep/a/b/c.txt",
    "with space.txt",
    "..hidden",
    "a..b.txt",
    "x.../three.txt",
    "dot.",
    "back\\slash.txt",
    "100%.txt",
    "12:30.txt",
    "~tilde.txt",
    "-rf",
    "$HOME",
    ".env",
    "na\u00efve.txt",
    "cafe\u0301.txt",
    "\u65e5\u672c\u8a9e.txt",
    "\U0001f469\u200d\U0001f4bb.txt",
    "L" * 255,
    "written.txt",
    "linked.txt",
    "gone.txt",
    "gone2.txt",
    "gone_target.txt",
]

LINKS = {
    "in_file": "notes.txt",
    "in_dir": "docs",
    "in_absolute": "{root}/docs",
    "in_chain": "in_file",
    "in_written": "linked.txt",
    "docs/up_in": "../notes.txt",
    "self_dir": ".",
    "dangling_in": "made_by_link.txt",
    "gone_link": "gone_target.txt",
    "out_file": "../secret.txt",
    "out_absolute": "{base}/secret.txt",
    "out_dir": "../outside",
    "out_chain": "out_dir/secret.txt",
    "docs/out_up": "../../secret.txt",
    "dangling_out": "../planted.txt",
    "slash": "/",
    "parent": "..",
    "sibling": "../root-evil",
    "loop": "loop",
    "loop_a": "loop_b",
    "loop_b": "loop_a",
    "proc_root": "/proc/self/root",
    "proc_environ": "/proc/self/environ",
    "proc_cwd": "/proc/self/cwd",
    "proc_fd": "/proc/self/fd",
    "zero": "/dev/zero",
    "null": "/dev/null",
}


class Case(NamedTuple):
    """One row of the table, its path as it is sent."""

    op: str
    path: str
    is_attack: bool


def make(base: Path) -> Path:
    """Make the tree and return its root."""
    root = base / "root"
    for outside in ("secret.txt", "secret2.txt", "outside/secret.txt", "outside/deep/x.txt", "root-evil/secret.txt"):
        (base / outside).parent.mkdir(parents=True, exist_ok=True)
        (base / outside).write_text(f"{CANARY} {outside}\n")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"inside: {name}\n")
    for name in ("empty", "gone_dir", "gone_dir2"):
        (root / name).mkdir()
    (root / "empty.txt").touch()
    (root / "binary.bin").write_bytes(bytes(range(256)))
    with (root / "sparse.bin").open("wb") as sparse:
        sparse.truncate(1 << 30)
    for name, target in LINKS.items():
        (root / name).symlink_to(target.format(root=root, base=base))
    os.link(base / "secret2.txt", root / "hard.txt")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(root)  # the address of a socket may be no longer than 107 bytes
            made.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
    return root


def cases(root: Path) -> list[Case]:
    """The table for a tree."""
    table = tomllib.loads(TABLE.read_text())
    return [
        Case(row["op"], _path(row, root) * row.get("times", 1), kind == "attack")
        for kind in ("attack", "honest")
        for row in table[kind]
    ]


def _path(row: dict, root: Path) -> str:
    return row["path"].replace("{root}", str(root)).replace("{base}", str(root.parent))


def outside(root: Path) -> dict[str, tuple]:
    """All that lies beside the root: names, kinds, modes, link counts, times and contents."""
    found = {}
    for path in sorted(root.parent.rglob("*")):
        if root not in (path, *path.parents):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found[str(path)] = (status.st_mode, status.st_nlink, status.st_ino, times, content)
    return found
