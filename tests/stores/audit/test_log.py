"""The log as servers use it: what is put is written, in order, by one process each, whatever the disk does."""

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from bascule.errors import AuditUnavailable, ConfigError
from bascule.stores.audit import ledger as ledger_module
from bascule.stores.audit import log as log_module
from bascule.stores.audit.log import FileAudit
from tests.stores.audit.logs import NOW, calls, checked, decision, lines, settings, written

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Disk:
    """What `os` is to the ledger: a disk that fills up, stands still, or works."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.tried = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, descriptor, data):
        self.tried.set()
        assert self.open.wait(30)
        if self.room is None:
            return os.write(descriptor, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = os.write(descriptor, bytes(data)[: self.room])
        self.room -= done
        return done


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(ledger_module, "os", disk)
    monkeypatch.setattr(log_module, "RETRY", 0.001)
    return disk


def until(told):
    """Wait until something holds; the log's own threads make it hold."""
    for _ in range(20_000):
        if told():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came to hold")


def test_a_line_says_who_called_what_and_what_became_of_it(tmp_path):
    chosen = settings(tmp_path)
    written(
        chosen,
        decision(
            7, outcome="refused", code="rate_limited", guard="rate_limit", trace="4bf92f3577b34da6a3ce929d0e0e4736"
        ),
    )
    (line,) = calls(chosen)
    assert line.pop("mac")
    assert line.pop("digest").startswith("hmac:")
    assert line == {
        "seq": 2,
        "kind": "call",
        "time": "2023-11-14T22:13:20.250000Z",
        "method": "tools/call",
        "feature": "add",
        "type": "tool",
        "tenant": "acme",
        "issuer": "https://issuer",
        "subject": "alice",
        "clientId": "app",
        "outcome": "refused",
        "code": "rate_limited",
        "guard": "rate_limit",
        "ms": 1.5,
        "trace": TRACE,
        "request": "7",
    }


def test_the_files_are_their_owner_s_alone(tmp_path):
    chosen = settings(tmp_path, key="", rotate_bytes=400)
    old = os.umask(0)
    try:
        written(chosen, decision(), decision())
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"audit.jsonl", "audit.jsonl.000001", "audit.jsonl.head", "audit.jsonl.key"} < set(modes)


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be opened"):
        FileAudit(settings(tmp_path)).open()


def test_a_folder_that_is_missing_is_told_by_name(tmp_path):
    with pytest.raises(ConfigError, match="audit.jsonl cannot be opened: No such file"):
        FileAudit(settings(tmp_path / "absent")).open()


def test_another_key_does_not_go_on_with_a_log(tmp_path):
    written(settings(tmp_path), decision())
    with pytest.raises(ConfigError, match="another key"):
        FileAudit(settings(tmp_path, key="quite another key")).open()
    assert checked(settings(tmp_path)).fault is None


def test_eight_threads_lose_nothing_and_files_turn_without_a_gap(tmp_path):
    chosen = settings(tmp_path, rotate_bytes=30_000, queue=100_000)
    log = FileAudit(chosen)
    log.open()

    def work(thread):
        for number in range(500):
            log.admit()
            log.put(decision(f"{thread}:{number}"))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    report = checked(chosen)
    assert report.fault is None
    assert len(report.files) > 3
    told = [line["request"] for line in calls(chosen)]
    assert sorted(told) == sorted(f"{thread}:{number}" for thread in range(8) for number in range(500))
    for thread in range(8):
        own = [int(request.split(":")[1]) for request in told if request.startswith(f"{thread}:")]
        assert own == list(range(500)), "in the order in which they were decided"


def test_a_file_that_is_old_enough_is_followed_by_another(tmp_path):
    now = [NOW]
    chosen = settings(tmp_path, rotate_after=60.0)
    log = FileAudit(chosen, clock=lambda: now[0])
    log.open()
    log.put(decision(1))
    until(lambda: len(calls(chosen)) == 1)
    now[0] += 61
    log.put(decision(2))
    log.close()
    assert checked(chosen).fault is None
    assert len(checked(chosen).files) == 2


