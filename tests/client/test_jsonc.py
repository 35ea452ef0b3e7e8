"""JSON as editors write it: comments and trailing commas pass, all else that is no JSON is refused with its place."""

import json
import time

import pytest

from bascule.client.jsonc import parse
from bascule.errors import ConfigError

GOOD = {
    '{"a": 1}': {"a": 1},
    '// first\n{"a": 1, // one\n "b": [1, 2,], /* two\n lines */ }\n// last': {"a": 1, "b": [1, 2]},
    '{"url": "http://x//y", "c": "/* no comment */", "d": "a,]"}': {
        "url": "http://x//y",
        "c": "/* no comment */",
        "d": "a,]",
    },
    '{"a": "quote \\" // still text", }': {"a": 'quote " // still text'},
    '{"a": "backslash \\\\", /**/ "b": 2}': {"a": "backslash \\", "b": 2},
    "[1, /* x */ // y\n ]": [1],
    '{"ä": "\\u00fc", "x": [{},],}': {"ä": "ü", "x": [{}]},
}

BAD = {
    "": "line 1, column 1",
    "mcpServers: {}": "line 1, column 1",
    '{"a": 1,,}': "line 1, column 9",
    "[,]": "line 1, column 2",
    "{,}": "line 1, column 2",
    "[1 2]": "line 1, column 4",
    "{'a': 1}": "line 1, column 2",
    '{\n "a": /* x\n */ tru }': "line 3, column 5",
    '{"a": 1} {"b": 2}': "line 1, column 10",
    '{"a": "b': "line 1, column 7",
    '{"a": 1} /* open': "in line 1 has no end",
    "[1]\n/*/": "in line 2 has no end",
    "[NaN]": "NaN is no JSON value",
    "[-Infinity]": "-Infinity is no JSON value",
    "[" * 100_000: "nested too deeply",
    "9" * 5000: "too many digits",
    '{"a": "line\nbreak"}': "line 1, column 12",
    "# a: 1": "line 1, column 1",
}


@pytest.mark.parametrize("text", GOOD)
def test_what_editors_allow_is_read(text):
    assert parse(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=[text[:12] for text in BAD])
def test_what_is_no_json_is_refused_with_its_place(text):
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert BAD[text] in str(refused.value)


def test_an_error_holds_nothing_of_the_text():
    with pytest.raises(ConfigError) as refused:
        parse('{"env": {"TOKEN": "hunter2"} "x": 1}')
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_names_that_stand_twice_are_remembered_where_they_stood():
    found = parse('{"a": {"x": 1, "x": 2, "y": 3}, "b": 1, "b": 1}')
    assert found.repeated == {"b"}
    assert found["a"].repeated == {"x"}
    assert found["a"] == {"x": 2, "y": 3}
    assert parse('{"a": 1}').repeated == frozenset()


@pytest.mark.parametrize("piece", ["/*", '\\"', '"', ",", "/", "[ ", ", ", "/**", '"\\'])
@pytest.mark.parametrize("start", ["", '"', "/* ", "["])
def test_no_text_takes_more_than_linear_time(start, piece):
    text = start + piece * (1_000_000 // len(piece))
    began = time.process_time()
    with pytest.raises(ConfigError):
        parse(text)
    assert time.process_time() - began < 5  # a quadratic reader takes minutes


def test_plain_json_means_the_same_as_to_the_standard_library():
    document = {"a": [1, -2.5e3, True, False, None, 'a,]//x/*y*/"\\'], "b": {"c": {}, "d": []}}
    for indent in (None, 2):
        assert parse(json.dumps(document, indent=indent)) == document
