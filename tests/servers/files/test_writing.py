"""Writing: what a file keeps, and that its old content is there until the new one is whole."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from bascule.checks.path_text import PathMissing, PathRefused
from bascule.servers.files import rename, writing
from bascule.servers.files.diff import unified
from bascule.servers.files.tree import Tree


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("old\n")
    return tmp_path / "root"


@pytest.fixture
def tree(folder):
    return Tree([folder])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_is_replaced_keeps_its_mode_and_owner(tree, folder):
    file = folder / "a.txt"
    for mode in (0o640, 0o755, 0o600):
        file.chmod(mode)
        writing.write(tree, "a.txt", b"new", overwrite=True)
        assert file.stat().st_mode & 0o7777 == mode
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
        writing.edit(tree, "a.txt", "new", "newer", every=False)
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)
    file.chmod(0o4755)
    writing.write(tree, "a.txt", b"new", overwrite=True)
    assert file.stat().st_mode & 0o7777 == 0o755, "what somebody else wrote does not run with the owner's rights"


def test_a_new_file_has_the_mode_that_any_program_would_give_it(tree, folder):
    before = os.umask(0o027)
    try:
        writing.write(tree, "new/b.txt", b"x", overwrite=False)
    finally:
        os.umask(before)
    assert (folder / "new" / "b.txt").stat().st_mode & 0o777 == 0o640
    assert (folder / "new").stat().st_mode & 0o777 == 0o750


def test_what_exists_is_replaced_only_where_that_is_said(tree, folder):
    with pytest.raises(PathRefused, match="exists already"):
        writing.write(tree, "a.txt", b"new", overwrite=False)
    assert (folder / "a.txt").read_text() == "old\n"


def test_a_file_that_may_not_be_written_is_not_replaced(tree, folder, monkeypatch):
    root = tree.roots[""]
    step = root.step

    def refusing(parent, name, flags, mode=0):
        if name == "a.txt" and flags & os.O_WRONLY:
            raise PermissionError(13, "Permission denied")
        return step(parent, name, flags, mode)

    monkeypatch.setattr(root, "step", refusing)
    with pytest.raises(PathRefused, match="does not permit"):
        writing.write(tree, "a.txt", b"new", overwrite=True)
    assert (folder / "a.txt").read_text() == "old\n"
    assert names(folder) == ["a.txt"]


@pytest.mark.parametrize("way", ["write", "edit", "new"])
def test_the_old_content_stands_when_the_disk_is_full(tree, folder, way):
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(PathRefused, match="cannot be written"):
            if way == "edit":
                writing.edit(tree, "a.txt", "old", "x" * 5000, every=False)
            else:
                writing.write(tree, "a.txt" if way == "write" else "b.txt", b"x" * 5000, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / "a.txt").read_text() == "old\n"
    assert names(folder) == ["a.txt"], "no half file is left"


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod", "write"])
def test_the_old_content_stands_when_the_process_dies_at_any_step(folder, call):
    program = f"""
        import os, signal
        from bascule.servers.files import writing
        from bascule.servers.files.tree import Tree
        def die(*_arguments, **_options):
            os.kill(os.getpid(), signal.SIGKILL)
        tree = Tree([{str(folder)!r}])
        os.{call} = die
        writing.write(tree, "a.txt", b"new" * 1000, overwrite=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "a.txt").read_text() == "old\n"
    assert all(name == "a.txt" or name.startswith(".bascule-") for name in names(folder))


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(tree, folder):
    with (folder / "a.txt").open() as reading:
        writing.write(tree, "a.txt", b"new" * 100_000, overwrite=True)
        assert reading.read() == "old\n"
    assert (folder / "a.txt").read_bytes() == b"new" * 100_000


def test_an_edit_does_not_overwrite_what_somebody_wrote_meanwhile(tree, folder):
    def meanwhile(size):
        (folder / "a.txt").write_text("somebody else's\n")
        return "0" * size

    with pytest.raises(PathRefused, match="changed meanwhile"):
        writing.edit(tree, "a.txt", "old", "new", every=False, token=meanwhile)
    assert (folder / "a.txt").read_text() == "somebody else's\n"
    assert names(folder) == ["a.txt"]


def test_a_new_file_does_not_replace_one_that_came_meanwhile(tree, folder):
    def meanwhile(size):
        (folder / "b.txt").write_text("somebody else's\n")
        return "0" * size

    with pytest.raises(PathRefused, match="exists already"):
        writing.write(tree, "b.txt", b"mine", overwrite=True, token=meanwhile)
    assert (folder / "b.txt").read_text() == "somebody else's\n"


def test_a_temporary_name_that_is_taken_is_not_written_to(tree, folder):
    (folder / ".bascule-00.tmp").symlink_to("../outside.txt")
    with pytest.raises(PathRefused):
        writing.write(tree, "a.txt", b"new", overwrite=True, token=lambda _size: "00")
    assert not (folder.parent / "outside.txt").exists()


def test_a_link_is_written_through_and_stays_a_link(tree, folder):
    (folder / "l").symlink_to("a.txt")
    writing.write(tree, "l", b"new", overwrite=True)
    assert (folder / "l").is_symlink()
    assert (folder / "a.txt").read_text() == "new"


@pytest.fixture(params=["the system's", "by hand"])
def renaming(request, monkeypatch):
    if request.param == "by hand":
        monkeypatch.setattr(rename, "_renameat2", lambda: None)


