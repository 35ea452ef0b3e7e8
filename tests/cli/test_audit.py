"""`bascule audit verify`: as a script and as a person use it."""

import json
from pathlib import Path

from tests.cli.command import run
from tests.stores.audit.logs import KEY, checked, decision, settings, written


def test_a_sound_log_gives_code_0_and_the_line_to_keep(tmp_path):
    chosen = settings(tmp_path, key="")
    written(chosen, decision(1), decision(2))
    done = run("audit", "verify", "audit.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("audit.jsonl: 4 lines in 1 file are as written; keep 4:")
    kept = done.stdout.split("keep ")[1].strip()
    written(chosen, decision(3))
    assert run("audit", "verify", "audit.jsonl", "--known", kept, cwd=tmp_path).returncode == 0
    other = f"4:{'0' * 64}"
    done = run("audit", "verify", "audit.jsonl", "--known", kept, "--known", other, cwd=tmp_path)
    assert (done.returncode, "was there before" in done.stdout) == (1, True)


def test_a_changed_log_gives_code_1_and_names_the_line(tmp_path):
    chosen = settings(tmp_path, key="")
    written(chosen, decision(1), decision(2), decision(3))
    path = Path(chosen.file)
    path.write_bytes(path.read_bytes().replace(b'"request":"2"', b'"request":"7"'))
    done = run("audit", "verify", "audit.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("audit.jsonl:3: its MAC does not fit")
    assert "lines 1 to 2 before it are as written" in done.stdout
    found = json.loads(run("audit", "verify", "audit.jsonl", "--json", cwd=tmp_path).stdout)
    assert found["sound"] is False
    assert found["logs"][0]["fault"]["line"] == 3


def test_the_key_comes_from_the_settings_or_a_file(tmp_path):
    written(settings(tmp_path), decision(1))
    assert run("audit", "verify", "audit.jsonl", cwd=tmp_path).returncode == 2
    assert run("audit", "verify", "audit.jsonl", cwd=tmp_path, BASCULE_AUDIT__KEY=KEY).returncode == 0
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    assert run("audit", "verify", "audit.jsonl", "--key-file", "key", cwd=tmp_path).returncode == 0


def test_files_of_several_processes_are_verified_with_the_one_key_and_a_copy_is_found(tmp_path):
    chosen = settings(tmp_path, key="")
    written(chosen, decision(1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "audit.jsonl.key").write_bytes((tmp_path / "audit.jsonl.key").read_bytes())
    (tmp_path / "other" / "audit.jsonl.key").chmod(0o600)
    other = settings(tmp_path / "other", key="")
    written(other, decision(1))
    for name in ("audit.jsonl", "audit.jsonl.head"):
        target = tmp_path / name.replace("audit", "audit.2", 1)
        target.write_bytes((tmp_path / "other" / name).read_bytes())
    assert run("audit", "verify", "audit.jsonl", "audit.2.jsonl", cwd=tmp_path).returncode == 0
    for name in ("audit.jsonl", "audit.jsonl.head"):
        target = tmp_path / name.replace("audit", "audit.2", 1)
        target.write_bytes((tmp_path / name).read_bytes())
    done = run("audit", "verify", "audit.jsonl", "audit.2.jsonl", cwd=tmp_path)
    assert (done.returncode, "is the log that audit.jsonl is too" in done.stdout) == (1, True)


def test_wrong_use_gives_code_2(tmp_path):
    for words in (
        ["verify"],
        ["verify", "absent.jsonl"],
        ["verify", "a", "--known", "x"],
        ["verify", "a", "--first", "x"],
    ):
        done = run("audit", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.startswith("Error: ")


def test_a_log_that_is_hostile_cannot_steer_the_terminal(tmp_path):
    chosen = settings(tmp_path, key="")
    written(chosen, decision(1, feature="\x1b[31m"))
    with Path(chosen.file).open("ab") as file:
        file.write(b"\x1b[2Jgarbage\n")
    done = run("audit", "verify", "audit.jsonl", cwd=tmp_path)
    assert (done.returncode, "\x1b" in done.stdout) == (1, False)
    assert checked(chosen).fault is not None
