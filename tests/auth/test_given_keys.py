"""Keys from the environment: how they are read, and what an error must not say."""

import pytest

from bascule.auth.given_keys import checked_scopes, given_keys
from bascule.errors import ConfigError

LONG = "0123456789abcdef0123456789abcdef"


def scopes_of(entry):
    (((key, principal)),) = given_keys([entry]).items()
    return key, set(principal.scopes)


@pytest.mark.parametrize(
    ("entry", "key", "scopes"),
    [
        (LONG, LONG, {"*"}),
        (f"{LONG}=tools:read", LONG, {"tools:read"}),
        (f"{LONG}=tools:read+tools:write", LONG, {"tools:read", "tools:write"}),
        (f"{LONG}==", f"{LONG}==", {"*"}),
        (f"{LONG}===a", f"{LONG}==", {"a"}),
        (f"a+b/{LONG}=x", f"a+b/{LONG}", {"x"}),
    ],
)
def test_keys_and_their_scopes(entry, key, scopes):
    assert scopes_of(entry) == (key, scopes)


def test_a_principal_is_the_same_in_every_process_and_names_no_key():
    (one,) = given_keys([LONG]).values()
    (other,) = given_keys([f"{LONG}=tools:read"]).values()
    assert one.key == other.key
    assert one.key == ("", "api-key", one.subject)
    assert one.subject.startswith("env-")
    assert LONG not in repr(one)
    assert not one.anonymous
    assert next(iter(given_keys([f"{LONG}x"]).values())).key != one.key


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([LONG, "geheim wort"], "API key 2 in MCP_API_KEYS must be"),
        (["schlüssel"], "API key 1"),
        (["k" * 513], "API key 1"),
        ([LONG, f"{LONG}=a"], "API key 2 in MCP_API_KEYS stands there twice"),
        ([f"{LONG}=a++b"], "scopes of API key 1"),
        ([f"{LONG}=a b"], "scopes of API key 1"),
        (["=tools:read"], "API key 1"),
    ],
)
def test_a_wrong_entry_is_told_by_its_place_and_not_by_its_text(entries, words):
    with pytest.raises(ConfigError, match=words) as caught:
        given_keys(entries)
    assert not any(secret in str(caught.value) for secret in (LONG, "geheim", "schlüssel", "kkkk"))


def test_a_short_key_is_warned_of(caplog):
    given_keys([LONG, "short"])
    assert "API key 2" in caplog.text
    assert "short" not in caplog.text


def test_no_scopes_are_all_scopes():
    assert checked_scopes([]) == {"*"}
    with pytest.raises(ConfigError, match="no scope"):
        checked_scopes(["tools read"])
