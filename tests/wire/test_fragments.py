"""Of a message that cannot be read, what stands at its top is believed, and nothing that it carries."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.wire.fragments import Fragment, fragment

HEAD = b'{"jsonrpc":"2.0","id":7,'
NESTED = b'"result":{"structuredContent":{"id":8,"jsonrpc":"2.0"},"content":[{"id":9}]'


@pytest.mark.parametrize(
    ("data", "answers"),
    [
        (HEAD + b'"result":{"a":NaN}}', 7),
        (HEAD + b'"result":{"a":"\xff\xfe"}}', 7),
        (HEAD + b'"result":{"a":"cut', 7),
        (HEAD + b'"res', 7),
        (HEAD + NESTED, 7),
        (HEAD + b'"result":' + b"[" * 5000, 7),
        (b'{"result":{"a":NaN},"jsonrpc":"2.0","id":7}', 7),
        (b'loading... [ok] {"jsonrpc":"2.0", "id" : "a\\"b" ,"result":{}}', 'a"b'),
        (b'{"id":-7,"result":{}} trailing', -7),
        (b'{"jsonrpc":"1.0","id":7,"result":{}}', 7),
    ],
)
def test_the_id_of_an_answer_is_found_where_it_stands_at_the_top(data: bytes, answers: object) -> None:
    assert fragment(data) == Fragment(False, answers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b'{"id":7}',
        b'said {"id": 7, "name": "x"}',
        b'"{\\"jsonrpc\\":\\"2.0\\",\\"id\\":7,\\"result\\":{}}"',
        b'{"jsonrpc":"2.0",' + NESTED,
        b'{"jsonrpc":"2.0","result":{"text":"}},\\"id\\":7,',
        b'{"jsonrpc":"2.0","result":{"text":"}}, \\\\\\"id\\":7, \\',
        b'[{"jsonrpc":"2.0","id":7,"result":NaN}]',
        b'{"jsonrpc":"2.0","id":7,"id":8,"result":NaN}',
        HEAD + b'"result":{}}' + HEAD.replace(b"7", b"8") + b'"result":{}}',
        b'{"jsonrpc":"2.0","id":7',
        b'{"jsonrpc":"2.0","id":7.5,"result":NaN}',
        b'{"jsonrpc":"2.0","id":true,"result":NaN}',
        b'{"jsonrpc":"2.0","id":null,"result":NaN}',
        b'{"jsonrpc":"2.0","id":' + b"7" * 400 + b',"result":NaN}',
        b'{"jsonrpc":"2.0","id":"\xff","result":NaN}',
    ],
)
def test_what_is_not_certain_is_not_said(data: bytes) -> None:
    assert fragment(data).answers is None


@pytest.mark.parametrize("data", [HEAD + b'"method":"x","params":NaN}', b'{"method":"x","id":7,"result":NaN}'])
def test_a_question_is_no_answer_whatever_its_id(data: bytes) -> None:
    assert fragment(data) == Fragment(True, None)


@given(st.binary(max_size=300), st.text(max_size=30))
def test_text_that_a_result_carries_decides_nothing(tail: bytes, text: str) -> None:
    carried = text.replace("\\", "\\\\").replace('"', '\\"').encode()
    data = b'{"jsonrpc":"2.0","result":{"text":"' + carried
    assert fragment(data) == Fragment(False, None)
    fragment(data + tail)


names = st.sampled_from(["id", "jsonrpc", "method", "result", 'a"b', "\\\\"])
values = st.recursive(
    st.sampled_from([None, 8, "8", '"id":8,', '"}]},"id":8,"jsonrpc":"2.0"', "\\\\", '\\\\"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(
    values, st.permutations(["jsonrpc", "id", "result"]), st.integers(0, 500), st.sampled_from([b"", b"{", b"}", b"]"])
)
def test_no_answer_that_is_cut_or_goes_on_names_another_id(value: Any, order: list[str], end: int, more: bytes) -> None:
    whole = {"jsonrpc": "2.0", "id": 7, "result": {"structuredContent": value}}
    data = json.dumps({name: whole[name] for name in order}).encode()
    assert fragment(data).answers == 7
    assert fragment(data.replace(b"null", b"NaN")).answers == 7
    assert fragment(data[:end]).answers in {7, None}
    assert fragment(data + more).answers == 7


@pytest.mark.parametrize("unit", [b"{", b'"', b'\\"', b'"\\', b'"id":', b'{"id":1,', b" ", b'"a'])
def test_no_text_takes_long(unit: bytes) -> None:
    data = b'{"jsonrpc":' + unit * 1_000_000
    begun = time.process_time()
    fragment(data)
    assert time.process_time() - begun < 1.0
