"""Redaction: what is secret by its name never stands in the log, in whatever shape it comes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.stores.audit.redaction import REDACTED, Redaction

SECRET = "hunter2-and-more"

SECRET_NAMES = """password Password user_password newPassword PASSWD pwd token access_token accessToken X-Auth-Token
tokens secret client-secret clientSecret api_key apiKey APIKey X-API-Key key keys private_key privateKey authorization
Authorization Proxy-Authorization auth credentials cookie Set-Cookie jwt otp pin cvv passphrase awsSecretAccessKey
bearer sessionId dbpassword mytokenvalue signature""".split()

PLAIN_NAMES = "city units monkey keyboard author pinned name description spinning authority compass".split()


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_value_under_a_secret_name_is_gone(name):
    for value in (SECRET, [SECRET], {"inner": SECRET}, 1234, None):
        assert Redaction().of({name: value}) == {name: REDACTED}


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_other_names_are_left_alone(name):
    assert Redaction().of({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "shape",
    [
        {"headers": {"Authorization": SECRET}},
        {"headers": [{"name": "Authorization", "value": SECRET}]},
        {"headers": [{"key": "X-Api-Key", "value": SECRET, "enabled": True}]},
        {"env": [["API_TOKEN", SECRET]]},
        {"deep": [[[{"a": {"b": [{"password": SECRET}]}}]]]},
        {"body": json.dumps({"password": SECRET})},
        {"body": json.dumps({"again": json.dumps([{"secret": SECRET}])})},
        {"body": "  \n" + json.dumps([{"token": {"value": SECRET}}])},
    ],
)
def test_shapes_that_hide_a_secret_do_not_hide_it_from_redaction(shape):
    assert SECRET not in json.dumps(Redaction().of(shape))


def test_settings_add_names_of_their_own():
    assert Redaction(["matricule", "Patient ID"]).of({"matricule": 1, "patient_id": 2, "name": "x"}) == {
        "matricule": REDACTED,
        "patient_id": REDACTED,
        "name": "x",
    }


def test_the_redactor_sees_every_text_and_every_name():
    redaction = Redaction(redactor=lambda text: text.replace(SECRET, "***"))
    shape = {f"x{SECRET}": [f"a {SECRET}", {"b": f'["{SECRET}"]'}], "n": 1}
    assert SECRET not in json.dumps(redaction.of(shape))
    assert redaction.of(shape)["n"] == 1


def test_what_nests_too_deeply_is_gone_rather_than_looked_through():
    value = {"password": SECRET}
    for _ in range(200):
        value = {"a": value}
    assert SECRET not in json.dumps(Redaction().of(value))
    text = json.dumps({"password": SECRET})
    for _ in range(8):
        text = json.dumps({"a": text})
    assert SECRET not in json.dumps(Redaction().of({"a": text}))


def test_names_that_callers_make_up_do_not_fill_the_memory():
    redaction = Redaction()
    for number in range(5000):
        redaction.is_secret(f"name{number}")
    assert len(redaction._known) <= 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(JSON, st.sampled_from(SECRET_NAMES))
def test_wherever_it_stands_a_secret_is_found_and_nothing_fails(value, name):
    assert SECRET not in json.dumps(Redaction().of([value, {"x": [{name: [value, SECRET]}]}]))
