"""Reading, listing and finding: windows, bounds, and that what is left out is said."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from bascule.checks.path_text import PathMissing, PathRefused
from bascule.servers.files import listing, reading
from bascule.servers.files.globs import Glob
from bascule.servers.files.tree import Tree
from bascule.servers.files.walk import Budget, walk


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "intro.md").write_text("# Intro\nhello Ünï\n")
    (tmp_path / "docs" / "deep" / "x.py").write_text("import os\nHELLO = 1\n")
    (tmp_path / "lines.txt").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    (tmp_path / "binary").write_bytes(b"hello\0world")
    return tmp_path


@pytest.fixture
def tree(folder):
    return Tree([folder])


@pytest.mark.parametrize(
    ("first", "count", "text", "last", "truncated", "total"),
    [
        (1, 2, "line 1\nline 2\n", 2, True, None),
        (99, 2, "line 99\nline 100\n", 100, False, 100),
        (99, 1, "line 99\n", 99, True, None),
        (100, 50, "line 100\n", 100, False, 100),
        (101, 5, "", 0, False, 100),
    ],
)
def test_windows_of_lines(tree, first, count, text, last, truncated, total):
    window = reading.read_text(tree, "lines.txt", first, count)
    assert (window.text, window.last_line, window.truncated) == (text, last, truncated)
    assert (window.total_lines or None) == total
    assert window.first_line == first


@pytest.mark.parametrize(
    ("content", "lines"), [(b"", 0), (b"\n", 1), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)]
)
def test_lines_are_counted_with_and_without_an_end(tree, folder, content, lines):
    (folder / "f").write_bytes(content)
    window = reading.read_text(tree, "f", 1, 10)
    assert (window.text.encode(), window.total_lines, window.truncated) == (content, lines, False)


def test_a_long_line_is_cut_between_characters_and_said_so(tree, folder):
    (folder / "f").write_text("a" + "é" * 500_000)
    window = reading.read_text(tree, "f", 1, 10)
    assert window.truncated
    assert "Cut after" in window.note
    assert set(window.text) == {"a", "é"}
    assert len(window.text.encode()) >= reading.MAX_TEXT - 2


def test_text_that_is_not_utf8_is_shown_and_said_so(tree, folder):
    (folder / "f").write_bytes("für".encode("latin-1"))
    window = reading.read_text(tree, "f", 1, 10)
    assert window.text == "f\ufffdr"
    assert "not UTF-8" in window.note
    with pytest.raises(PathRefused, match="read_binary_file"):
        reading.read_text(tree, "binary", 1, 10)


def test_ranges_of_bytes(tree):
    one = reading.read_range(tree, "binary", 3, 4)
    assert (one.data, one.length, one.size, one.truncated) == ("bG8Adw==", 4, 11, True)
    end = reading.read_range(tree, "binary", 9, 400)
    assert (end.length, end.truncated) == (2, False)
    beyond = reading.read_range(tree, "binary", 1 << 62, 400)
    assert (beyond.data, beyond.truncated) == ("", False)


def test_a_sparse_file_of_a_tebibyte_costs_what_is_asked_for(tree, folder):
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    start = time.monotonic()
    assert reading.read_range(tree, "sparse", (1 << 40) - 5, 100).length == 5
    with pytest.raises(PathRefused, match="not text"):
        reading.read_text(tree, "sparse", 1, 10)
    assert reading.search(tree, "x", ".", None, False, 10).hits == []
    assert time.monotonic() - start < 5


def test_lines_far_into_a_huge_file_are_not_counted_for_ever(tree, folder):
    with (folder / "huge").open("wb") as file:
        file.write(b"text\n" * 4000)
        file.truncate(1 << 40)
    window = reading.read_text(tree, "huge", 1_000_000_000, 10)
    assert (window.text, window.truncated) == ("", True)
    assert "counted in the first" in window.note


def test_a_file_that_grows_while_it_is_read_ends_all_the_same(tree, folder, monkeypatch):
    pread = os.pread

    def growing(fd, length, offset):
        with (folder / "lines.txt").open("a") as file:
            file.write("more and more\n" * 100_000)
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", growing)
    size = (folder / "lines.txt").stat().st_size
    one = reading.read_range(tree, "lines.txt", 0, 200_000)
    assert (one.length, one.size) == (size, size)


def test_content_is_searched_as_plain_text(tree):
    found = reading.search(tree, "hello", ".", None, False, 10)
    assert [(hit.path, hit.line, hit.text) for hit in found.hits] == [("docs/intro.md", 2, "hello Ünï")]
    assert not found.truncated
    either = reading.search(tree, "hELLO ünÏ", ".", None, True, 10)
    assert [hit.path for hit in either.hits] == ["docs/intro.md"]
    only = reading.search(tree, "HELLO", ".", "*.py", True, 10)
    assert [(hit.path, hit.line) for hit in only.hits] == [("docs/deep/x.py", 2)]
    one = reading.search(tree, "line 5", "lines.txt", None, False, 3)
    assert [hit.line for hit in one.hits] == [5, 50, 51]
    assert one.truncated
    assert "first 3 lines" in one.note
    assert reading.search(tree, "(a+)+$", ".", None, False, 3).hits == []
    with pytest.raises(PathRefused, match="one line"):
        reading.search(tree, "a\nb", ".", None, False, 3)


def test_what_was_not_searched_is_said(tree, folder):
    os.link(folder / "lines.txt", folder / "again.txt")
    found = reading.search(tree, "line 1", ".", None, False, 10)
    assert found.hits == []
    assert found.truncated
    assert "hard links" in found.note
    (folder / "again.txt").write_text("x\n" * 3_000_000 + "needle\n")
    (folder / "lines.txt").unlink()
    late = reading.search(tree, "needle", ".", None, False, 10)
    assert (late.hits, late.truncated) == ([], True)
    assert "4 MiB" in late.note


def test_a_long_line_is_shown_around_what_was_found(tree, folder):
    (folder / "f").write_text("a" * 10_000 + "needle" + "b" * 10_000)
    [hit] = reading.search(tree, "needle", "f", None, False, 10).hits
    assert "needle" in hit.text
    assert len(hit.text) <= reading.MAX_LINE + 2


def test_huge_directories_are_bounded_and_say_so(tree, folder):
    (folder / "many").mkdir()
    for number in range(3000):
        (folder / "many" / f"{number:05}").touch()
    listed = listing.list_directory(tree, "many", 100)
    assert [entry.name for entry in listed.entries[:2]] == ["00000", "00001"]
    assert (len(listed.entries), listed.truncated) == (100, True)
    assert "2900 more" in listed.note
    found = listing.find(tree, "*9", "many", 50)
    assert (len(found.paths), found.truncated) == (50, True)
    drawn = listing.outline(tree, ".", 5, 1000)
    assert (drawn.entries, drawn.truncated) == (1000, True)
    assert "1000 entries" in drawn.note


@pytest.fixture
def very_deep(folder):
    """A tree of 1,500 levels, taken away by the program that can: Python's own removal recurses."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    yield
    subprocess.run(["rm", "-rf", "deep"], cwd=folder, check=True, timeout=60)


