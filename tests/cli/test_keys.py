"""`bascule keys` as an operator uses it, and what it must never print or leave behind."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import environment, run, started, url_of, words

SHOP = """
from bascule import Server
app = Server("shop")
@app.tool
def add(a: int, b: int) -> int:
    return a + b
"""
KEY = re.compile(r"bsk_[0-9A-Za-z]{60}")


@pytest.fixture
def keys(tmp_path):
    """Run `bascule keys` in a folder of its own."""

    def keys(*own, **extra):
        return run("keys", *own, cwd=tmp_path, **extra)

    return keys


def made(keys, *own):
    done = keys("create", "--json", *own)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(keys):
    return json.loads(keys("list", "--json").stdout)


def test_a_key_is_printed_once_and_alone(keys, tmp_path):
    done = keys("create", "--name", "ci", "--scopes", "tools:read", "--expires", "90d")
    assert done.returncode == 0
    key = done.stdout.strip()
    assert KEY.fullmatch(key)
    assert "good for tools:read, until 20" in done.stderr
    assert 'keys = "keys.db"' in done.stderr
    assert key not in done.stderr
    for shown in (keys("list"), keys("list", "--json"), keys("list", "--debug")):
        assert "tools:read" in shown.stdout
        assert not KEY.search(shown.stdout + shown.stderr)
    assert all(key.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_json_has_every_field(keys):
    one = made(keys, "--name", "ci", "--scopes", "b:x,a:y", "--scopes", "c", "--expires", "1h")
    assert one["scopes"] == ["a:y", "b:x", "c"]
    assert KEY.fullmatch(one.pop("key"))
    assert listed(keys) == [one]
    assert (one["state"], one["revoked"], one["lastUsed"], one["subject"]) == ("valid", None, None, one["id"])


def test_without_scopes_and_time_a_key_holds_everything_for_ever(keys):
    done = keys("create", "--name", "ops")
    assert "good for everything (--scopes narrows it), for ever" in done.stderr
    (one,) = listed(keys)
    assert (one["scopes"], one["expires"]) == (["*"], None)


def test_rotating_keeps_name_scopes_life_and_subject(keys):
    old = made(keys, "--name", "ci", "--scopes", "tools:read", "--expires", "10d")
    done = keys("rotate", "ci", "--overlap", "2h")
    assert KEY.fullmatch(done.stdout.strip())
    assert f"replaces {old['id']}, which is good until" in done.stderr
    before, after = listed(keys)
    assert (before["id"], before["state"], after["state"]) == (old["id"], "valid", "valid")
    assert before["expires"] < old["expires"]
    assert after["expires"] >= old["expires"]
    for field in ("name", "scopes", "subject"):
        assert before[field] == after[field] == old[field]
    newest = json.loads(keys("rotate", "ci", "--json", "--expires", "never", "--overlap", "0s").stdout)
    assert [one["state"] for one in listed(keys)] == ["valid", "expired", "valid"]
    assert newest["expires"] is None


def test_revoking_by_name_takes_all_of_a_line_and_by_id_one(keys):
    made(keys, "--name", "ci")
    made(keys, "--name", "other")
    newer = json.loads(keys("rotate", "ci", "--json").stdout)
    done = keys("revoke", newer["id"])
    assert done.stdout.startswith(f"Revoked {newer['id']} (ci)")
    assert [one["state"] for one in listed(keys)] == ["valid", "valid", "revoked"]
    assert len(json.loads(keys("revoke", "ci", "--json").stdout)) == 1
    assert [one["state"] for one in listed(keys)] == ["revoked", "valid", "revoked"]
    assert keys("revoke", "ci").stdout == "ci was revoked before\n"
    wrong = keys("rotate", "ci")
    assert (wrong.returncode, "create a new key" in wrong.stderr) == (2, True)


def test_a_slip_in_a_name_is_told_and_a_key_is_not_repeated(keys):
    key = made(keys, "--name", "nightly")["key"]
    assert "did you mean 'nightly'?" in keys("revoke", "nightl").stderr
    done = keys("revoke", key)
    assert done.returncode == 2
    assert "by its id or name" in done.stderr
    assert key not in done.stderr


def test_the_settings_and_the_environment_name_the_database(keys, tmp_path):
    (tmp_path / "bascule.toml").write_text('[auth]\nkeys = "set.db"\n')
    done = keys("create", "--name", "a")
    assert (tmp_path / "set.db").exists()
    assert "bascule.toml" not in done.stderr
    keys("create", "--name", "b", BASCULE_AUTH__KEYS="env.db")
    assert (tmp_path / "env.db").exists()
    keys("create", "--name", "c", "--db", "own.db")
    assert (tmp_path / "own.db").exists()
    (tmp_path / "else.toml").write_text('[auth]\nkeys = "else.db"\n')
    keys("create", "--name", "d", "--config", "else.toml")
    assert (tmp_path / "else.db").exists()


def test_a_damaged_database_is_one_line(keys, tmp_path):
    (tmp_path / "keys.db").write_bytes(b"not a database" * 100)
    (tmp_path / "keys.db.secret").write_text("ab" * 32)
    for own in (["list"], ["create", "--name", "a"], ["revoke", "a"], ["rotate", "a"]):
        done = keys(*own)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "key database" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_key_that_cannot_be_printed_is_taken_back(keys, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words("keys", "create", "--name", "lost"),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    assert (done.returncode, "was revoked" in done.stderr) == (2, True)
    assert [one["state"] for one in listed(keys)] == ["revoked"]


def test_a_key_that_nobody_reads_is_taken_back(keys, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        words("keys", "create", "--name", "lost"), cwd=tmp_path, stdout=writer, env=environment(), capture_output=False
    )
    os.close(writer)
    assert done.returncode == 141
    assert [one["state"] for one in listed(keys)] == ["revoked"]


def test_a_served_file_asks_for_the_keys_of_its_settings(keys, tmp_path):
    (tmp_path / "bascule.toml").write_text('[auth]\nkeys = "keys.db"\n')
    (tmp_path / "shop.py").write_text(SHOP)
    refused = run("serve", "shop.py", "-t", "http", "-p", "0", cwd=tmp_path)
    assert (refused.returncode, "bascule keys create makes one" in refused.stderr) == (2, True)
    key = made(keys, "--name", "ci")
    with started("serve", "shop.py", "-t", "http", "-p", "0", "--host", "0.0.0.0", cwd=tmp_path) as child:
        url = url_of(child).replace("0.0.0.0", "127.0.0.1")
        done = run("call", url, "add", "a=1", "b=2", "--header", f"Authorization=Bearer {key['key']}")
        assert (done.returncode, done.stdout.strip()) == (0, "3")
        bare = run("call", url, "add", "a=1", "b=2")
        assert (bare.returncode, "asks for an API key" in bare.stderr, bare.stderr.count("\n")) == (5, True, 1)
        wrong = run("list", url, "--header", f"X-API-Key={key['key'][:-1]}")
        assert (wrong.returncode, "mistyped or cut short" in wrong.stderr, wrong.stderr.count("\n")) == (5, True, 1)
        assert key["key"][:-1] not in wrong.stderr
    (listed_key,) = listed(keys)
    assert listed_key["lastUsed"] is not None
