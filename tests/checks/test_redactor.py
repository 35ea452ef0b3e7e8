"""Redaction: known formats and known values are hidden, in every spelling; ordinary text is left alone."""

import base64
import html
import json
import threading
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bascule import ConfigError, Redactor

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def filler(size: int) -> str:
    return (LETTERS * 8)[7 : 7 + size]


# Put together here, so that no scanner takes this file for a leak.
KEYS = {
    "aws_key": "AKIA" + "IOSFODNN7ABCDEFG",
    "github_token": "ghp" + "_" + filler(36),
    "gitlab_token": "glpat" + "-" + filler(20),
    "slack_token": "xoxb" + "-1234567890-" + filler(24),
    "stripe_key": "sk" + "_live_" + filler(24),
    "anthropic_key": "sk-ant" + "-api03-" + filler(93) + "AA",
    "openai_key": "sk" + "-proj-" + filler(48),
    "google_key": "AI" + "za" + filler(35),
    "bascule_key": "bsk" + "_" + filler(32),
    "npm_token": "npm" + "_" + filler(36),
    "pypi_token": "pypi" + "-AgEIcHlwaS5vcmc" + filler(60),
    "huggingface_token": "hf" + "_" + filler(34),
    "sendgrid_key": "SG" + "." + filler(22) + "." + filler(43),
    "digitalocean_token": "dop" + "_v1_" + "0a" * 32,
    "shopify_token": "shp" + "at_" + "0a" * 16,
    "vault_token": "hvs" + "." + filler(24),
    "databricks_token": "dapi" + "0a" * 16,
    "grafana_token": "glsa" + "_" + filler(32) + "_0a0a0a0a",
    "telegram_token": "123456789" + ":AA" + filler(33),
    "azure_secret": "abc8" + "Q~" + filler(34),
    "age_key": "AGE-SECRET" + "-KEY-1" + "Q" * 58,
    "jwt": "eyJ" + filler(20) + ".eyJ" + filler(30) + "." + filler(43),
}

FRAMED = [
    ("Authorization: Bearer {}", "bearer_token", filler(30)),
    ("curl -H 'authorization: bearer {}'", "bearer_token", filler(30)),
    ('{{"Authorization": "Basic {}"}}', "basic_credentials", base64.b64encode(b"user:pass word").decode()),
    ("postgresql://ann:{}@db.example:5432/x", "password", "p!ss:w#rd"),
    ("postgresql://ann:{}@db.example/x", "password", "p@ss@w"),
    ("redis://:{}@cache:6379/0", "password", "hunter2"),
    ("https://ann:{}@example.com/", "password", "hunter2"),
    ("Server=db;Database=x;Password={};Encrypt=yes", "password", "two words"),
    ("host=db user=ann password={} dbname=x", "password", "hunter2"),
    ("password={} host=db", "password", "hunter2"),
    ("https://x.test/a?access_token={}&b=1", "url_parameter", filler(16)),
    ("https://x.test/a?b=1&X-Amz-Signature={}", "url_parameter", "0a" * 32),
    ("https://hooks.slack.com/services/{}", "slack_webhook", "T00000000/B00000000/" + filler(24)),
    ("aws_secret_access_key = {}", "aws_secret", filler(38) + "/+"),
    ('{{"SecretAccessKey": "{}"}}', "aws_secret", filler(40)),
    ("AccountName=a;AccountKey={};", "azure_key", filler(86) + "=="),
    ("DATABASE_PASSWORD={}\nX=1", "environment", filler(12)),
    ("a=1\nexport STRIPE_API_KEY='{}'", "environment", filler(20)),
]

HONEST = [
    "commit 3f2a9c1d5e7b8a6f4c3d2e1f0a9b8c7d6e5f4a3b merged",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "password = getpass.getpass()",
    "The password must be at least 8 characters; tokens expire after a day.",
    "see https://example.com:8443/path@v2?key=1",
    "mailto:ann@example.com, git@github.com:a/b.git",
    "The bearer of good news came at noon, and a basic question arose.",
    "ask-me-anything-about-python, task-list, risk-free",
    "API_KEY=$KEY TOKEN=",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
]


@pytest.mark.parametrize(("kind", "secret"), KEYS.items())
@pytest.mark.parametrize("frame", ["{}", "key: {}.", '{{"k": "{}"}}', "a={}&b", "<{}>", "\n{}\n", "({}),{}"])
def test_a_key_is_known_by_its_format(kind, secret, frame):
    text = frame.format(secret, secret)
    redacted = Redactor().redact(text)
    assert secret[8:] not in redacted.text
    assert f"[redacted:{kind}]" in redacted.text
    assert redacted.found[kind] == text.count(secret)


@pytest.mark.parametrize(("frame", "kind", "secret"), FRAMED)
def test_a_secret_is_known_by_where_it_stands_and_the_rest_stays(frame, kind, secret):
    redacted = Redactor().redact(frame.format(secret))
    assert redacted.text == frame.format(f"[redacted:{kind}]")
    assert redacted.found == {kind: 1}


@pytest.mark.parametrize("name", ["RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\\n"])
def test_a_private_key_is_hidden_whole_also_when_its_end_is_missing(name, line_end):
    begin, end = f"-----BEGIN {name}PRIVATE" + " KEY-----", f"-----END {name}PRIVATE" + " KEY-----"
    body = line_end.join(["", "DEK-Info: AES-256-CBC,0A", "", filler(64), filler(64), ""])
    assert Redactor().redact(f"a {begin}{body}{end} b").text == "a [redacted:private_key] b"
    assert Redactor().redact(f"a {begin}{body}").text == "a [redacted:private_key]"


