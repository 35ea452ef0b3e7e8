"""Signatures: schemas from functions, and calls from JSON bytes."""

import dataclasses
import datetime
import enum
import functools
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import annotated_types
import jsonschema_rs
import msgspec
import pydantic
import pytest
from msgspec import UNSET, Meta, Raw, Struct

from bascule.errors import DeclarationError, InvalidArguments
from bascule.server.signature import Signature


class Context:
    """Stands for the server's context."""


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Mixed(enum.Enum):
    TEXT = "text"
    NUMBER = 1


class Address(Struct):
    """Where somebody lives."""

    zip: Annotated[str, Meta(min_length=5)]
    kind: Literal["home", "work"] = "home"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Other:
    z: int


class Filter(TypedDict, total=False):
    name: str


class Pair(NamedTuple):
    first: int
    second: str


class User(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0, title="Years")
    friend: Optional["User"] = None


def signature(function: Callable[..., Any]) -> Signature:
    return Signature(function, what="tool 'it'", context_type=Context)


def call(function: Callable[..., Any], text: str | None = None, context: Any = None) -> Any:
    return signature(function).call(UNSET if text is None else Raw(text.encode()), context)


def refusal(function: Callable[..., Any], text: str) -> str:
    with pytest.raises(InvalidArguments) as caught:
        call(function, text)
    return caught.value.message


def declared(function: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        signature(function)
    return str(caught.value)


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found = signature(function).schema
    jsonschema_rs.meta.validate(found)
    assert isinstance(found["properties"], dict)
    return found["properties"]


def test_a_schema_says_what_is_required_and_closes_the_object() -> None:
    def add(a: int, b: float = 1.5) -> None: ...

    assert signature(add).schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "number", "default": 1.5}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_function_without_parameters_takes_an_empty_object_null_or_nothing() -> None:
    def ping() -> str:
        return "pong"

    assert signature(ping).schema == {"type": "object", "properties": {}, "additionalProperties": False}
    assert [call(ping, text) for text in (None, "{}", "null")] == ["pong"] * 3


