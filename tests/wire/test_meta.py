"""`_meta`: which names an author may use, and that it travels wherever the schemas have it and nowhere unasked."""

import msgspec
import pytest

from bascule.wire.inputs import CreateMessageParams, ElicitParams, ListRootsResult
from bascule.wire.meta import fault_in
from bascule.wire.notices import CancelledParams, LogMessageParams, ProgressParams


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a-b_c.d9",
        "traceparent",
        "com.example/",
        "com.example/a",
        "com.example.mcp/a",
        "mcp/a",
        "x-1.y-2/A",
    ],
)
def test_names_of_an_authors_own_are_good(name):
    assert fault_in({name: 1}) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must be like"),
        ("a b", "must be like"),
        ("-a", "must be like"),
        ("a.", "must be like"),
        ("ä", "must be like"),
        ("a\n", "must be like"),
        ("/a", "must be like"),
        ("1com.example/a", "must be like"),
        ("com..example/a", "must be like"),
        ("com.example-/a", "must be like"),
        ("com.example/a/b", "must be like"),
        (5, "must be like"),
        ("progressToken", "protocol's own"),
        ("io.modelcontextprotocol/subscriptionId", "protocol's own"),
        ("dev.mcp/a", "protocol's own"),
        ("com.mcp.tools/a", "protocol's own"),
    ],
)
def test_names_that_are_malformed_or_reserved_are_named(name, words):
    fault = fault_in({"com.example/good": 1, name: 1})
    assert words in fault
    assert repr(name) in fault


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (ProgressParams, b'{"progressToken":1,"progress":0.5'),
        (LogMessageParams, b'{"level":"info","data":1'),
        (CancelledParams, b'{"requestId":1'),
        (ElicitParams, b'{"message":"a","mode":"form"'),
        (CreateMessageParams, b'{"messages":[],"maxTokens":1'),
        (ListRootsResult, b'{"roots":[]'),
    ],
)
def test_meta_is_read_and_written_where_there_is_one(shape, text):
    for whole in (text + b"}", text + b',"_meta":{"com.example/a":[1]}}'):
        assert msgspec.json.encode(msgspec.json.decode(whole, type=shape)) == whole