@pytest.mark.usefixtures("very_deep")
def test_a_very_deep_tree_is_walked_to_a_bound_and_not_beyond(tree):
    before = len(list(Path("/proc/self/fd").iterdir()))
    found = listing.find(tree, "**/deep", ".", 5000)
    assert found.truncated
    assert "too deep" in found.note
    assert 90 < len(found.paths) < 110
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(PathRefused):
        reading.read_text(tree, "deep/" * 1500 + "x", 1, 1)


def test_a_walk_ends_when_its_time_is_up(tree):
    ticks = iter(range(100))
    budget = Budget(seconds=2.0, clock=lambda: float(next(ticks)))
    with tree.at(".") as spot:
        assert len(list(walk(spot, budget))) == 2
    assert "Stopped after 2 s" in budget.cut


def test_entries_are_told_as_what_they_are(tree, folder):
    (folder / "l").symlink_to("/etc/passwd")
    os.mkfifo(folder / "p")
    Path(os.fsdecode(os.fsencode(folder) + b"/not-utf8-\xff")).mkdir()
    entries = {entry.name: entry for entry in listing.list_directory(tree, ".", 100).entries}
    assert {name: entry.kind for name, entry in entries.items()} == {
        "binary": "file",
        "docs": "directory",
        "l": "link",
        "lines.txt": "file",
        "not-utf8-\ufffd": "directory",
        "p": "fifo",
    }
    assert "not UTF-8" in entries["not-utf8-\ufffd"].note
    assert listing.info(tree, "l").kind == "link"
    (folder / "lines.txt").chmod(0o640)
    one = listing.info(tree, "lines.txt")
    assert (one.kind, one.size, one.mode) == ("file", (folder / "lines.txt").stat().st_size, "0640")
    os.utime(folder / "binary", (1e15, 1e15))
    assert listing.info(tree, "binary").modified.endswith("+00:00"), "a time that no date has is no fault"
    with pytest.raises(PathMissing):
        listing.info(tree, "absent")


