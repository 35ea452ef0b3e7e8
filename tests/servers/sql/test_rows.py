"""The shape of a result, exact values, and where it is cut."""

import math

import pytest

from bascule.servers.sql.rows import Field, collect, exact_float, exact_int, json_value

FIELDS = [Field("a", "int4", 23)]


def test_all_rows_fit():
    result = collect([[1], [2]], FIELDS, limit=2, max_bytes=100)
    assert (result.rows, result.row_count, result.truncated) == ([[1], [2]], 2, False)


def test_one_row_more_than_the_limit_is_read_and_told():
    result = collect([[1], [2], [3]], FIELDS, limit=2, max_bytes=100)
    assert (result.rows, result.truncated) == ([[1], [2]], True)
    assert result.note == "Only the first 2 rows are shown; there are more."


def test_bytes_cut_whole_rows_and_are_told():
    result = collect([["x" * 40], ["y" * 40], ["z" * 40]], FIELDS, limit=9, max_bytes=100)
    assert [row[0][0] for row in result.rows] == ["x", "y"]
    assert result.truncated
    assert "first 2 rows" in str(result.note)
    assert "100 bytes" in str(result.note)


@pytest.mark.parametrize("rows", [[["x" * 200]], [None]])
def test_a_first_row_beyond_the_bytes_leaves_none(rows):
    result = collect(rows, FIELDS, limit=9, max_bytes=100)
    assert (result.rows, result.row_count, result.truncated) == ([], 0, True)
    assert "first alone is larger" in str(result.note)


@pytest.mark.parametrize(
    ("value", "sent"), [(2**53, 2**53), (2**53 + 1, "9007199254740993"), (-(2**60), str(-(2**60)))]
)
def test_integers_that_a_double_would_change_are_text(value, sent):
    assert exact_int(value) == sent


@pytest.mark.parametrize(
    ("value", "sent"), [(1.5, 1.5), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN")]
)
def test_floats_that_json_lacks_are_text(value, sent):
    assert exact_float(value) == sent


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ("9007199254740993", "9007199254740993"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e400", "1e400"),
        ("1" * 5000, "1" * 5000),
        ("-0.5", -0.5),
        ('"\\ud800"', '"\\ud800"'),
        ("[" * 40 + "]" * 40, "[" * 40 + "]" * 40),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)
def test_json_is_passed_on_as_json_where_nothing_is_lost(text, value):
    assert json_value(text) == value
