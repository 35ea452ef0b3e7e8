"""Races: a directory is swapped for a link to the outside, 10,000 rounds long, while paths through it are used."""

import itertools
import mmap
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bascule import ToolError
from bascule.checks import openat2
from bascule.checks.beneath import Beneath
from bascule.servers.files import listing, reading, writing
from bascule.servers.files.tree import Tree
from tests.servers.files.tree import CANARY

ROUNDS = 10_000


@pytest.fixture(params=["kernel", "steps"])
def tree(request, tmp_path, monkeypatch):
    """A tree with a directory `swap` in it, beside which `evil` leads outside by the same names."""
    if request.param == "steps":
        monkeypatch.setattr(openat2, "available", lambda: False)
    elif not openat2.available():
        pytest.skip("this kernel has no openat2")
    root, outside = tmp_path / "root", tmp_path / "outside"
    for place, text in ((root / "swap", "inside"), (outside, CANARY)):
        (place / "deep").mkdir(parents=True)
        (place / "deep" / "file.txt").write_text(text)
        (place / "file.txt").write_text(text)
    (root / "evil").symlink_to("../outside")
    (root / "file").write_text("inside")
    (root / "evil_file").symlink_to("../outside/file.txt")
    return Tree([root])


SWAPPER = """
import ctypes, mmap, os, sys
renameat2 = ctypes.CDLL(None).renameat2
with open(sys.argv[1], "r+b") as file:
    shared = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")
names = [os.fsencode(name) for name in sys.argv[2:]]
parent = os.getppid()
while not shared[1] and os.getppid() == parent:
    for one, other in zip(names[::2], names[1::2]):
        assert renameat2(-100, one, -100, other, 2) == 0
    shared[0] += 1
"""
"""Exchanges pairs of names as fast as the machine can, in a process of its own, and counts."""


@pytest.fixture
def swaps(tree, tmp_path):
    """How often directory and link, and file and link, have been exchanged: the first of these numbers."""
    root = tree.roots[""].path
    counts = tmp_path / "counts"
    counts.write_bytes(bytes(16))
    pairs = [f"{root}/{name}" for name in ("swap", "evil", "file", "evil_file")]
    with counts.open("r+b") as file, mmap.mmap(file.fileno(), 16) as memory:
        child = subprocess.Popen([sys.executable, "-c", SWAPPER, str(counts), *pairs])
        with memoryview(memory).cast("Q") as shared:
            while shared[0] == 0:
                assert child.poll() is None
            yield shared
            shared[1] = 1
        assert child.wait(20) == 0


def rounds(act, swaps, times=ROUNDS):
    """Run `act` until there were so many runs and swaps; how often it was let through, and how often refused."""
    passed = refused = 0
    while passed + refused < times or swaps[0] < times:
        try:
            act()
            passed += 1
        except ToolError as error:
            assert CANARY not in error.message
            refused += 1
    return passed, refused


def test_the_race_is_one_that_a_checked_string_loses(tree, swaps):
    """The same swap, against a path that is checked and opened afterwards: so the other tests prove something."""
    root = tree.roots[""].path
    end = time.monotonic() + 30
    leaked = False
    while not leaked and time.monotonic() < end:
        with suppress(OSError):
            real = os.path.realpath(f"{root}/swap/file.txt")
            leaked = real.startswith(f"{root}/") and Path(real).read_text() == CANARY
    assert leaked


@pytest.mark.parametrize("path", ["swap/file.txt", "swap/deep/file.txt", "file", "evil/../swap/file.txt"])
def test_no_byte_from_outside_is_read(tree, swaps, path):
    seen = set()

    def act():
        seen.add(reading.read_text(tree, path, 1, 10).text)

    passed, refused = rounds(act, swaps)
    assert seen <= {"inside"}
    assert passed > 0
    assert min(refused, swaps[0]) > 10, "the race was on"


def test_no_name_from_outside_is_listed_or_found(tree, swaps):
    (Path(tree.roots[""].path).parent / "outside" / "only-outside.txt").touch()

    def act():
        listed = listing.list_directory(tree, "swap", 100)
        found = listing.find(tree, "**/only*", ".", 100)
        hits = reading.search(tree, CANARY, ".", None, False, 100)
        assert "only-outside.txt" not in {entry.name for entry in listed.entries}
        assert found.paths == []
        assert hits.hits == []

    passed, refused = rounds(act, swaps)
    assert min(passed, refused) > 10


def test_nothing_outside_is_written_or_deleted(tree, swaps, tmp_path):
    outside = tmp_path / "outside"
    names = sorted(path.relative_to(outside) for path in outside.rglob("*"))

    acts = itertools.cycle(
        [
            lambda: writing.write(tree, "swap/file.txt", b"changed", True),
            lambda: writing.edit(tree, "swap/deep/file.txt", "inside", "inside", False),
            lambda: writing.write(tree, "swap/new.txt", b"new", True),
            lambda: writing.move(tree, "swap/new.txt", "swap/deep/moved.txt"),
            lambda: writing.delete(tree, "swap/deep/moved.txt"),
        ]
    )

    def act():
        next(acts)()

    passed, refused = rounds(act, swaps, 1000)
    assert min(passed, refused) > 0, "the race was on"
    assert sorted(path.relative_to(outside) for path in outside.rglob("*")) == names
    assert {path.read_text() for path in outside.rglob("*.txt")} == {CANARY}


def test_what_a_check_opens_is_what_it_has_checked(tree, swaps):
    """Between the look at a file and its opening it may be swapped: the descriptor is looked at again."""
    root: Beneath = tree.roots[""]

    def act():
        with root.place("file", follow=False) as place:
            fd = root.open_file(place, "file")
        try:
            assert os.pread(fd, 100, 0) == b"inside"
        finally:
            os.close(fd)

    passed, _ = rounds(act, swaps)
    assert passed > 10
