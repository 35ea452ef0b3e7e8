"""`bascule policy explain`: what holds for each feature, who said so, and who may call it."""

import json
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.cli.policies import cities, ran


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return cities(tmp_path)


def explained(place: Path, *words: str) -> dict:
    done = run("policy", "explain", "cities.py", "--json", *words, cwd=place)
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_it_tells_what_holds_and_who_said_so(place):
    done = run("policy", "explain", "cities.py", "--tool", "drop_city", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["tool", "drop_city"],
        ["scopes", "tools:write  the declaration"],
        ["rate", '5/min        [policy."drop_*"]'],
        ["timeout", "30 s         default"],
        ["confirm", "server       the declaration"],
        ["max_result_bytes", "1048576      default"],
        ["guards", "telemetry, audit, sanitise, scopes, load, rate_limit, repeats, confirm, timeout"],
    ]


def test_guards_stand_in_their_order_with_the_authors_among_them_and_without_those_that_do_nothing(place):
    found = explained(place)
    assert found["export"]["guards"][-3:] == ["office_hours", "rate_limit", "repeats"]
    assert "repeats" not in found["describe"]["guards"]
    assert "scopes" not in found["often"]["guards"]


def test_the_default_rate_is_told_where_no_other_is_asked_for(place):
    with (place / "bascule.toml").open("a") as settings:
        settings.write('[limits]\nrate = "7/h"\n')
    found = explained(place)
    assert (found["weather"]["rate"], found["weather"]["defaultRate"]) == ([], [{"limit": 7, "per": 3600.0}])
    assert (found["often"]["rate"], found["often"]["defaultRate"]) == ([{"limit": 2, "per": 60.0}], [])
    text = run("policy", "explain", "cities.py", "--tool", "weather", cwd=place).stdout
    assert "7/h         [limits] rate, not for the user at this machine" in text


def test_a_server_without_a_default_rate_says_so(tmp_path):
    place = cities(tmp_path, '[limits]\nrate = ""\n')
    assert "no limit    [limits] rate\n" in run("policy", "explain", "cities.py", "--tool", "weather", cwd=place).stdout
    assert "rate_limit" not in explained(place)["weather"]["guards"]


@pytest.mark.parametrize(
    ("words", "may", "may_not"),
    [
        (["--scopes", "tools:read"], {"weather"}, {"drop_city"}),
        (["--scopes", ""], {"often"}, {"weather", "drop_city"}),
        (["--principal", "local"], {"weather", "drop_city"}, set()),
        (["--principal", "anonymous"], {"often"}, {"weather", "drop_city"}),
    ],
)
def test_it_says_who_may_call(place, words, may, may_not):
    found = explained(place, *words)
    assert {name for name in may | may_not if found[name]["allowed"]} == may
    assert all("is missing" in found[name]["reason"] for name in may_not)


def test_a_key_is_known_by_its_name_or_id_and_its_scopes_decide(place):
    made = run("keys", "create", "--name", "ci", "--scopes", "tools:read", "--json", cwd=place)
    key = json.loads(made.stdout)
    for who in ("ci", key["id"]):
        found = explained(place, "--principal", who, "--keys", "keys.db")
        assert (found["weather"]["allowed"], found["drop_city"]["allowed"]) == (True, False)
    with (place / "bascule.toml").open("a") as settings:
        settings.write('[auth]\nkeys = "keys.db"\n')
    done = run("policy", "explain", "cities.py", "--tool", "weather", "--principal", "ci", cwd=place)
    assert "ci (tools:read)   may call it" in done.stdout
    run("keys", "revoke", "ci", cwd=place)
    done = run("policy", "explain", "cities.py", "--principal", "ci", cwd=place)
    assert (done.returncode, "lets nobody in" in done.stderr) == (2, True)
    done = run("policy", "explain", "cities.py", "--principal", key["key"], cwd=place)
    assert (done.returncode, key["key"] in done.stderr) == (2, False)


def test_after_a_rotation_the_newest_key_of_a_name_counts(place):
    run("keys", "create", "--name", "ci", "--scopes", "tools:read", cwd=place)
    run("keys", "rotate", "ci", "--overlap", "0s", cwd=place)
    assert explained(place, "--principal", "ci", "--keys", "keys.db")["weather"]["allowed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--principal", "locl"], "did you mean 'local'?"),
        (["--principal", "ci", "--keys", "absent.db"], "There is no key database absent.db"),
        (["--principal", "local", "--scopes", "a"], "not both"),
        (["--tool", "wether"], "did you mean 'weather'?"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_a_hint(place, words, said):
    done = run("policy", "explain", "cities.py", *words, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_pattern_that_fits_nothing_is_remarked(place):
    done = run("policy", "explain", "cities.py", cwd=place)
    assert '[policy."tool:legacy*"] is for nothing that this server has' in done.stderr


def test_explaining_runs_nothing_and_leaves_nothing_behind(place):
    before = {file.name for file in place.iterdir()}
    explained(place, "--principal", "local")
    assert ran(place) == []
    assert {file.name for file in place.iterdir()} - {"__pycache__"} == before
