"""The doorway: what is let in, what is refused with which code, and what leaves."""

import time

import msgspec
import pytest

from bascule.errors import InvalidRequest, MCPError, ParseError
from bascule.wire.content import TextContent
from bascule.wire.jsonrpc import (
    MAX_DEPTH,
    Request,
    Response,
    decode,
    encode,
    error_response,
    is_batch,
    split_batch,
)
from bascule.wire.tools import CallToolResult

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


def nested(depth):
    return b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b'{"jsonrpc":"2.0",',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":Infinity}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\xff\xfe"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\ud800 alone"}',
        nested(1000),
        nested(100_000),
    ],
)
def test_what_is_not_json_is_a_parse_error(data):
    with pytest.raises(ParseError) as caught:
        decode(data)
    assert caught.value.code == -32700


@pytest.mark.parametrize(
    "data",
    [
        b"1",
        b'"text"',
        b"null",
        b"{}",
        b'{"jsonrpc":"1.0","id":1,"method":"x"}',
        b'{"id":1,"method":"x"}',
        b'{"jsonrpc":"2.0","id":null,"method":"x"}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"x"}',
        b'{"jsonrpc":"2.0","id":true,"method":"x"}',
        b'{"jsonrpc":"2.0","id":[1],"method":"x"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"x"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}',
    ],
)
def test_json_that_is_no_message_is_an_invalid_request(data):
    with pytest.raises(InvalidRequest) as caught:
        decode(data)
    assert caught.value.code == -32600


def test_an_invalid_request_is_answered_with_the_id_that_could_be_read():
    with pytest.raises(MCPError) as caught:
        decode(b'{"jsonrpc":"2.0","id":"seven","method":7}')
    assert encode(error_response(caught.value)).endswith(b'"id":"seven"}')


def test_an_error_without_an_id_leaves_the_id_out():
    assert b'"id"' not in encode(error_response(ParseError("Parse error")))


def test_nesting_up_to_the_limit_is_let_in_and_brackets_in_strings_do_not_count():
    assert decode(nested(MAX_DEPTH - 2)).method == "x"
    decode(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"' + b"[" * 5000 + b'\\"{"}}')
    with pytest.raises(ParseError):
        decode(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 129 + b'"' + b'\\"' * 500_000,
        b"[" * 129 + b'"' * 1_000_001,
        b"[" * 129 + b'"' + b"\\" * 1_000_001,
        b'{"a":"' + b"[" * 1_000_000 + b'"',
        b"{" * 1_000_000,
    ],
    ids=["escaped quotes", "quotes", "backslashes", "brackets in a string", "brackets"],
)
def test_the_doorway_looks_at_no_byte_twice(data):
    before = time.process_time()
    with pytest.raises(MCPError):
        decode(data)
    assert time.process_time() - before < 2, "quadratic would take minutes"


def test_of_duplicate_keys_the_last_wins_as_in_every_common_parser():
    assert decode(b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}').method == "b"


def test_a_long_integer_in_the_parameters_passes_the_doorway_unread():
    frame = decode(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"9" * 5000 + b"}}")
    assert len(bytes(frame.params)) > 5000


def test_batches_are_recognised_and_split_without_being_decoded():
    assert is_batch(b" \r\n[" + PING + b"]")
    assert not is_batch(PING)
    assert split_batch(b"[" + PING + b", " + PING + b"]") == [PING, PING]


@pytest.mark.parametrize("data", [b"[]", b"[", b"[1,]"])
def test_a_batch_that_is_empty_or_broken_is_refused(data):
    with pytest.raises(MCPError):
        split_batch(data)


def test_a_message_leaves_on_one_line():
    text = encode(Response(1, CallToolResult(content=[TextContent("a\nb\r\u2028")])))
    assert b"\n" not in text
    assert msgspec.json.decode(text)["result"]["content"][0]["text"] == "a\nb\r\u2028"


def test_lone_surrogates_are_mended_on_the_way_out_and_nothing_else_is_changed():
    result = CallToolResult(content=[TextContent("a\ud800b")], meta={"k\udc00": [1, None, "x"]})
    found = msgspec.json.decode(encode(Response("id", result)))
    assert found["result"]["content"] == [{"type": "text", "text": "a\ufffdb"}]
    assert found["result"]["_meta"] == {"k\ufffd": [1, None, "x"]}
    assert found["jsonrpc"] == "2.0"
    assert "structuredContent" not in found["result"]


def test_nan_leaves_as_null():
    assert encode(Request("n", {"a": float("nan")})) == b'{"jsonrpc":"2.0","method":"n","params":{"a":null}}'
