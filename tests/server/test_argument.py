"""Arguments that do not fit: what is accepted all the same, and how the rest is explained."""

import datetime
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct

from bascule.errors import InvalidArguments
from bascule.server.signature import Signature


class Context:
    """Stands for the server's context."""


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Address(Struct):
    zip: Annotated[str, Meta(min_length=5)]
    kind: Literal["home", "work"] = "home"


def call(function: Callable[..., Any], data: str | bytes) -> Any:
    raw = Raw(data.encode() if isinstance(data, str) else data)
    return Signature(function, what="tool 'it'", context_type=Context).call(raw, None)


def refusal(function: Callable[..., Any], data: str | bytes) -> str:
    with pytest.raises(InvalidArguments) as caught:
        call(function, data)
    return caught.value.message


def test_numbers_and_booleans_sent_as_strings_are_accepted() -> None:
    def take(a: int, b: float, c: bool, d: int | None = None, e: int = 0) -> Any:
        return a, b, c, d, e

    assert call(take, '{"a":"5","b":"1.5","c":"True","d":" -7 ","e":5.0}') == (5, 1.5, True, -7, 5)


def test_a_string_stays_a_string_where_one_is_allowed() -> None:
    def take(a: int | str, b: Any) -> Any:
        return a, b

    assert call(take, '{"a":"5","b":"true"}') == ("5", "true")


@pytest.mark.parametrize(
    ("annotation", "text", "said"),
    [
        (int, '"5x"', 'must be an integer (got "5x")'),
        (int, '"true"', 'must be an integer (got "true")'),
        (int, "true", "must be an integer (got true)"),
        (bool, '"1"', 'must be true or false (got "1")'),
        (bool, "1", "must be true or false (got 1)"),
        (int, "5.5", "must be an integer (got 5.5)"),
        (Annotated[int, Meta(le=3)], '"5"', 'must be at most 3 (got "5")'),
        (Literal[1, 2], '"1"', 'must be an integer (got "1")'),
        (Literal[1, 2], "3", "must be one of 1, 2 (got 3)"),
        (Colour, '"blue"', 'must be one of "green", "red" (got "blue")'),
        (list[Address], '[{"zip":"12345","kind":"x"}]', 'at [0].kind must be one of "home", "work" (got "x")'),
        (Address, '{"zip":"1"}', 'at zip must have at least 5 characters (got "1")'),
        (Address, "{}", 'lacks the field "zip"'),
        (dict[str, int], '{"a":"x"}', "at * must be an integer"),
        (datetime.datetime, '"x"', 'must be a date and time like 2026-01-31T12:00:00Z (got "x")'),
        (int | list[int], '"x"', 'must be an integer or a list (got "x")'),
        (Annotated[list[int], Meta(max_length=1)], "[1,2]", "must have at most 1 items (got [1,2])"),
        (int, '"' + "x" * 500 + '"', 'must be an integer (got "' + "x" * 58 + "…)"),
        (int, "9" * 5000, "must be a smaller number"),
        (str, b'"\xff"', "must be valid Unicode text"),
    ],
)
def test_a_wrong_argument_is_explained(annotation: Any, text: str | bytes, said: str) -> None:
    def take(it: annotation) -> None: ...

    data = b'{"it":' + (text.encode() if isinstance(text, str) else text) + b"}"
    assert refusal(take, data) == f'Invalid arguments: "it" {said}'


def test_all_wrong_arguments_are_named_at_once() -> None:
    def find(city: str, limit: Annotated[int, Meta(le=1000)] = 1) -> None: ...

    with pytest.raises(InvalidArguments) as caught:
        call(find, '{"ctiy":"x","limit":5000}')
    assert caught.value.message == (
        'Invalid arguments: "city" is required; "limit" must be at most 1000 (got 5000); '
        '"ctiy" is not a parameter (did you mean "city"?)'
    )
    assert caught.value.details == {
        "arguments": {
            "city": "is required",
            "limit": "must be at most 1000 (got 5000)",
            "ctiy": 'is not a parameter (did you mean "city"?)',
        }
    }


def test_a_thousand_unknown_arguments_give_a_short_message() -> None:
    def ping() -> None: ...

    assert len(refusal(ping, json.dumps({f"{at}{'x' * 300}": 1 for at in range(1000)}))) < 3000
    assert refusal(ping, json.dumps({f"x{at}": 1 for at in range(1000)})).endswith("and 980 more")


@pytest.mark.parametrize(
    "text", ["[1]", "3", '"x"', "", '{"a":"\\ud800"}', "{", '{"a":1}x', "[" * 100_000, '{"a":' + "[" * 100_000]
)
def test_what_is_no_object_is_refused(text: str) -> None:
    def take(a: Any) -> None: ...

    assert refusal(take, text).startswith("Invalid arguments: they ")


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,abcdetrulnfs0123456789.-\\ ', max_size=60).map(str.encode))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    def take(a: int = 1, b: str = "", c: Any = None, d: Address | None = None) -> None: ...

    try:
        call(take, data)
    except InvalidArguments as error:
        message = error.message
    else:
        return
    assert message.startswith("Invalid arguments: ")


_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from("abcdx"), _VALUES))
def test_what_is_accepted_has_the_declared_types(values: dict[str, Any]) -> None:
    def take(a: int, b: bool = False, c: list[str] = [], d: Literal["x", 1] = 1) -> tuple[Any, ...]:  # noqa: B006
        return a, b, c, d

    try:
        a, b, c, d = call(take, json.dumps(values))
    except InvalidArguments:
        return
    assert (type(a), type(b), type(c)) == (int, bool, list)
    assert d in ("x", 1)