def test_optional_is_a_union_with_null() -> None:
    def find(limit: int | None = None, sloppy: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    expected = {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}
    assert properties(find) == {"limit": expected, "sloppy": expected}


def test_every_supported_type_has_a_schema_and_decodes() -> None:
    def take(
        a: Colour,
        b: Literal["x", "y"],
        c: Address,
        d: Point,
        e: Filter,
        f: Pair,
        g: datetime.date,
        h: uuid.UUID,
        i: bytes,
        j: pathlib.Path,
        k: list[dict[str, int]],
        m: set[int],
        n: Any,
        o: object,
        p,  # type: ignore[no-untyped-def]
    ) -> list[Any]:
        return [a, b, c, d, e, f, g, h, i, j, k, m, n, o, p]

    found = properties(take)
    assert found["a"] == {"$ref": "#/$defs/Colour"}
    assert found["j"] == {"type": "string", "format": "path"}
    assert found["n"] == found["o"] == found["p"] == {}
    assert "title" not in json.dumps(signature(take).schema)
    some = uuid.UUID(int=7)
    sent = {
        "a": "red", "b": "x", "c": {"zip": "12345"}, "d": {"x": 1}, "e": {}, "f": [1, "b"], "g": "2026-01-31",
        "h": str(some), "i": "aGk=", "j": "some/x", "k": [{"q": 1}], "m": [1, 1], "n": None, "o": 1, "p": "z",
    }  # fmt: skip
    assert call(take, json.dumps(sent)) == [
        Colour.RED, "x", Address("12345"), Point(1), {}, Pair(1, "b"), datetime.date(2026, 1, 31),
        some, b"hi", pathlib.Path("some/x"), [{"q": 1}], {1}, None, 1, "z",
    ]  # fmt: skip


def test_nested_structs_are_local_definitions() -> None:
    def move(address: Address) -> None: ...

    assert signature(move).schema["$defs"]["Address"] == {
        "description": "Where somebody lives.",
        "type": "object",
        "properties": {
            "zip": {"type": "string", "minLength": 5},
            "kind": {"enum": ["home", "work"], "default": "home"},
        },
        "required": ["zip"],
    }


def test_annotated_gives_descriptions_limits_and_extra_keys() -> None:
    def find(
        city: Annotated[str, "The city"],
        limit: Annotated[int, Meta(ge=1, le=10, title="Most")] = 5,
        region: Annotated[str, Meta(extra_json_schema={"x-mcp-header": "Region"})] = "",
        ages: Annotated[list[Annotated[int, annotated_types.Ge(0)]] | None, annotated_types.Len(1, 3)] = None,
        score: Annotated[float | None, Meta(ge=0, description="How good")] = None,
    ) -> None: ...

    found = properties(find)
    assert found["city"] == {"type": "string", "description": "The city"}
    assert found["limit"] == {"type": "integer", "minimum": 1, "maximum": 10, "title": "Most", "default": 5}
    assert found["region"]["x-mcp-header"] == "Region"
    assert found["ages"]["anyOf"][0] == {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 1,
        "maxItems": 3,
    }
    assert found["score"]["anyOf"][0] == {"type": "number", "minimum": 0}
    assert found["score"]["description"] == "How good"
    assert '"ages" at [0] must be at least 0 (got -1)' in refusal(find, '{"city":"x","ages":[-1]}')


def test_pydantics_field_works_as_metadata_and_as_default() -> None:
    def find(
        name: Annotated[str, pydantic.Field(pattern="^a", description="Who")],
        limit: int = pydantic.Field(10, ge=1, le=100, description="How many"),
        tags: list[str] = pydantic.Field(default_factory=lambda: ["a"]),
        must: int = pydantic.Field(description="Needed"),
    ) -> tuple[Any, ...]:
        return name, limit, tags, must

    assert properties(find)["limit"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "How many",
        "default": 10,
    }
    assert signature(find).schema["required"] == ["name", "must"]
    assert call(find, '{"name":"anna","must":1}') == ("anna", 10, ["a"], 1)
    assert '"name" must match the pattern ^a (got "bob")' in refusal(find, '{"name":"bob","must":1}')


def test_what_only_pydantic_can_enforce_is_left_to_it() -> None:
    def even(value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value

    def take(
        n: Annotated[int, pydantic.AfterValidator(even), "Even"], m: Annotated[int, pydantic.Field(strict=True)]
    ) -> int:
        return n + m

    assert properties(take)["n"] == {"type": "integer", "description": "Even"}
    assert call(take, '{"n":2,"m":3}') == 5
    assert refusal(take, '{"n":1,"m":"x"}') == (
        'Invalid arguments: "n" is not valid: odd (got 1); "m" must be a valid integer (got "x")'
    )


def test_pydantic_models_mix_with_other_parameters() -> None:
    def greet(user: User, ctx: Context, users: list[User] | None = None, times: int = 1) -> tuple[Any, ...]:
        return user, ctx, users, times

    schema = signature(greet).schema
    jsonschema_rs.meta.validate(schema)
    assert schema["properties"]["user"] == {"$ref": "#/$defs/User"}
    assert schema["$defs"]["User"]["properties"]["age"] == {"type": "integer", "minimum": 0, "title": "Years"}
    assert "title" not in schema["$defs"]["User"]
    context = Context()
    assert call(greet, '{"user":{"name":"A","age":3}}', context) == (User(name="A", age=3), context, None, 1)
    assert refusal(greet, '{"user":{"age":-1},"times":"x"}') == (
        'Invalid arguments: "user" at name is required and at age must be greater than or equal to 0 (got -1); '
        '"times" must be an integer (got "x")'
    )


def test_a_pydantic_model_may_share_its_name_with_a_struct() -> None:
    model = pydantic.create_model("Address", street=(str, ...), inner=(list[User], ...))

    def take(a: Address, b: list[model]) -> None: ...  # type: ignore[valid-type]

    schema = signature(take).schema
    jsonschema_rs.meta.validate(schema)
    assert schema["properties"]["b"]["items"]["$ref"] == "#/$defs/b.Address"
    assert set(schema["$defs"]) == {"Address", "b.Address", "b.User"}


def test_docstrings_describe_the_parameters_that_say_nothing_themselves() -> None:
    def find(city: str, limit: Annotated[int, "Mine"] = 1) -> None:
        """Find things.

        Args:
            city: The city.
            limit: Another text.

        Returns:
            Things.
        """

    found = signature(find)
    assert found.description == "Find things.\n\nReturns:\n    Things."
    assert [one.description for one in found.parameters] == ["The city.", "Mine"]
    assert found.schema["properties"]["city"]["description"] == "The city."


def test_parameters_are_listed_for_prompts() -> None:
    def ask(topic: Annotated[str, Meta(title="Topic")], tone: str = "kind") -> None: ...

    listed = signature(ask).parameters
    assert [(one.name, one.required, one.title) for one in listed] == [("topic", True, "Topic"), ("tone", False, None)]
    assert signature(ask).names == {"topic", "tone"}


def test_the_context_is_passed_wherever_it_stands() -> None:
    def first(ctx: Context, a: int) -> Any:
        return ctx, a

    def last(a: int, ctx: Context | None = None) -> Any:
        return ctx, a

    def keyword(a: int, b: int = 2, *, c: int, ctx: Annotated[Context, "x"], _d: int = 4) -> Any:
        return ctx, a + b + c + _d

    def middle(a: int, ctx: "Context", b: int = 1, *, c: int = 0) -> Any:
        return ctx, a + b + c

    context = Context()
    assert call(first, '{"a":1}', context) == (context, 1)
    assert call(last, '{"a":1}', context) == (context, 1)
    assert call(keyword, '{"a":1,"c":3}', context) == (context, 10)
    assert call(middle, '{"a":1,"b":2,"c":3}', context) == (context, 6)
    assert signature(first).wants_context
    assert signature(first).names == {"a"}


def test_any_parameter_name_works() -> None:
    def odd(_a: int, __slots__: int, /, encode: int, *, é: int, __init__: int = 1) -> list[int]:
        return [_a, __slots__, encode, é, __init__]

    assert call(odd, '{"_a":1,"__slots__":2,"encode":3,"é":4}') == [1, 2, 3, 4, 1]


def test_defaults_are_not_shared_between_calls() -> None:
    def grow(a: list[int] = [1], b: dict[str, int] = {}, c: Point = Point(1)) -> Any:  # noqa: B006
        a.append(2)
        b["x"] = 1
        c.x += 1
        return a, b, c.x

    found = signature(grow)
    assert [found.call(UNSET, None) for _ in range(2)] == [([1, 2], {"x": 1}, 2)] * 2
    assert found.schema["properties"]["a"]["default"] == [1]


def test_a_default_that_json_cannot_say_is_left_out_of_the_schema() -> None:
    nothing = object()

    def take(a: Any = nothing, b: float = float("inf"), c: int | msgspec.UnsetType = UNSET) -> Any:
        return a is nothing, b, c

    assert properties(take) == {"a": {}, "b": {"type": "number"}, "c": {"type": "integer"}}
    assert call(take) == (True, float("inf"), UNSET)


def test_methods_partials_callable_objects_and_classes_are_functions_too() -> None:
    class Tool:
        def method(self, a: int) -> int:
            return a

        async def __call__(self, a: int) -> int:
            return a

    def secret(key: str, a: int, *, token: str) -> str:
        return f"{key}{a}{token}"

    async def waits() -> None: ...

    bound = functools.partial(secret, "k", token="t")
    assert call(Tool().method, '{"a":1}') == 1
    assert call(bound, '{"a":1}') == "k1t"
    assert signature(bound).names == {"a"}
    assert call(Point, '{"x":1}') == Point(1)
    kinds = [signature(one).is_async for one in (Tool(), Tool().method, waits, functools.partial(waits))]
    assert kinds == [True, False, True, True]


def test_strings_are_converted_for_prompts_and_uris() -> None:
    def take(
        a: int, b: str, c: list[int] | None = None, d: bool = False, e: Colour = Colour.RED, f: Literal[1, 2] = 1
    ) -> Any:
        return a, b, c, d, e, f

    found = signature(take)
    values = {"a": "5", "b": "5", "c": "[1]", "d": "True", "e": "green", "f": "2"}
    assert found.invoke(found.parse(values), None) == (5, "5", [1], True, Colour.GREEN, 2)
    with pytest.raises(InvalidArguments, match='"a" must be an integer \\(got "x"\\); "b" is required; "z" is not a'):
        found.parse({"a": "x", "z": "1"})
    with pytest.raises(InvalidArguments, match='"b" must be valid Unicode text'):
        found.parse({"a": "1", "b": "\ud800"})


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Point | Other, "more than one dataclass"),
        (str | datetime.datetime, "more than one str-like"),
        (Annotated[int, Meta(le=2**70)], "don't fit in an int64"),
        (Annotated[str, Meta(ge=1)], "Can only set `ge`"),
        (Mixed, "all str or all int"),
        (Callable, "cannot be written as JSON"),
        (complex, "complex cannot be written as JSON"),
        (Annotated[int, pydantic.Field(alias="x")], "alias"),
        (Annotated[User, Meta(min_length=1)], "pydantic's Field"),
    ],
)
def test_an_unsupported_type_is_named_at_declaration(annotation: Any, reason: str) -> None:
    def take(it: annotation) -> None: ...

    sentence = declared(take)
    assert sentence.startswith("tool 'it': parameter 'it' is declared as ")
    assert reason in sentence
    assert "Supported are None, bool, int" in sentence


def test_functions_that_cannot_be_served_are_refused_at_declaration() -> None:
    def stars(*values: int) -> None: ...

    def keywords(**values: int) -> None: ...

    def generator(a: int) -> Any:
        yield a

    def two(a: Context, b: Context) -> None: ...

    def unknown(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert "*values is not supported" in declared(stars)
    assert "**values is not supported" in declared(keywords)
    assert "generator" in declared(generator)
    assert "both take the context" in declared(two)
    assert "parameter 'a' uses the name 'Nowhere'" in declared(unknown)
    assert "expected a function" in declared("no")


def test_names_that_a_function_closes_over_are_resolved() -> None:
    class Local(Struct):
        a: int

    def take(it: "Local") -> int:
        return Local(it.a).a

    assert call(take, '{"it":{"a":3}}') == 3


def test_the_return_annotation_is_resolved() -> None:
    def take() -> "list[int]": ...

    assert signature(take).returns == list[int]
