"""Arguments as they are typed: which become JSON, which stay text, and how a wrong one is told."""

import io

import pytest

from bascule.cli.arguments import bind, read, texts
from bascule.errors import ConfigError

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "flag": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"$ref": "#/$defs/Place"},
        "level": {"enum": [1, 2, 3]},
        "either": {"type": ["string", "integer"]},
        "any": {},
    },
    "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}}},
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=5", "5"),
        ("text=", ""),
        ("text=a=b:=c", "a=b:=c"),
        ("count=5", 5),
        ("ratio=1.5", 1.5),
        ("ratio=null", None),
        ("flag=true", True),
        ('tags=["a"]', ["a"]),
        ('place={"x": 1}', {"x": 1}),
        ("level=2", 2),
        ("either=5", "5"),
        ("any=5", "5"),
        ("any:=5", 5),
        ('text:="@home"', "@home"),
    ],
)
def test_a_value_is_text_or_json_as_the_schema_says(word, value):
    (bound,) = bind(read([word]), SCHEMA, "tool").values()
    assert bound == value
    assert type(bound) is type(value)


def test_a_file_gives_a_value_without_its_final_line_break(tmp_path):
    (tmp_path / "query.sql").write_text("SELECT 1\nFROM t\n")
    (tmp_path / "all.json").write_text('{"count": 1, "other": 2}')
    assert bind(read([f"text=@{tmp_path}/query.sql"]), SCHEMA, "tool") == {"text": "SELECT 1\nFROM t"}
    assert bind(read([f"@{tmp_path}/all.json"]), SCHEMA, "tool") == {"count": 1, "other": 2}


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n"))
    assert bind(read(["text=@-"]), SCHEMA, "tool") == {"text": "typed"}


def test_an_object_gives_all_arguments_and_later_words_win():
    assert bind(read(['{"count": 1, "text": "a"}', "count=2"]), SCHEMA, "tool") == {"count": 2, "text": "a"}


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("txt=1", "tool has no argument 'txt'; did you mean 'text'?"),
        ("count=many", "The argument count must be integer, and 'many' is not"),
        ("tags=a", """must be [string] (as in '["a", "b"]'), and 'a' is not"""),
        ("any:=x", "The argument any is not valid JSON"),
        ("count=NaN", "must be integer"),
        ("count", "'count' is no argument: write key=value"),
        ("{1}", "are no JSON object"),
        ("[1]", "is no argument"),
        ("text=@/nowhere/at/all", "The file /nowhere/at/all cannot be read"),
    ],
)
def test_a_wrong_argument_is_told_in_a_sentence(word, complaint):
    with pytest.raises(ConfigError) as told:
        bind(read([word]), SCHEMA, "tool")
    assert complaint in str(told.value)


@pytest.mark.parametrize(
    "schema",
    [{}, {**SCHEMA, "additionalProperties": True}, {**SCHEMA, "anyOf": [{}]}, {"type": "object"}],
)
def test_a_tool_that_takes_other_arguments_gets_them(schema):
    assert bind(read(["new=1"]), schema, "tool") == {"new": "1"}


def test_prompts_take_text():
    assert texts(read(["a=1", '{"b": [1]}']), ["a", "b"], "p") == {"a": "1", "b": "[1]"}
    with pytest.raises(ConfigError, match="p has no argument 'c'; there is a, b"):
        texts(read(["c=1"]), ["a", "b"], "p")
