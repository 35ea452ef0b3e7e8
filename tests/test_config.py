"""Settings: file, environment, order of precedence, and errors that name the key but never a value."""

import pytest

from bascule.config import http_settings, load
from bascule.engine.settings import HttpSettings, Settings
from bascule.errors import ConfigError
from bascule.pipeline import Pipeline


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(tmp_path, text):
    (tmp_path / "bascule.toml").write_text(text)


def test_without_file_and_environment_everything_has_its_default():
    assert load(environment={}) == Settings()
    assert (Settings().http.host, Settings().http.port) == ("127.0.0.1", 3000)
    assert Settings().http.max_body_bytes == 4 * 1024 * 1024


def test_the_file_in_the_working_directory_is_read(tmp_path):
    write(tmp_path, '[http]\nport = 8080\nallowed_hosts = ["a.example"]\n[stdio]\nmax_line_bytes = 10\n')
    settings = load(environment={})
    assert (settings.http.port, settings.http.allowed_hosts, settings.stdio.max_line_bytes) == (
        8080,
        ("a.example",),
        10,
    )


def test_the_environment_wins_over_the_file_and_port_over_both(tmp_path):
    write(tmp_path, "[http]\nport = 8080\nrequest_timeout = 5\n")
    environment = {
        "BASCULE_HTTP__PORT": "9090",
        "BASCULE_HTTP__REQUEST_TIMEOUT": "2.5",
        "BASCULE_HTTP__ALLOWED_ORIGINS": "https://a, https://b",
        "BASCULE_HTTP__ALLOW_UNAUTHENTICATED": "true",
        "BASCULE_OTHER": "ignored",
    }
    settings = load(environment=environment).http
    assert (settings.port, settings.request_timeout) == (9090, 2.5)
    assert settings.allowed_origins == ("https://a", "https://b")
    assert settings.allow_unauthenticated is True
    assert load(environment={**environment, "PORT": "7"}).http.port == 7


def test_the_platforms_redis_wins_over_the_file_and_the_operators_word_over_both(tmp_path):
    path = tmp_path / "bascule.toml"
    path.write_text('[limits]\nredis_url = "redis://file/0"\nfail = "closed"\n')
    ours, theirs = {"BASCULE_LIMITS__REDIS_URL": "redis://ours/0"}, {"REDIS_URL": "redis://theirs/0"}
    for environment, host in [({}, "file"), (theirs, "theirs"), (ours, "ours"), (ours | theirs, "ours")]:
        found = load(str(path), environment).limits
        assert (found.redis_url, found.fail) == (f"redis://{host}/0", "closed")


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="absent.toml"):
        load(str(tmp_path / "absent.toml"), environment={})
    with pytest.raises(ConfigError, match="absent.toml"):
        load(environment={"BASCULE_CONFIG": str(tmp_path / "absent.toml")})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[http]\nprt = 1\n", ["'prt'", "[http]", "'port'"]),
        ("[htp]\nport = 1\n", ["'htp'", "'http'"]),
        ("[http]\nzzzzzzzz = 1\n", ["'zzzzzzzz'", "valid are"]),
        ("[http]\nport = 'secret-value'\n", ["port"]),
        ("[http]\nport = 70000\n", ["port", "65535"]),
        ("[audit]\nfail = 'secret-value'\n", ["fail", "[audit]"]),
        ('[audit]\nfail = "\\nsecret-value"\n', ["fail", "[audit]"]),
        ("[http]\nrequest_timeout = 0\n", ["request_timeout"]),
        ("[http\n", ["not valid TOML"]),
        ("http = 3\n", ["http"]),
    ],
)
def test_a_wrong_file_is_told_by_key_and_without_values(tmp_path, text, words):
    write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(environment={})
    assert all(word in str(caught.value) for word in words)
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BASCULE_HTTP__PRT", "1", ["BASCULE_HTTP__PRT", "'port'"]),
        ("BASCULE_HTP__PORT", "1", ["BASCULE_HTP__PORT", "'http'"]),
        ("BASCULE_HTTP__PORT", "s3cret", ["BASCULE_HTTP__PORT"]),
        ("PORT", "s3cret", ["PORT"]),
        ("BASCULE_AUDIT__FAIL", "s3cret", ["BASCULE_AUDIT__FAIL"]),
    ],
)
def test_a_wrong_variable_is_told_by_name_and_without_its_value(name, value, words):
    with pytest.raises(ConfigError) as caught:
        load(environment={name: value})
    assert all(word in str(caught.value) for word in words)
    assert "s3cret" not in str(caught.value)


def test_arguments_that_are_given_win_and_are_checked():
    assert http_settings(HttpSettings(), host=None, port=None) == HttpSettings()
    assert http_settings(HttpSettings(), port=5).port == 5
    with pytest.raises(ConfigError, match="port"):
        http_settings(HttpSettings(), port=-1)


def test_an_empty_value_in_the_environment_switches_off(tmp_path):
    file = tmp_path / "bascule.toml"
    file.write_text('[limits]\nrate = "5/min"\n[http]\nallowed_hosts = ["a.example"]\n')
    environment = {"BASCULE_LIMITS__RATE": "", "BASCULE_LIMITS__PER_ADDRESS": "", "BASCULE_HTTP__ALLOWED_HOSTS": ""}
    settings = load(str(file), environment)
    assert (settings.limits.rate, settings.limits.per_address, settings.http.allowed_hosts) == ("", "", ())
    assert Pipeline(settings).address_limit is None


def test_keys_in_the_environment_win_over_those_in_the_file(tmp_path):
    write(tmp_path, '[auth]\nkeys = "keys.db"\napi_keys = ["file"]\nmax_failures = 5\n')
    auth = load(environment={"MCP_API_KEYS": "one, two=tools:read+tools:write,"}).auth
    assert (auth.keys, auth.max_failures) == ("keys.db", 5)
    assert auth.api_keys == ("one", "two=tools:read+tools:write")
    assert load(environment={"MCP_API_KEYS": ""}).auth.api_keys == ("file",)
    assert load(environment={"BASCULE_AUTH__API_KEYS": "three"}).auth.api_keys == ("three",)


def test_a_variable_that_should_hold_keys_and_holds_none_is_an_error():
    for value in (",", "  ", " , "):
        with pytest.raises(ConfigError, match="MCP_API_KEYS is set, but there is no key in it"):
            load(environment={"MCP_API_KEYS": value})


def test_no_key_shows_in_what_settings_look_like():
    settings = load(environment={"MCP_API_KEYS": "hidden-one,hidden-two"})
    assert "hidden" not in repr(settings)
    assert "hidden" not in f"{settings.auth}"


def test_an_unknown_setting_of_the_door_is_an_error(tmp_path):
    write(tmp_path, '[auth]\nkey = "keys.db"\n')
    with pytest.raises(ConfigError, match="did you mean 'keys'"):
        load(environment={})