def test_processes_beside_each_other_have_a_file_each(tmp_path):
    chosen = settings(tmp_path)
    one, other = FileAudit(chosen), FileAudit(chosen)
    one.open()
    other.open()
    one.put(decision(1))
    other.put(decision(2))
    assert [Path(log.file).name for log in (one, other)] == ["audit.jsonl", "audit.2.jsonl"]
    one.close()
    other.close()
    second = (
        settings(tmp_path, file=None)
        if False
        else chosen.__class__(file=str(tmp_path / "audit.2.jsonl"), key=chosen.key)
    )
    assert [line["request"] for line in calls(chosen)] == ["1"]
    assert [line["request"] for line in calls(second)] == ["2"]
    assert checked(chosen).fault is checked(second).fault is None
    written(chosen, decision(3))
    assert [line["request"] for line in calls(chosen)] == ["1", "3"], "a process goes on where one has ended"


def test_a_full_disk_refuses_calls_and_shows_until_there_is_room(tmp_path, disk):
    chosen = settings(tmp_path)
    log = FileAudit(chosen)
    log.open()
    disk.room = 100
    log.put(decision(1))
    until(lambda: not log.healthy)
    for _ in range(3):
        with pytest.raises(AuditUnavailable) as refused:
            log.admit()
    assert (refused.value.status, refused.value.data["code"]) == (503, "audit_unavailable")
    log.put(decision(2))  # one that was admitted before
    disk.room = None
    until(lambda: log.healthy)
    log.admit()
    log.close()
    report = checked(chosen)
    assert (report.fault, report.refused, report.dropped) == (None, 3, 0)
    assert [line["request"] for line in calls(chosen)] == ["1", "2"], "nothing that was admitted is lost"


def test_where_it_may_fail_open_what_is_missing_is_counted(tmp_path, disk):
    chosen = settings(tmp_path, fail="open", queue=10)
    log = FileAudit(chosen)
    log.open()
    disk.room = 0
    for number in range(50):
        log.admit()
        log.put(decision(number))
        if number == 0:
            until(lambda: not log.healthy)
    disk.room = None
    until(lambda: log.healthy)
    log.close()
    report = checked(chosen)
    assert (report.fault, report.refused) == (None, 0)
    kept = len(calls(chosen))
    assert 10 <= kept < 50
    assert report.dropped == 50 - kept
    (gap,) = [line for line in lines(chosen) if line["kind"] == "gap"]
    assert gap["since"] <= gap["time"]


def test_a_disk_that_stands_still_stops_calls_once_the_queue_is_full(tmp_path, disk):
    chosen = settings(tmp_path, queue=10)
    log = FileAudit(chosen)
    log.open()
    disk.open.clear()
    disk.tried.clear()
    log.put(decision(0))
    assert disk.tried.wait(30)
    for number in range(10):
        log.admit()
        log.put(decision(number))
    assert not log.healthy
    with pytest.raises(AuditUnavailable):
        log.admit()
    disk.open.set()
    until(lambda: log.healthy)
    log.close()
    assert (checked(chosen).fault, len(calls(chosen))) == (None, 11)


def test_a_disk_that_is_full_at_the_end_does_not_hang_and_leaves_a_sound_log(tmp_path, disk, caplog):
    chosen = settings(tmp_path)
    log = FileAudit(chosen)
    log.open()
    log.put(decision(1))
    until(lambda: len(calls(chosen)) == 1 and checked(chosen).fault is None)  # its head is written too
    disk.room = 50
    log.put(decision(2))
    log.close()
    assert "cannot be written" in caplog.text
    assert checked(chosen).fault is None
    disk.room = None
    written(chosen, decision(3))
    assert (checked(chosen).fault, [line["request"] for line in calls(chosen)]) == (None, ["1", "3"])


