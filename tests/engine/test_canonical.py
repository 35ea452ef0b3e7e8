"""Canonical calls: equal where the same is asked for, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from bascule.engine.canonical import Call, call_of, canonical
from bascule.engine.exchange import CLOSED, LOCAL, Exchange, Peer
from bascule.errors import InvalidParams
from bascule.wire.prompts import GetPromptParams
from bascule.wire.requests import ClientCapabilities
from bascule.wire.resources import ReadResourceParams
from bascule.wire.tools import CallToolParams


def exchange(params, method="tools/call"):
    return Exchange(
        method=method,
        request_id=1,
        params=params,
        raw_params=None,
        peer=Peer("x", None, ClientCapabilities()),
        principal=LOCAL,
        channel=CLOSED,
        inquire=None,
    )


def digest(arguments, name="t"):
    given = arguments if arguments is UNSET else Raw(arguments)
    return call_of(exchange(CallToolParams(name=name, arguments=given))).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":2}', b'{ "b" : 2 , "a" : 1.0 }'),
        (b'{"a":"\\u00e9\\n"}', '{"a":"é\\u000a"}'.encode()),
        (b'{"a":100}', b'{"a":1e2}'),
        (b'{"a":1e300}', b'{"a":10e299}'),
        (b'{"a":0}', b'{"a":-0.0}'),
        (b'{"a":2,"a":1}', b'{"a":1}'),
        (b"{}", UNSET),
    ],
)
def test_what_asks_for_the_same_is_equal(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":0.1}', b'{"a":0.10000000000000002}'),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}'),
        ('{"a":"é"}'.encode(), '{"a":"e\u0301"}'.encode()),
    ],
)
def test_what_asks_for_something_else_is_not(one, other):
    assert digest(one) != digest(other)


def test_method_and_name_count():
    arguments = Raw(b'{"a":"1"}')
    tool = call_of(exchange(CallToolParams(name="t", arguments=arguments)))
    prompt = call_of(exchange(GetPromptParams(name="t", arguments={"a": "1"}), "prompts/get"))
    read = call_of(exchange(ReadResourceParams("a://t"), "resources/read"))
    assert (tool.text, tool.name) == (prompt.text, prompt.name)
    assert read == Call("resources/read", "a://t", {})
    assert len({tool.digest, prompt.digest, read.digest, digest(b'{"a":"1"}', "u")}) == 4


def test_arguments_that_cannot_be_read_are_refused():
    for wrong in (b'{"a":"\\udc00"}', b'{"a":1e999}', b'{"a":' + b"1" * 5000 + b"}"):
        with pytest.raises(InvalidParams):
            digest(wrong)


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=8))
def test_every_value_has_an_ascii_text(value):
    assert canonical(value).isascii()
