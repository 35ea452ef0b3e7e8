"""Fail where a tracked file names the host of a package registry or index: where packages come from is the reader's
choice, and a lock file or a constraints file must work behind any mirror.

The names are put together from parts, so that this file does not name them.
"""

import subprocess
import sys
from pathlib import Path

HOSTS = [
    ".".join(parts).encode()
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("npmmirror", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("conda", "anaconda", "org"),
    )
]


def tracked(root: Path) -> list[Path]:
    """Files that git follows, or would follow if they were added now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    return [root / name for name in listed.decode().split("\0") if name]


def findings(root: Path) -> list[str]:
    """One line for each file and host named in it."""
    found = []
    for path in tracked(root):
        if path.is_file():
            content = path.read_bytes().lower()
            found += [f"{path.relative_to(root)} names {host.decode()}" for host in HOSTS if host in content]
    return found


def main() -> int:
    found = findings(Path(__file__).resolve().parent.parent)
    for line in found:
        print(f"no_addresses: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
