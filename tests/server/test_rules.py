"""Rules in types: run at decode, before the function, wherever they stand; refused where nobody would run them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from bascule import Ask, DeclarationError, Rule, Server, ToolError
from bascule.client.client import Client
from bascule.errors import InvalidArguments
from bascule.server.context import Context
from bascule.server.rules import check_of
from bascule.server.signature import Signature


class Below(Rule):
    """A number below a bound, which comes in doubled."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.notes = {"exclusiveMaximum": bound}

    def check(self, value: int) -> int:
        if value >= self.bound:
            raise ValueError(f"must be below {self.bound}")
        return value * 2


class Domain(Rule):
    """An address of one domain, in lower case."""

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def check(self, value: str) -> str:
        if not value.lower().endswith("@" + self.domain):
            raise ValueError(f"must be an address at {self.domain}")
        return value.lower()


class Whole(Rule):
    def check(self, value: Any) -> Any:
        raise ToolError("Only a single SELECT is allowed.")


class Silent(Rule):
    def check(self, value: Any) -> Any:
        raise ValueError


class Faulty(Rule):
    def check(self, value: Any) -> Any:
        return value / 0


def signature(function):
    return Signature(function, what="tool 't'", context_type=Context)


def call(function, arguments: bytes):
    return signature(function).call(Raw(arguments), None)


def refusal(function, arguments: bytes) -> str:
    with pytest.raises(InvalidArguments) as caught:
        call(function, arguments)
    return caught.value.message


def test_the_function_gets_what_the_rule_returns():
    def send(to: Annotated[str, Domain("example.com")], n: int = 1):
        return to, n

    assert call(send, b'{"to": "Ann@Example.com"}') == ("ann@example.com", 1)


def test_a_broken_rule_names_the_argument_and_nothing_runs():
    ran = []

    def send(to: Annotated[str, Domain("example.com")]):
        ran.append(to)

    assert refusal(send, b'{"to": "x@evil.test"}') == 'Invalid arguments: "to" must be an address at example.com'
    assert ran == []


def test_every_broken_rule_is_listed_beside_every_other_problem():
    def f(a: Annotated[int, Below(5)], b: Annotated[int, Below(3)], c: int = 0): ...

    assert refusal(f, b'{"a": 9, "b": 9}') == 'Invalid arguments: "a" must be below 5; "b" must be below 3'
    assert refusal(f, b'{"a": 9, "b": "x", "d": 1}') == (
        'Invalid arguments: "a" must be below 5; "b" must be an integer (got "x"); "d" is not a parameter'
    )


def test_a_number_sent_as_text_is_judged_like_one_sent_as_a_number():
    def f(a: Annotated[int, Below(5)]):
        return a

    assert call(f, b'{"a": "4"}') == 8
    assert refusal(f, b'{"a": "9"}') == 'Invalid arguments: "a" must be below 5'


def test_a_tool_error_and_an_empty_error_make_sentences():
    def f(a: Annotated[str, Whole()]): ...
    def g(a: Annotated[str, Silent()]): ...

    assert refusal(f, b'{"a": ""}') == 'Invalid arguments: "a" is not allowed: Only a single SELECT is allowed'
    assert refusal(g, b'{"a": ""}') == 'Invalid arguments: "a" is not allowed'


def test_a_fault_in_a_rule_is_no_error_of_the_caller():
    def f(a: Annotated[int, Faulty()]): ...

    with pytest.raises(ZeroDivisionError):
        call(f, b'{"a": 1}')


@pytest.mark.parametrize(
    ("annotation", "sent", "got"),
    [
        (Annotated[int, Below(5)], b"4", 8),
        (Annotated[int, Below(50), Below(20)], b"4", 16),
        (Annotated[int, Below(5)] | None, b"4", 8),
        (Annotated[int, Below(5)] | None, b"null", None),
        (Annotated[int | None, Below(5)], b"null", None),
        (list[Annotated[int, Below(5)]], b"[1, 2]", [2, 4]),
        (list[Annotated[int, Below(5)]] | None, b"[1, 2]", [2, 4]),
        (list[list[Annotated[int, Below(5)]]], b"[[1], []]", [[2], []]),
        (set[Annotated[int, Below(5)]], b"[1, 2]", {2, 4}),
        (tuple[Annotated[int, Below(5)], ...], b"[1, 2]", (2, 4)),
        (dict[str, Annotated[int, Below(5)]], b'{"a": 1}', {"a": 2}),
        (Annotated[list[Annotated[int, Below(5)]], "Numbers."], b"[1]", [2]),
        (NewType("Small", Annotated[int, Below(5)]), b"4", 8),
    ],
)
def test_rules_run_around_values_and_around_items(annotation, sent, got):
    def f(a): ...

    f.__annotations__ = {"a": annotation}
    arguments = signature(f).arguments(Raw(b'{"a": ' + sent + b"}"))
    assert arguments.p0 == got


