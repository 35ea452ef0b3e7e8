"""The key: a setting, or a file that is written once and that only its owner may read."""

import stat
import threading

import pytest

from bascule.errors import ConfigError
from bascule.stores.audit.chain import keys_of
from bascule.stores.audit.key import keys_from
from tests.stores.audit.logs import checked, decision, settings, written


def test_a_key_is_made_once_and_kept_for_its_owner_alone(tmp_path):
    chosen = settings(tmp_path, key="")
    first = keys_from(chosen, make=True)
    path = tmp_path / "audit.jsonl.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys_from(chosen, make=True) == first == keys_of(path.read_text().strip().encode())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_processes_that_begin_at_once_agree_on_one(tmp_path):
    chosen, found, ready = settings(tmp_path, key=""), [], threading.Barrier(8)

    def work():
        ready.wait()
        found.append(keys_from(chosen, make=True))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8


def test_who_verifies_makes_no_key(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        keys_from(settings(tmp_path, key=""), make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_can_read_is_refused(tmp_path):
    chosen = settings(tmp_path, key="")
    keys_from(chosen, make=True)
    (tmp_path / "audit.jsonl.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        keys_from(chosen, make=True)


@pytest.mark.parametrize("text", ["", "short", "\n\n"])
def test_a_key_that_is_short_is_refused(tmp_path, text):
    (tmp_path / "own").write_text(text)
    (tmp_path / "own").chmod(0o600)
    with pytest.raises(ConfigError, match="at least 16"):
        keys_from(settings(tmp_path, key="", key_file=str(tmp_path / "own")), make=True)
    with pytest.raises(ConfigError, match="at least 16") as caught:
        keys_from(settings(tmp_path, key="hunter2"), make=True)
    assert "hunter2" not in str(caught.value)


def test_a_key_file_can_lie_elsewhere(tmp_path):
    (tmp_path / "keys").mkdir()
    chosen = settings(tmp_path, key="", key_file=str(tmp_path / "keys" / "own"))
    written(chosen, decision())
    assert (tmp_path / "keys" / "own").exists()
    assert not (tmp_path / "audit.jsonl.key").exists()
    assert checked(chosen).fault is None


def test_settings_do_not_show_the_key(tmp_path):
    assert "hunter2" not in repr(settings(tmp_path, key="hunter2"))