def test_a_limit_of_the_system_on_the_size_of_files_is_a_full_disk(tmp_path):
    """In a process of its own: the limit is a real one, and the file is told apart from one that was cut."""
    code = f"""
import resource, threading
from pathlib import Path
from bascule.errors import AuditUnavailable
from bascule.stores.audit.log import FileAudit
from tests.stores.audit.logs import decision, settings
log = FileAudit(settings(Path({str(tmp_path)!r})))
log.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
admitted = 0
try:
    while True:
        log.admit()
        log.put(decision(admitted))
        admitted += 1
        threading.Event().wait(0.001)
except AuditUnavailable:
    print(admitted, log.healthy)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    admitted, healthy = done.stdout.split()
    assert healthy == "False"
    report = checked(settings(tmp_path))
    assert (report.fault, len(calls(settings(tmp_path)))) == (None, int(admitted))
    assert report.refused == 1


def test_a_file_that_is_taken_away_while_it_is_written_shows(tmp_path):
    chosen = settings(tmp_path)
    log = FileAudit(chosen)
    log.open()
    log.put(decision(1))
    until(lambda: len(calls(chosen)) == 1)
    Path(chosen.file).unlink()
    log.put(decision(2))
    log.close()
    assert [line["request"] for line in calls(chosen)] == ["2"], "later lines are not lost with it"
    written(chosen, decision(3))
    assert calls(chosen)[-1]["request"] == "3"
    fault = checked(chosen).fault
    assert fault is not None
    assert "missing" in fault.reason
    assert any("moved or removed" in line.get("fault", "") for line in lines(chosen))


def test_a_child_of_the_process_writes_to_a_file_of_its_own(tmp_path):
    code = f"""
import os, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tests.stores.audit.logs import decision, settings
from bascule.errors import AuditUnavailable
from bascule.stores.audit.log import FileAudit
log = FileAudit(settings(Path({str(tmp_path)!r})))
log.open()
log.put(decision(1))
child = os.fork()
if not child:
    assert not log.healthy
    try:
        log.admit()
        os._exit(3)
    except AuditUnavailable:
        pass
    log.open()
    log.put(decision(2))
    log.close()
    os._exit(0)
status = os.waitpid(child, 0)[1]
log.put(decision(3))
log.close()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    first = settings(tmp_path)
    second = replace(first, file=str(tmp_path / "audit.2.jsonl"))
    assert [line["request"] for line in calls(first)] == ["1", "3"]
    assert [line["request"] for line in calls(second)] == ["2"]
    assert checked(first).fault is checked(second).fault is None