def test_a_tree_is_drawn_by_levels(tree):
    drawn = listing.outline(tree, ".", 2, 100)
    assert drawn.tree.splitlines() == ["binary", "docs/", "  deep/", "  intro.md", "lines.txt"]
    assert drawn.truncated
    assert "deeper" in drawn.note


GLOBS = [
    ("*.md", ["docs/intro.md"]),
    ("**/*.py", ["docs/deep/x.py"]),
    ("docs/*", ["docs/deep/", "docs/intro.md"]),
    ("docs/**", ["docs/", "docs/deep/", "docs/deep/x.py", "docs/intro.md"]),
    ("**/*.{md,py}", ["docs/deep/x.py", "docs/intro.md"]),
    ("[bl]*", ["binary", "lines.txt"]),
    ("[!a-k]*.txt", ["lines.txt"]),
    ("?inary", ["binary"]),
    ("docs/**/x.py", ["docs/deep/x.py"]),
    ("../*", []),
    ("*/../binary", []),
    ("LINES.*", []),
    ("[", []),
    ("{a", []),
]


@pytest.mark.parametrize(("pattern", "paths"), GLOBS)
def test_globs_find_what_they_say(tree, pattern, paths):
    assert listing.find(tree, pattern, ".", 100).paths == paths


@pytest.mark.parametrize(
    "pattern", ["*a" * 400 + "b", "**/" * 300 + "b", "[a-z]*" * 100 + "!", "{a,b}" * 6 + "*" * 900 + "!"]
)
def test_no_glob_hangs(pattern):
    start = time.monotonic()
    glob = Glob(pattern)
    for _ in range(10):
        assert not glob.matches("/".join(["a" * 255] * 20))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("pattern", ["", "a" * 1001, "{a,b}" * 7, "{" * 300 + "a,b" + "}" * 300 + "{a,b,c,d}" * 4])
def test_globs_that_stand_for_too_much_are_refused(pattern):
    with pytest.raises(PathRefused):
        Glob(pattern)


def test_several_roots_are_one_tree(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    twin = tmp_path_factory.mktemp("twin") / folder.name
    twin.mkdir()
    (other / "o.txt").write_text("needle\n")
    tree = Tree([folder, other, twin, folder])
    first, second, third = tree.roots
    assert (first, second, third) == (folder.name, other.name, f"{folder.name}-2")
    assert [entry.name for entry in listing.list_directory(tree, ".", 10).entries] == list(tree.roots)
    assert reading.read_text(tree, f"{second}/o.txt", 1, 1).text == "needle\n"
    assert reading.read_text(tree, f"{other}/o.txt", 1, 1).text == "needle\n"
    assert listing.find(tree, "*.txt", ".", 10).paths == [f"{first}/lines.txt", f"{second}/o.txt"]
    assert [hit.path for hit in reading.search(tree, "needle", ".", None, False, 10).hits] == [f"{second}/o.txt"]
    for path in (f"{first}/../{second}/o.txt", "absent/o.txt", "..", f"{other.parent}/x", "/etc/passwd"):
        with pytest.raises(PathRefused):
            reading.read_text(tree, path, 1, 1)
