"""The Mcp-* headers: values survive every character, and what disagrees with the body is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.eras.headers import check, decode_value, encode_value
from bascule.errors import HeaderMismatch
from bascule.wire.requests import RequestParams
from bascule.wire.resources import ReadResourceParams
from bascule.wire.tools import CallToolParams

VERSION = "2026-07-28"
GOOD = {"mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": "add"}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_a_header(text):
    encoded = encode_value(text)
    assert encoded.isascii() and encoded.isprintable() and encoded == encoded.strip()
    assert decode_value(encoded, "Mcp-Name") == text


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_the_examples_of_the_specification(value, encoded):
    assert encode_value(value) == encoded


@pytest.mark.parametrize("value", ["=?base64?SGVsbG8?=", "=?base64?SGVs!!!bG8=?=", "=?base64?/w==?="])
def test_a_malformed_base64_value_is_a_mismatch(value):
    with pytest.raises(HeaderMismatch):
        decode_value(value, "Mcp-Name")


def test_a_value_without_the_closing_mark_is_a_literal():
    assert decode_value("=?base64?SGVsbG8=", "Mcp-Name") == "=?base64?SGVsbG8="


def test_agreeing_headers_pass_with_blanks_around_and_encoded():
    check(GOOD, "tools/call", CallToolParams("add"), VERSION)
    check({**GOOD, "mcp-name": "  add\t"}, "tools/call", CallToolParams("add"), VERSION)
    check({**GOOD, "mcp-name": encode_value("größe")}, "tools/call", CallToolParams("größe"), VERSION)
    check({k: v for k, v in GOOD.items() if k != "mcp-name"}, "tools/call", RequestParams(), VERSION)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mcp-method": "tools/list"},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-method": None},
        {"mcp-name": "sub"},
        {"mcp-name": "ADD"},
        {"mcp-name": ""},
        {"mcp-name": None},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-protocol-version": None},
    ],
)
def test_any_disagreement_is_refused(wrong):
    headers = {name: value for name, value in {**GOOD, **wrong}.items() if value is not None}
    with pytest.raises(HeaderMismatch) as caught:
        check(headers, "tools/call", CallToolParams("add"), VERSION)
    assert (caught.value.code, caught.value.status) == (-32020, 400)


def test_a_read_is_named_by_its_uri():
    headers = {**GOOD, "mcp-method": "resources/read", "mcp-name": "cfg://a"}
    check(headers, "resources/read", ReadResourceParams("cfg://a"), VERSION)
    with pytest.raises(HeaderMismatch):
        check(headers, "resources/read", ReadResourceParams("cfg://b"), VERSION)
