"""Verifying: whatever is done to a log, it shows; and what nobody did to it is not said of it."""

import hmac
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from bascule.errors import ConfigError
from bascule.stores.audit.chain import keys_of, primed
from bascule.stores.audit.verify import verify
from tests.stores.audit.logs import KEY, calls, checked, decision, settings, written

COUNT = 12

ODD = [
    b"",
    b"{}",
    b'{"seq":1,"kind":"open","previous":"zz","mac":"' + b"0" * 64 + b'"}',
    b'{"seq":-1,"kind":"open","previous":"' + b"00" * 32 + b'","mac":"' + b"0" * 64 + b'"}',
    b'{"seq":1e400,"kind":"call","mac":"' + b"0" * 64 + b'"}',
    b'{"seq":99999999999999999999999999,"kind":"call","mac":"' + b"0" * 64 + b'"}',
    b'{"seq":1,"kind":"open","torn":1,"tornDigest":"\xff","mac":"' + b" 0" * 32 + b'"}',
    b"[" * 5000,
    b'{"count":1,"signature":"' + b"0" * 64 + b'"}',
]

ODD_BYTES = st.binary(max_size=80) | st.sampled_from(ODD)


@pytest.fixture
def log(tmp_path):
    chosen = settings(tmp_path)
    written(chosen, *(decision(number) for number in range(COUNT)))
    return chosen


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A log of several files, whose process began twice; its last call is known to the head."""
    folder = tmp_path_factory.mktemp("kept")
    for begin in (0, 10):
        written(settings(folder, rotate_bytes=700), *(decision(number) for number in range(begin, begin + 3)))
        written(settings(folder), *(decision(number) for number in range(begin + 3, begin + 6)))
    return folder


def test_a_log_as_it_was_written_is_sound(log):
    report = checked(log)
    assert (report.fault, report.lines, report.first, report.last) == (None, COUNT + 2, 1, COUNT + 2)
    assert [line["request"] for line in calls(log)] == [str(number) for number in range(COUNT)]


def test_so_is_one_of_several_files_and_processes(kept):
    report = checked(settings(kept))
    assert report.fault is None
    assert len(report.files) >= 3
    assert len(calls(settings(kept))) == 12


def edited(data: bytes, seed: random.Random) -> bytes:
    """A byte is another."""
    place = seed.randrange(len(data))
    return data[:place] + bytes([data[place] ^ seed.randrange(1, 256)]) + data[place + 1 :]


def removed(data: bytes, seed: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    first = seed.randrange(len(lines))
    del lines[first : seed.randrange(first, len(lines)) + 1]
    return b"".join(lines)


def reordered(data: bytes, seed: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    one, other = seed.sample(range(len(lines)), 2) if len(lines) > 1 else (0, 0)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def repeated(data: bytes, seed: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines.insert(seed.randrange(len(lines) + 1), seed.choice(lines))
    return b"".join(lines)


def cut(data: bytes, seed: random.Random) -> bytes:
    return data[: seed.randrange(len(data))]


def stripped(data: bytes, seed: random.Random) -> bytes:
    """Bytes are gone from somewhere inside."""
    place = seed.randrange(len(data))
    return data[:place] + data[place + seed.randrange(1, 50) :]


def padded(data: bytes, seed: random.Random) -> bytes:
    """A line that nobody wrote stands somewhere."""
    lines = data.splitlines(keepends=True)
    lines.insert(seed.randrange(len(lines) + 1), seed.choice([b"\n", b"{}\n", b" \n", b'{"seq":1,"kind":"call"}\n']))
    return b"".join(lines)


@tried(max_examples=300)
@given(
    st.sampled_from([edited, removed, reordered, repeated, cut, stripped, padded]),
    st.randoms(use_true_random=False),
    st.integers(0, 9),
)
def test_every_edit_removal_reordering_and_cut_of_any_file_is_found(kept, tmp_path_factory, change, seed, file):
    folder = tmp_path_factory.mktemp("changed")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        files = checked(settings(folder)).files
        path = Path(files[file % len(files)])
        before = path.read_bytes()
        after = change(before, seed)
        path.write_bytes(after)
        assert (checked(settings(folder)).fault is None) == (after == before)
    finally:
        shutil.rmtree(folder)


@tried(max_examples=100)
@given(st.randoms(use_true_random=False), st.sampled_from([edited, cut, stripped]))
def test_every_change_of_the_head_is_found(kept, tmp_path_factory, seed, change):
    folder = tmp_path_factory.mktemp("changed")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        head = folder / "audit.jsonl.head"
        before = head.read_bytes()
        after = change(before, seed)
        head.write_bytes(after)
        assert (checked(settings(folder)).fault is None) == (after.rstrip(b"\n") == before.rstrip(b"\n"))
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("gone", ["audit.jsonl", "audit.jsonl.000001", "audit.jsonl.000002", "audit.jsonl.head"])
def test_a_file_that_is_gone_is_missed(kept, tmp_path, gone):
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    (tmp_path / gone).unlink()
    fault = checked(settings(tmp_path)).fault
    assert fault is not None
    assert "missing" in fault.reason


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (lambda lines: [*lines[:4], lines[4].replace(b'"ms":1.5', b'"ms":1.6'), *lines[5:]], 5, "was changed"),
        (lambda lines: [*lines[:4], *lines[5:]], 5, "line 5 is missing before it"),
        (lambda lines: [*lines[:4], *lines[7:]], 5, "lines 5 to 7 are missing before it"),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], 5, "moved or repeated"),
        (lambda lines: [*lines[:4], b"{}\n", *lines[4:]], 5, "no line of an audit log"),
        (lambda lines: lines[:-1], 0, "the tail was cut: lines 14 to 14 are missing"),
        (lambda lines: [], 0, "the tail was cut: lines 1 to 14 are missing"),
        (lambda lines: lines[3:], 1, "lines 1 to 3 are missing"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], 0, "the tail was cut"),
    ],
)
def test_the_first_bad_line_is_named_with_the_reason(log, change, line, reason):
    path = Path(log.file)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    fault = checked(log).fault
    assert fault is not None
    assert (fault.file, fault.line) == (log.file, line)
    assert reason in fault.reason


def test_a_torn_last_line_beyond_the_head_is_no_change(log):
    with Path(log.file).open("ab") as file:
        file.write(b'{"seq":15,"kind":"call","ti')
    report = checked(log)
    assert (report.fault, report.torn, report.last) == (None, 27, 14)


def test_a_process_goes_on_after_a_torn_line_and_says_so(log):
    with Path(log.file).open("ab") as file:
        file.write(b'{"seq":15,"kind":"call","ti')
    written(log, decision(99))
    report = checked(log)
    assert (report.fault, report.last) == (None, 17)
    torn = Path(log.file).read_bytes().splitlines()
    assert torn[14] == b'{"seq":15,"kind":"call","ti'
    path = Path(log.file)
    path.write_bytes(path.read_bytes().replace(b'{"seq":15,"kind":"call","ti\n', b'{"seq":15,"kind":"call","to\n'))
    assert checked(log).fault is not None


def test_a_last_line_without_its_end_is_whole(log):
    path = Path(log.file)
    path.write_bytes(path.read_bytes()[:-1])
    assert checked(log).fault is None
    written(log, decision(99))
    assert (checked(log).fault, checked(log).last) == (None, 17)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
        lambda data: b"".join(data.splitlines(keepends=True)[:-3]) + b'{"seq":12,"ki',
        lambda data: data + b"garbage\n",
        lambda data: data.replace(b'"kind":"close"', b'"kind":"clone"'),
        lambda data: b"",
    ],
)
def test_a_process_that_goes_on_does_not_cover_up_what_it_finds(log, change):
    path = Path(log.file)
    path.write_bytes(change(path.read_bytes()))
    written(log, decision(99))
    assert checked(log).fault is not None
    written(log, decision(99))
    assert checked(log).fault is not None


def test_nor_that_the_head_was_taken_away(log):
    path = Path(log.file)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))
    Path(f"{log.file}.head").unlink()
    written(log, decision(99))
    fault = checked(log).fault
    assert fault is not None
    assert "the head was missing" in fault.reason


def test_an_old_state_that_is_put_back_shows_only_by_a_line_that_is_known(log, tmp_path_factory):
    old = tmp_path_factory.mktemp("old")
    shutil.copytree(Path(log.file).parent, old, dirs_exist_ok=True)
    written(log, decision(20), decision(21))
    report = checked(log)
    shutil.copytree(old, Path(log.file).parent, dirs_exist_ok=True)
    assert checked(log).fault is None
    fault = checked(log, known=(report.last, report.mac)).fault
    assert fault is not None
    assert "was there before" in fault.reason
    written(log, decision(30), decision(31), decision(32))
    fault = checked(log, known=(report.last, report.mac)).fault
    assert fault is not None
    assert "is not the one that was there before" in fault.reason


def test_a_known_line_that_is_still_there_is_sound(log):
    report = checked(log)
    written(log, decision(20))
    assert checked(log, known=(report.last, report.mac)).fault is None


def test_the_files_that_were_archived_are_missed_unless_that_is_known(kept, tmp_path):
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    first = (tmp_path / "audit.jsonl.000001").read_bytes().count(b"\n") + 1
    (tmp_path / "audit.jsonl.000001").unlink()
    fault = checked(settings(tmp_path)).fault
    assert fault is not None
    assert f"verify from line {first} on" in fault.reason
    assert checked(settings(tmp_path), first=first).fault is None
    assert checked(settings(tmp_path), first=first + 1).fault is not None


def test_another_key_makes_nothing_sound(log):
    assert verify(log.file, keys_of(KEY.encode())).fault is None
    fault = verify(log.file, keys_of(b"another key altogether")).fault
    assert fault is not None
    assert "key" in fault.reason


def test_lines_of_another_log_with_the_same_key_are_found(log, tmp_path_factory):
    other = settings(tmp_path_factory.mktemp("other"))
    written(other, *(decision(number) for number in range(COUNT)))
    shutil.copy(other.file, log.file)
    assert checked(log).fault is not None


def test_no_log_is_an_error_of_its_own(tmp_path):
    with pytest.raises(ConfigError, match="There is no audit log"):
        checked(settings(tmp_path))


def test_a_line_without_end_does_not_fill_the_memory(log):
    with Path(log.file).open("ab") as file:
        file.write(b"x" * 3_000_000)
    assert checked(log).fault is not None


@tried(max_examples=200)
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from(ODD), max_size=4), st.binary(max_size=80) | st.sampled_from(ODD)
)
def test_whatever_the_files_hold_the_answer_is_a_report(tmp_path_factory, lines, head):
    folder = tmp_path_factory.mktemp("odd")
    try:
        (folder / "audit.jsonl").write_bytes(b"\n".join(lines))
        (folder / "audit.jsonl.head").write_bytes(head)
        assert checked(settings(folder)).fault is not None
    finally:
        shutil.rmtree(folder)


@given(key=st.binary(max_size=64), message=st.binary(max_size=300))
def test_the_mac_of_a_line_is_hmac_sha_256(key, message):
    assert primed(key)(message) == primed(key)(message) == hmac.digest(key, message, "sha256")