def test_a_process_that_ends_without_closing_still_writes(tmp_path):
    code = f"""
from pathlib import Path
from tests.stores.audit.logs import decision, settings
from bascule.stores.audit.log import FileAudit
log = FileAudit(settings(Path({str(tmp_path)!r}), interval=60.0))
log.open()
log.put(decision(1))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(calls(settings(tmp_path))) == 1
    assert checked(settings(tmp_path)).fault is None


def test_it_touches_no_file_before_it_is_opened(tmp_path):
    log = FileAudit(settings(tmp_path, key=""))
    assert log.digest(b"x") == ""
    assert list(tmp_path.iterdir()) == []
    log.open()
    assert log.digest(b"x").startswith("raw:")
    log.close()


def test_it_is_open_as_long_as_one_use_of_it_is(tmp_path):
    log = FileAudit(settings(tmp_path))
    assert not log.healthy
    with pytest.raises(AuditUnavailable):
        log.admit()
    log.open()
    log.open()
    log.close()
    assert log.healthy
    log.put(decision(1))
    log.close()
    assert not log.healthy
    log.open()
    log.put(decision(2))
    log.close()
    assert [line["request"] for line in calls(settings(tmp_path))] == ["1", "2"]
    assert checked(settings(tmp_path)).fault is None


def test_what_callers_send_cannot_stop_the_log(tmp_path):
    chosen = settings(tmp_path, arguments="redacted")
    hostile = [
        decision(1, b'{"a":"\\ud800"}'),
        decision('\ud800\n"mac":"x"}'),
        decision(3, b'{"a":' + b"[" * 120 + b"]" * 120 + b"}"),
        decision(4, b'{"a":1e400,"b":12345678901234567890123456789012345678901234567890}'),
        decision(5, b"{" + b'"a":1,' * 500 + b'"a":2}'),
        decision(6, b"\xff\xfe not json"),
        decision(7, {"name": "\udfff"}, kind="prompt"),
        decision(8, seconds=float("nan")),
        decision(9, trace="\n" * 32),
        decision(10, b'"' + b"\\u0000" * 600 + b'"'),
        decision(11, time=None),  # no caller can do this; were it possible, it must not end the thread
        decision(12),
    ]
    written(chosen, *hostile)
    report = checked(chosen)
    assert (report.fault, report.dropped) == (None, 1)
    assert [line["request"] for line in calls(chosen)][-1] == "12"
    assert len(calls(chosen)) == 11


def test_a_redactor_that_fails_hides_the_arguments_and_keeps_the_line(tmp_path):
    chosen = settings(tmp_path, arguments="redacted")

    def fail(text):
        raise RuntimeError(text)

    written(chosen, decision(1, b'{"note":"hunter2"}'), redactor=fail)
    assert calls(chosen)[0]["arguments"] == "[redacted]"
    assert "hunter2" not in Path(chosen.file).read_text()


def test_digests_are_equal_for_equal_arguments_and_cannot_be_guessed(tmp_path):
    one, other = settings(tmp_path), settings(tmp_path / "other", key="quite another key")
    (tmp_path / "other").mkdir()
    spelled = [b'{"a":1,"b":[1.0,"\\u0061"]}', b' {"b":[1,"a"], "a":1.0 }', b'{"a":2,"b":[1,"a"]}']
    written(one, *(decision(0, arguments) for arguments in spelled))
    written(other, decision(0, spelled[0]))
    first, same, different = [line["digest"] for line in calls(one)]
    assert first == same
    assert different != first
    assert calls(other)[0]["digest"] != first


def test_arguments_can_be_left_out_altogether(tmp_path):
    chosen = settings(tmp_path, arguments="none")
    written(chosen, decision(1))
    assert not {"digest", "arguments"} & set(calls(chosen)[0])


def test_each_batch_is_forced_to_the_disk_where_that_is_wanted(tmp_path, disk, monkeypatch):
    forced = []
    monkeypatch.setattr(disk, "fsync", lambda descriptor: forced.append(descriptor), raising=False)
    written(settings(tmp_path, fsync="batch"), decision(1))
    assert len(forced) >= 2
    forced.clear()
    (tmp_path / "b").mkdir()
    written(settings(tmp_path / "b"), decision(1))
    assert forced == []


def test_turning_to_another_file_goes_on_where_it_failed(tmp_path, disk, monkeypatch):
    chosen = settings(tmp_path, rotate_bytes=500)
    log = FileAudit(chosen)
    log.open()
    fails = [True]

    def opened(path, flags):
        if fails[0] and flags & os.O_EXCL:
            raise OSError(errno.ENOSPC, "No space left on device")
        return open_private(path, flags)

    open_private = ledger_module.open_private
    monkeypatch.setattr(ledger_module, "open_private", opened)
    log.put(decision(1))
    until(lambda: not log.healthy)
    log.put(decision(2))
    until(lambda: len(calls(chosen, present=False)) == 2)
    fails[0] = False
    until(lambda: log.healthy)
    log.put(decision(3))
    log.close()
    assert checked(chosen).fault is None
    assert [line["request"] for line in calls(chosen)] == ["1", "2", "3"]


def test_files_turn_too_where_open_ones_cannot_be_renamed(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "_RENAMES_OPEN_FILES", False)
    renamed, rename = [], Path.rename

    def closed_only(path, target):
        if path in open_files() or not renamed:
            renamed.append(path)
            raise PermissionError(errno.EACCES, "It is open")
        renamed.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", closed_only)
    monkeypatch.setattr(log_module, "RETRY", 0.001)
    chosen = settings(tmp_path, rotate_bytes=600)
    log = FileAudit(chosen)
    log.open()
    for number in range(8):
        log.put(decision(number))
        until(lambda number=number: len(calls(chosen, present=False)) == number + 1)
    log.close()
    report = checked(chosen)
    assert report.fault is None
    assert len(report.files) > 2
    assert len(calls(chosen)) == 8


def open_files():
    found = set()
    for name in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own descriptor is gone by now
            found.add(name.readlink())
    return found


def test_at_its_end_the_log_tells_a_line_to_be_known_later(tmp_path, caplog):
    chosen = settings(tmp_path)
    with caplog.at_level("INFO", "bascule"):
        written(chosen, decision(1))
    number, mac = re.search(r"ends at line (\d+) with ([0-9a-f]{64})", caplog.text).groups()
    assert int(number) == 3
    assert checked(chosen, known=(int(number), mac)).fault is None