@pytest.mark.usefixtures("renaming")
def test_files_and_directories_move_and_replace_nothing(tree, folder):
    (folder / "d").mkdir()
    (folder / "d" / "x").touch()
    writing.move(tree, "a.txt", "d/made/b.txt")
    assert (folder / "d" / "made" / "b.txt").read_text() == "old\n"
    writing.move(tree, "d", "e")
    assert names(folder) == ["e"]
    (folder / "full").mkdir()
    (folder / "taken").touch()
    for source, destination in [("e", "full"), ("e/x", "taken"), ("full", "taken"), ("e", "e/inner"), ("absent", "b")]:
        with pytest.raises(PathRefused):
            writing.move(tree, source, destination)
    assert names(folder) == ["e", "full", "taken"]


@pytest.mark.usefixtures("renaming")
def test_renaming_refuses_a_target_that_came_after_the_look(folder):
    (folder / "d").mkdir()
    (folder / "taken").touch()
    (folder / "taken_dir").mkdir()
    fd = os.open(folder, os.O_RDONLY)
    try:
        for source, target in [("a.txt", "taken"), ("d", "taken_dir"), ("d", "taken")]:
            with pytest.raises(FileExistsError):
                rename.rename_new((fd, source), (fd, target))
    finally:
        os.close(fd)
    assert names(folder) == ["a.txt", "d", "taken", "taken_dir"]


def test_links_are_not_moved(tree, folder):
    (folder / "d").mkdir()
    (folder / "d" / "l").symlink_to("../a.txt")
    with pytest.raises(PathRefused, match="links are not moved"):
        writing.move(tree, "d/l", "l")


def test_a_directory_that_is_not_empty_is_not_deleted(tree, folder):
    (folder / "d").mkdir()
    (folder / "d" / "x").touch()
    with pytest.raises(PathRefused, match="not empty"):
        writing.delete(tree, "d")
    with pytest.raises(PathMissing):
        writing.delete(tree, "absent")


def test_content_is_text_or_base64():
    assert writing.content("é", "text") == "é".encode()
    assert writing.content("AAEC", "base64") == b"\0\1\2"
    for text, encoding in [("A", "base64"), ("A B=", "base64"), ("é", "base64"), ("\ud800", "text")]:
        with pytest.raises(PathRefused):
            writing.content(text, encoding)


@pytest.mark.parametrize(
    ("content", "old", "every", "reason"),
    [
        (b"a\n", "b", False, "does not stand"),
        (b"a a\n", "a", False, "stands 2 times"),
        (b"\xff\n", "a", True, "not UTF-8"),
        (b"a\r\n", "a\n", False, "does not stand"),
        (b"a" * (writing.MAX_EDITED + 1), "a", True, "longer than"),
    ],
    ids=["absent", "twice", "binary", "line ends", "huge"],
)
def test_an_edit_that_is_not_exact_is_refused(tree, folder, content, old, every, reason):
    (folder / "a.txt").write_bytes(content)
    with pytest.raises(PathRefused, match=reason):
        writing.edit(tree, "a.txt", old, "x", every)
    assert (folder / "a.txt").read_bytes() == content


def test_an_edit_keeps_every_other_byte(tree, folder):
    (folder / "a.txt").write_bytes("\ufeffone\r\ntwo\u2028\rthree".encode())
    writing.edit(tree, "a.txt", "two", "2", every=False)
    assert (folder / "a.txt").read_bytes() == "\ufeffone\r\n2\u2028\rthree".encode()


TEXT = "".join(f"{number}\n" for number in range(1, 21))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (TEXT, "10\n", "ten\n"),
        (TEXT, "1\n", ""),
        (TEXT, "10\n11", "x"),
        (TEXT, "0", "zero"),
        (TEXT, "\n", "\n\n"),
        (TEXT, "3\n", "3"),
        ("aXbXc\nd\n", "X", "\n"),
        ("no end", "end", "ending"),
        ("a\nno end", "a\n", "a"),
        ("x", "x", ""),
        ("a\r\nb\r\n", "b", "c"),
        ("aaa\naa\n", "aa", "b"),
    ],
)
def test_a_diff_makes_the_new_text_of_the_old_one(tmp_path, text, old, new):
    (tmp_path / "f").write_bytes(text.encode())
    told = unified("f", text, old, new)
    if subprocess.run(["patch", "--version"], capture_output=True).returncode:
        pytest.skip("there is no patch program")
    done = subprocess.run(
        ["patch", "--binary", "-p0", "f"], input=told.encode(), cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 0, (told, done.stdout)
    made = (tmp_path / "f").read_bytes() if (tmp_path / "f").exists() else b""
    assert made == text.replace(old, new).encode()


@pytest.mark.parametrize("text", ["ab\n" * 2_000_000, "ab" * 3_000_000, "a" * 6_000_000])
def test_a_diff_of_a_large_text_is_bounded_in_size_and_time(text):
    start = time.monotonic()
    told = unified("f", text, "a", "c")
    assert len(told) < 25_000
    assert "cut here" in told
    assert time.monotonic() - start < 10


def test_many_changes_that_are_short_are_not_all_shown():
    told = unified("f", "a\n" * 20_000, "a\n", "")
    assert "not shown" in told or "cut here" in told


def test_an_edit_that_would_multiply_the_file_is_refused(tree, folder):
    (folder / "a.txt").write_text("a" * 1_000_000)
    with pytest.raises(PathRefused, match="would grow"):
        writing.edit(tree, "a.txt", "a", "b" * 1_000_000, every=True)
    assert (folder / "a.txt").read_text() == "a" * 1_000_000