@pytest.mark.parametrize("text", HONEST)
def test_ordinary_text_is_left_alone(text):
    redacted = Redactor(["correct horse battery"]).redact(text)
    assert (redacted.text, redacted.found) == (text, {})


SECRETS = st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=8, max_size=40)


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_a_registered_value_is_hidden_in_every_spelling(secret, before, after):
    assume(len(secret.strip()) >= 8)
    redactor = Redactor([secret])
    data = secret.encode()
    spellings = [
        secret,
        data.hex(),
        data.hex().upper(),
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        json.dumps(json.dumps(secret)),
        json.dumps(secret).replace("/", "\\/"),
        html.escape(secret),
    ]
    quoted = [quote(secret, safe=""), quote(secret), quote_plus(secret)]
    for spelled in [*spellings, *quoted]:
        redacted = redactor.redact(f"x {spelled} y")
        assert "[redacted:secret]" in redacted.text
        assert redacted.found["secret"] >= 1
        assert spelled.strip('"') not in redacted.text
    inner = base64.b64encode(before + data + after).decode()
    assert "[redacted:secret]" in redactor.redact(inner).text


def test_a_registered_value_has_a_kind_of_its_own():
    redactor = Redactor()
    redactor.register("  correct horse\n", kind="db_password")
    redacted = redactor.redact("correct horse and correct horse")
    assert redacted.text == "[redacted:db_password] and [redacted:db_password]"
    assert redacted.found == {"db_password": 2}


def test_a_value_that_holds_another_is_hidden_whole():
    redactor = Redactor(["correct horse", "correct horse battery staple"])
    redacted = redactor.redact("correct horse battery staple, correct horse")
    assert redacted.text == "[redacted:secret], [redacted:secret]"
    assert redacted.found == {"secret": 2}


@pytest.mark.parametrize("value", ["", "hunter2", "   tiny   "])
def test_a_short_value_is_refused_and_not_repeated(value):
    with pytest.raises(ConfigError, match="at least 8 characters") as caught:
        Redactor().register(value)
    assert not value.strip() or value.strip() not in str(caught.value)


@pytest.mark.parametrize("kind", ["", "Two words", "]x", "a" * 50])
def test_a_kind_is_a_word(kind):
    with pytest.raises(ConfigError, match="kind"):
        Redactor().register("correct horse", kind=kind)


def test_a_redactor_shows_no_secret():
    redactor = Redactor(["correct horse"])
    assert "correct" not in repr(redactor) + str(redactor)


PIECES = [*KEYS.values(), *(frame.format(secret) for frame, _, secret in FRAMED), *HONEST, "correct horse", " ", "\n"]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=12).map(" ".join)


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_a_second_time_finds_nothing(text):
    redactor = Redactor(["correct horse"])
    once = redactor.redact(text)
    assert "correct horse" not in once.text
    assert redactor.redact(once.text).text == once.text


def test_lone_surrogates_are_no_hindrance():
    redactor = Redactor(["correct\ud800horse"])
    assert redactor.redact("\udfff correct\ud800horse").text == "\udfff [redacted:secret]"


N = 20_000
BOMBS = {
    "JWT beginnings": "eyJ" * N,
    "JWT parts": "eyJaaaaaaaa.eyJaaaaa." * N,
    "JWT runs": "eyJ" + "a" * N * 5,
    "key blocks": ("-----BEGIN RSA PRIVATE" + " KEY-----") * (N // 4),
    "key block headers": "-----BEGIN " + "A " * N,
    "dashes": "-" * N * 4 + "PRIVATE" + " KEY",
    "URLs": "://" * N,
    "URL users": "://a:" * N,
    "URL passwords": "://a:" + "b" * N * 4,
    "at signs": "://a:" + "@" * N,
    "bearer": "bearer " * N,
    "bearer blanks": "bearer" + " " * N,
    "libpq": "host=a " * N,
    "libpq words": "host=a " + "b=c " * N + "password",
    "ADO": ";password=" * N,
    "passwords": "password=a " * N,
    "environment": "A_" * N + "TOKEN=",
    "environment lines": "A_B_C_TOKEN\n" * N,
    "parameters": "?token=" * N,
    "AWS": "AKIA" * N,
    "AWS secrets": "aws_secret_key=" * N,
    "Slack": "xoxb-" * N,
    "OpenAI": "sk-" * N,
    "OpenAI run": "sk-" + "a" * N * 4,
    "digits": "1" * N + ":AA",
    "Azure": "abc8Q~" * N,
    "value": "correct hors" * N,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_time_is_linear(bomb):
    redactor = Redactor(["correct horse"])

    def seconds(text):
        began = time.process_time()
        redactor.redact(text)
        return time.process_time() - began

    seconds(bomb[:100])
    half = min(seconds(bomb[: len(bomb) // 2]) for _ in range(3))
    whole = min(seconds(bomb) for _ in range(3))
    assert whole < 3.2 * half + 0.02
    assert whole < 6e-6 * len(bomb) + 0.05


def test_values_registered_by_many_threads_are_all_known():
    redactor = Redactor()
    values = [f"secret-value-{number:04}" for number in range(200)]
    threads = [
        threading.Thread(target=lambda part=part: [redactor.register(value) for value in part])
        for part in (values[:100], values[100:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "secret-value" not in redactor.redact(" ".join(values)).text