def test_a_broken_item_is_named_by_its_place():
    def f(a: dict[str, list[Annotated[int, Below(5)]]]): ...

    assert refusal(f, b'{"a": {"k": [1, 9]}}') == 'Invalid arguments: "a" at k[1] must be below 5'


@given(st.dictionaries(st.text("ab", min_size=1), st.lists(st.integers(0, 9))), st.booleans())
def test_every_item_is_judged_and_none_slips_through(values, as_text):
    def f(a: dict[str, list[Annotated[int, Below(9)]]]):
        return a

    sent = {key: [str(item) if as_text else item for item in items] for key, items in values.items()}
    good = all(item < 9 for items in values.values() for item in items)
    try:
        got = call(f, msgspec.json.encode({"a": sent}))
    except InvalidArguments as error:
        assert not good or as_text
        assert '"a"' in error.message
    else:
        assert good
        assert got == {key: [item * 2 for item in items] for key, items in values.items()}


def test_defaults_are_judged_too_but_none_is_not():
    def f(a: Annotated[int, Below(5)] = 4, b: Annotated[int | None, Below(5)] = None, c: int = 0):
        return a, b, c

    assert call(f, b"{}") == (8, None, 0)
    assert call(f, b'{"c": "1"}') == (8, None, 1)


def test_strings_of_a_prompt_or_a_uri_are_judged_too():
    def f(a: Annotated[int, Below(5)], to: Annotated[str, Domain("x.org")] = "A@x.org"):
        return a, to

    read = signature(f)
    assert read.invoke(read.parse({"a": "4"}), None) == (8, "a@x.org")
    with pytest.raises(InvalidArguments, match='"a" must be below 5; "to" must be an address at x.org'):
        read.parse({"a": "5", "to": "b"})


def test_a_type_that_pydantic_reads_is_judged_after_it():
    class Point(pydantic.BaseModel):
        x: int

    class Right(Rule):
        def check(self, value: Point) -> Point:
            if value.x < 0:
                raise ValueError("must lie on the right")
            return value

    def f(p: Annotated[Point, Right()]):
        return p.x

    assert call(f, b'{"p": {"x": 3}}') == 3
    assert refusal(f, b'{"p": {"x": -3}}') == 'Invalid arguments: "p" must lie on the right'


def test_the_schema_says_what_the_rule_notes():
    def f(a: Annotated[int, Below(5)], b: list[Annotated[int, Below(6)]]): ...

    properties = signature(f).schema["properties"]
    assert properties["a"] == {"type": "integer", "exclusiveMaximum": 5}
    assert properties["b"]["items"]["exclusiveMaximum"] == 6


@dataclass
class InDataclass:
    n: Annotated[int, Below(5)]


class InStruct(Struct):
    inner: list[InDataclass]


class InTyped(TypedDict):
    n: Annotated[int, Below(5)]


class InModel(pydantic.BaseModel):
    n: Annotated[int, Below(5)]


@pytest.mark.parametrize(
    "annotation",
    [
        InDataclass,
        InStruct,
        InTyped,
        InModel,
        list[InDataclass],
        dict[Annotated[str, Domain("x")], int],
        tuple[int, Annotated[int, Below(5)]],
        Annotated[int, Below(5)] | str,
        Annotated[str, Domain],
        list[Annotated[str, Domain]],
    ],
)
def test_a_rule_that_would_not_be_run_is_refused_at_declaration(annotation):
    def f(a): ...

    f.__annotations__ = {"a": annotation}
    with pytest.raises(DeclarationError, match="parameter 'a'.*rule"):
        signature(f)


@pytest.mark.parametrize(
    "annotation",
    [Annotated[int, Ask("How many?"), Below(5)], Annotated[Annotated[int, Below(5)], Ask("How many?")]],
)
def test_a_rule_at_a_question_is_refused_at_declaration(annotation):
    def f(a): ...

    f.__annotations__ = {"a": annotation}
    with pytest.raises(DeclarationError, match="rule at 'a' would not be run"):
        signature(f)


def test_where_no_rule_stands_nothing_is_checked():
    @dataclass
    class Plain:
        n: int
        next: "Plain | None" = None

    for annotation in (int, list[str], Plain, InStruct.__mro__[1], Literal["a"], Any, Annotated[str, "A note."]):
        assert check_of(annotation) is None
    assert signature(lambda a: a)._ruled == ()


async def test_a_caller_is_told_which_argument_broke_which_rule():
    app = Server("s")

    @app.tool
    def send(to: Annotated[str, Domain("example.com")]) -> str:
        return to

    async with Client(app) as client:
        refused = await client.call_tool("send", {"to": "x@evil.test"})
        assert refused.is_error
        assert refused.content[0].text == 'Invalid arguments: "to" must be an address at example.com'
        served = await client.call_tool("send", {"to": "X@example.com"})
        assert served.content[0].text == "x@example.com"
