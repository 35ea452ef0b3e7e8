"""Results as a person reads them."""

import io

import pytest
from msgspec import UNSET

from bascule import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from bascule.cli.blocks import described, rows_of, show_result, size
from bascule.cli.screen import Screen, cell, visible


def shown(result: CallToolResult) -> str:
    stream = io.StringIO()
    show_result(Screen(stream), result)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("texts", "structured", "printed"),
    [
        (["plain"], UNSET, "plain\n"),
        (["plain"], None, "plain\n"),
        (["a", "b\n"], None, "a\nb\n"),
        (['{"a":1}'], {"a": 1}, '{\n  "a": 1\n}\n'),
        (["hello"], {"result": "hello"}, "hello\n"),
        (["3"], {"result": 3}, "3\n"),
        (["[1,2]"], {"result": [1, 2]}, "[\n  1,\n  2\n]\n"),
        (["A summary."], {"a": 1}, 'A summary.\n{\n  "a": 1\n}\n'),
        ([], {"a": 1}, '{\n  "a": 1\n}\n'),
    ],
)
def test_text_and_structure_are_shown_once(texts, structured, printed):
    assert shown(CallToolResult([TextContent(text) for text in texts], structured)) == printed


def test_rows_and_fields_are_a_table_of_plain_columns():
    structured = {"rows": [["a\nb", 1.5, None], ["c", 20, {"x": 1}]], "fields": [{"name": "n"}, {"name": "v"}, "j"]}
    lines = shown(CallToolResult([TextContent("…")], structured)).splitlines()
    assert lines == ["n      v  j", "a b  1.5  null", 'c     20  {"x": 1}']


@pytest.mark.parametrize(
    "other",
    [
        None,
        {"rows": 1, "fields": []},
        {"rows": [], "fields": []},
        {"rows": [[1, 2]], "fields": ["a"]},
        {"rows": [1], "fields": ["a"]},
        {"rows": [[1]], "fields": [3]},
    ],
)
def test_what_only_looks_like_rows_is_no_table(other):
    assert rows_of(other) is None


def test_rows_may_be_objects():
    assert rows_of({"rows": [{"a": 1}], "fields": ["a", "b"]}) == (["a", "b"], [[1, None]])


def test_what_is_not_text_is_named_with_type_and_size():
    assert described(ImageContent("aGVsbG8=", "image/png")) == "[image, image/png, 5 bytes]"
    assert described(AudioContent("aGVsbG8=", "audio/wav")) == "[audio, audio/wav, 5 bytes]"
    blob = ResourceContents("f://x", "application/pdf", blob="A" * 4096)
    assert described(EmbeddedResource(blob)) == "[f://x, application/pdf, 3.0 KiB]"
    assert described(EmbeddedResource(ResourceContents("f://x", text="inside"))) == "inside"
    assert described(ResourceLink("f://x", "x", mime_type="text/csv")) == "[link to f://x: x, text/csv]"
    assert size("not base64!") == "not readable"


def test_control_characters_are_shown_instead_of_obeyed():
    assert visible("a\x1b[31m\tb\n\x9b\r\u202e") == "a\\x1b[31m\tb\n\\x9b\\r\\u202e"
    assert cell("\x1b]0;title\x07") == "\\x1b]0;title\\x07"
