"""Raw schemas: what may be declared, in which dialects, and that no schema and no value can hold up a server."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.checks.json_schema import MAX_BYTES, MAX_DEPTH, MAX_SUBSCHEMAS, RawSchema, TooHeavy
from bascule.checks.schema_steps import MAX_CHAIN
from bascule.errors import DeclarationError

DIALECTS = {
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "07": "http://json-schema.org/draft-07/schema#",
    "06": "http://json-schema.org/draft-06/schema#",
    "04": "http://json-schema.org/draft-04/schema#",
}


def compiled(form: Any) -> RawSchema:
    return RawSchema(form, what="tool 'it'", part="input schema")


def of_v(form: Any, **others: Any) -> dict[str, Any]:
    """A schema for objects whose "v" fits another."""
    return {"type": "object", "properties": {"v": form}, **others}


def fits(form: dict[str, Any], value: Any) -> bool:
    return compiled(form).fits(value, json.dumps(value).encode())


def refused(form: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        compiled(form)
    said = str(caught.value)
    assert said.startswith("tool 'it': the input schema ")
    assert "\n" not in said
    return said


def nested(levels: int) -> dict[str, Any]:
    """A schema of so many levels of JSON."""
    form: dict[str, Any] = {}
    for _ in range((levels - 3) // 2):
        form = {"not": {"not": form}}
    return of_v(form if levels % 2 else {"not": form})


def doubled(levels: int, **others: Any) -> dict[str, Any]:
    defined: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"type": "object", "$ref": "#/$defs/d0", "$defs": {**defined, f"d{levels}": {}}, **others}


def test_size_depth_and_number_are_bounded_just_so() -> None:
    room = MAX_BYTES - len(json.dumps({"type": "object", "title": ""}, separators=(",", ":")))
    compiled({"type": "object", "title": "x" * room})
    assert f"longer than {MAX_BYTES} bytes" in refused({"type": "object", "title": "x" * (room + 1)})
    compiled(nested(MAX_DEPTH))
    assert f"deeper than {MAX_DEPTH} levels" in refused(nested(MAX_DEPTH + 2))
    compiled({"type": "object", "properties": {str(n): {} for n in range(MAX_SUBSCHEMAS - 1)}})
    many = {"type": "object", "properties": {str(n): {} for n in range(MAX_SUBSCHEMAS)}}
    assert f"more than {MAX_SUBSCHEMAS} subschemas" in refused(many)
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(MAX_CHAIN)}
    assert "in a row" in refused(of_v({"$ref": "#/$defs/d0"}, **{"$defs": {**chain, f"d{MAX_CHAIN}": {}}}))


@pytest.mark.parametrize("levels", [15, 24, 40, 90])
def test_references_that_multiply_are_refused(levels: int) -> None:
    assert "steps for one place" in refused(doubled(levels))
    assert "steps for one place" in refused(doubled(levels, unevaluatedProperties=False))


def test_references_that_lead_to_different_places_do_not_multiply() -> None:
    pair = [{"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(40)]
    defined: dict[str, Any] = {f"d{n}": {"properties": names} for n, names in enumerate(pair)}
    form = {"type": "object", "$ref": "#/$defs/d0", "$defs": {**defined, "d40": {"type": "integer"}}}
    assert fits(form, {"a": {"b": {}}})


def test_a_recursive_schema_is_accepted_and_checked() -> None:
    form = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "n": {"type": "integer"}},
        "additionalProperties": False,
    }
    value: dict[str, Any] = {}
    for _ in range(60):
        value = {"n": 1, "children": [value, {}]}
    assert fits(form, value)
    assert not fits(form, {"children": [{"children": [{"n": "x"}]}]})


def test_one_part_in_many_places_is_measured_before_it_is_written_out() -> None:
    form: dict[str, Any] = {"title": "x" * 1000}
    for _ in range(60):
        form = {"anyOf": [form, form]}
    assert "bytes" in refused(of_v(form)) or "levels" in refused(of_v(form))
    loop: dict[str, Any] = {"type": "object"}
    loop["properties"] = {"v": loop}
    assert "levels" in refused(loop)


@pytest.mark.parametrize("form", [None, [], "object", True, {}, {"type": "array"}, {"type": ["object"]}])
def test_the_root_is_an_object(form: Any) -> None:
    assert '"type" is "object"' in refused(form)


@pytest.mark.parametrize("form", [of_v({"const": object()}), of_v({"const": print}), of_v({(1, 2): {}})])
def test_what_is_no_json_is_refused(form: Any) -> None:
    assert "cannot be written as JSON" in refused(form)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_is_known_by_all_its_names(name: str) -> None:
    uri = DIALECTS[name].removesuffix("#")
    for spelled in (uri, f"{uri}#", uri.replace("https:", "http:"), uri.replace("http:", "https:")):
        assert fits(of_v({"type": "integer"}, **{"$schema": spelled}), {"v": 1})
        assert not fits(of_v({"type": "integer"}, **{"$schema": spelled}), {"v": "1"})


def test_a_schema_is_checked_by_its_own_dialect() -> None:
    pair = of_v({"items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False})
    assert fits({**pair, "$schema": DIALECTS["07"]}, {"v": [1, "x"]})
    assert not fits({**pair, "$schema": DIALECTS["07"]}, {"v": ["x", 1]})
    assert not fits({**pair, "$schema": DIALECTS["07"]}, {"v": [1, "x", 2]})
    assert "not usable" in refused(pair)
    below = of_v({"exclusiveMinimum": True, "minimum": 1})
    assert not fits({**below, "$schema": DIALECTS["04"]}, {"v": 1})
    assert "not usable" in refused(below)


@pytest.mark.parametrize(
    "dialect", ["https://example.invalid/dialect", "draft-07", "", "https://json-schema.org/draft/2024-01/schema"]
)
def test_other_dialects_are_refused_with_those_that_there_are(dialect: str) -> None:
    for form in (of_v({}, **{"$schema": dialect}), of_v({"$id": "x", "$schema": dialect})):
        said = refused(form)
        assert f"dialect {dialect!r}, which is not supported" in said
        assert all(uri.removesuffix("#") in said for uri in DIALECTS.values())


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (of_v({"$ref": "#/$defs/a~1b%20c"}, **{"$defs": {"a/b c": {"type": "integer"}}}), 1, "x"),
        (of_v({"$ref": "#here"}, **{"$defs": {"x": {"$anchor": "here", "type": "integer"}}}), 1, "x"),
        (
            of_v({"$ref": "#/properties/w"}, **{"$defs": {}})
            | {"properties": {"v": {"$ref": "#/properties/w"}, "w": {"type": "integer"}}},
            1,
            "x",
        ),
        (
            of_v(
                {"$ref": "https://a.invalid/b"}, **{"$defs": {"b": {"$id": "https://a.invalid/b", "type": "integer"}}}
            ),
            1,
            "x",
        ),
        (
            of_v(
                {"$ref": "b#/$defs/c"},
                **{"$id": "https://a.invalid/", "$defs": {"b": {"$id": "b", "$defs": {"c": {"type": "integer"}}}}},
            ),
            1,
            "x",
        ),
        (of_v({"$ref": "urn:x:y"}, **{"$defs": {"b": {"$id": "urn:x:y", "type": "integer"}}}), 1, "x"),
        (of_v({"$ref": "https://json-schema.org/draft/2020-12/schema"}), {"type": "string"}, {"type": 1}),
        (of_v({"$dynamicRef": "#n"}, **{"$defs": {"n": {"$dynamicAnchor": "n", "type": "integer"}}}), 1, "x"),
        (
            of_v({"$ref": "#a"}, **{"$schema": DIALECTS["07"], "definitions": {"a": {"$id": "#a", "type": "integer"}}}),
            1,
            "x",
        ),
        (
            of_v({"$ref": "#a"}, **{"$schema": DIALECTS["04"], "definitions": {"a": {"id": "#a", "type": "integer"}}}),
            1,
            "x",
        ),
        (of_v({"$ref": "#/$defs/any"}, **{"$defs": {"any": True}}), 1, ...),
        (of_v({"items": {"$recursiveRef": "#"}}, **{"$schema": DIALECTS["2019-09"]}), [{"v": []}], [1]),
    ],
)
def test_references_within_the_schema_work(form: dict[str, Any], good: Any, bad: Any) -> None:
    assert fits(form, {"v": good})
    assert bad is ... or not fits(form, {"v": bad})


@contextmanager
def listening():
    """A server that notes what is asked of it and would answer with a schema."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/schema", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_is_fetched_for_any_kind_of_reference() -> None:
    with listening() as (uri, asked):
        for form in (
            of_v({"$ref": uri}),
            of_v({"$dynamicRef": f"{uri}#a"}),
            of_v({"$recursiveRef": uri}, **{"$schema": DIALECTS["2019-09"]}),
            of_v({"$ref": "schema"}, **{"$id": uri.removesuffix("schema") + "root"}),
            of_v({}, **{"$defs": {"unused": {"$ref": uri}}}),
            of_v({}, **{"$schema": uri}),
            of_v({"$id": "x", "$schema": uri}),
            of_v({"$ref": f"{uri}#/a"}, **{"$schema": DIALECTS["07"]}),
        ):
            assert uri.partition("?")[0] in refused(form) or "schema lies outside" in refused(form)
    assert asked == []


@pytest.mark.parametrize(
    "reference",
    [
        "file:///etc/hostname",
        "other.json",
        "#/$defs/none",
        "#none",
        "#/type",
        "http://[",
        "http://[#a",
        "#/$defs/%",
        "https://json-schema.org/draft/2099-01/schema",
    ],
)
def test_what_leads_nowhere_is_refused_by_its_name(reference: str) -> None:
    assert f"{reference} lies outside the schema" in refused(of_v({"$ref": reference}))


def test_many_dynamic_references_to_many_places_are_counted_quickly() -> None:
    places = {f"d{n}": {"$dynamicAnchor": "a"} for n in range(2400)}
    started = time.perf_counter()
    compiled({"type": "object", "properties": {str(n): {"$dynamicRef": "#a"} for n in range(2400)}, "$defs": places})
    assert time.perf_counter() - started < 2


def test_a_schema_that_never_ends_is_refused() -> None:
    assert "no check would end" in refused({"type": "object", "$ref": "#"})
    mutual = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{other}"} for other in range(15)]} for n in range(15)}
    assert "no check would end" in refused(of_v({"$ref": "#/$defs/d0"}, **{"$defs": mutual}))


def test_patterns_take_linear_time_and_none_goes_back() -> None:
    form = of_v({"pattern": "^(a+)+$"})
    started = time.perf_counter()
    assert not fits(form, {"v": "a" * 1_000_000 + "b"})
    assert time.perf_counter() - started < 2
    for pattern in (r"(a)\1", "a(?=b)", "(?<!a)b", "[ab]{1000}{1000}{1000}"):
        assert "not usable" in refused(of_v({"pattern": pattern}))


UNION = {
    f"d{n}": {"allOf": [{"properties": {"a": {"$ref": f"#/$defs/d{other}"}}} for other in range(14)]} for n in range(14)
}
DEEP: dict[str, Any] = {}
for _ in range(100):
    DEEP = {"a": DEEP}


LONGEST = b"9" * 4_000_000
"""What could be heaviest: a value that comes with this text is always weighed."""


def either(form: Any, count: int) -> dict[str, Any]:
    return {"not": {"anyOf": [{"not": form}] * count}}


ATTACKS: dict[str, tuple[dict[str, Any], Any]] = {
    "large integers alike": (of_v({"uniqueItems": True}), [2**63 + n for n in range(150_000)]),
    "large negative integers": (of_v({"uniqueItems": True}), [n - 2**62 for n in range(150_000)]),
    "integers of 400 digits": (of_v({"uniqueItems": True}), [10**400 + n for n in range(8_000)]),
    "a few of 4000 digits": (of_v({"items": {"allOf": [{"maximum": 5}] * 400}}), [-(10**4000)] * 900),
    "unique beyond lists": (of_v({"items": {"uniqueItems": True}}), [[2**63 + n for n in range(300)]] * 500),
    "options of lists": (
        of_v({"items": either({"enum": [[0] * 20 + [n] for n in range(2000)]}, 1)}),
        [[0] * 21] * 9000,
    ),
    "options of objects": (of_v({"items": {"enum": [{"a": n} for n in range(4000)]}}), [{"a": -1}] * 50_000),
    "options of all kinds": (of_v({"items": either({"enum": [1, *map(str, range(20_000))]}, 1)}), ["x"] * 90_000),
    "a long constant": (of_v({"items": either({"const": [0] * 9000 + [1]}, 1)}), [[0] * 9001] * 200),
    "required by each": (
        of_v({"items": {"dependentRequired": {f"k{n}": ["a"] for n in range(4000)}}}),
        [{}] * 500_000,
    ),
    "schemas by each": (of_v({"items": {"dependentSchemas": {f"k{n}": {} for n in range(4000)}}}), [{}] * 500_000),
    "names by patterns": (
        of_v({"patternProperties": {f"^k+{n}x": {} for n in range(1000)}}),
        {f"a{n}": 1 for n in range(200_000)},
    ),
    "long names": (of_v({"propertyNames": either({"pattern": "^(a+)+b"}, 50)}), {"a" * 4_000_000: 1}),
    "many patterns": (of_v({"allOf": [{"not": {"pattern": f"^(a+)+b{n}$"}} for n in range(500)]}), "a" * 4_000_000),
    "a pattern of many states": (of_v({"not": {"pattern": "[ab]*a[ab]{2000}c"}}), "abbab" * 200_000),
    "many lengths": (of_v({"allOf": [{"maxLength": 10**7 - n} for n in range(2000)]}), "é" * 1_500_000),
    "doubled as far as allowed": (doubled(14), [0] * 1_000_000),
    "doubled in items": (of_v({"items": {"$ref": "#/$defs/d0"}}, **{"$defs": doubled(13)["$defs"]}), [0] * 500_000),
    "a tower of contains": (of_v({"contains": {"contains": {"contains": {"type": "null"}}}}), [[[0] * 99] * 99] * 99),
    "a wide contains": (of_v({"allOf": [{"contains": {"const": n}} for n in range(1, 900)]}), [0] * 500_000),
    "alternatives in towers": (
        of_v({"if": either({"minimum": 1}, 9), "then": either({}, 99), "else": {"oneOf": [{}, {"not": {}}] * 99}}),
        [0] * 500_000,
    ),
    "recursive, all with all": (of_v({"$ref": "#/$defs/d0"}, **{"$defs": UNION}), DEEP),
    "recursive, some with some": (
        of_v({"$ref": "#/$defs/d0"}, **{"$defs": {f"d{n}": {"allOf": UNION[f"d{n}"]["allOf"][:6]} for n in range(6)}}),
        {f"k{n}": DEEP for n in range(2000)} | {"a": DEEP},
    ),
    "recursive and unevaluated": (
        {
            "type": "object",
            "$dynamicAnchor": "n",
            "anyOf": [{"properties": {"v": {"$dynamicRef": "#n"}}}] * 8,
            "unevaluatedProperties": False,
        },
        {"v": DEEP},
    ),
    "the schema of schemas": (
        of_v({"allOf": [{"$ref": "https://json-schema.org/draft/2020-12/schema"}] * 50}),
        {"properties": {f"a{n}": {"items": {}} for n in range(100_000)}},
    ),
    "unevaluated items": (
        of_v({"anyOf": [{"contains": {"const": n}} for n in range(50)], "unevaluatedItems": False}),
        [0, 1, 2] * 200_000,
    ),
}


def grown(value: Any) -> Iterator[Any]:
    """The value in parts that double, the whole at the end."""
    if not isinstance(value, (list, str)):
        yield value
        return
    for halvings in range(14, -1, -1):
        yield value[: len(value) >> halvings]


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_holds_up_a_server(name: str) -> None:
    form, whole = ATTACKS[name]
    try:
        schema = compiled(form)
    except DeclarationError:
        return
    for value in grown(whole):
        started = time.perf_counter()
        try:
            schema.fits({"v": value}, LONGEST)
        except TooHeavy:
            break
        finally:
            assert time.perf_counter() - started < 5


@pytest.mark.parametrize("name", ["large integers alike", "many patterns", "doubled in items", "options of all kinds"])
def test_what_is_too_heavy_is_not_begun(name: str) -> None:
    form, value = ATTACKS[name]
    with pytest.raises(TooHeavy):
        compiled(form).fits({"v": value}, LONGEST)


def test_common_arguments_are_checked_whatever_their_size() -> None:
    row = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string", "maxLength": 80}}}
    rows = of_v({"type": "array", "items": row})
    assert fits(rows, {"v": [{"id": n, "name": f"name {n}"} for n in range(100_000)]})
    assert fits(of_v({"type": "string"}), {"v": "x" * 4_000_000})
    ids = [2**60 + 7919 * 4096 * n for n in range(20_000)]
    assert fits(of_v({"uniqueItems": True, "items": {"type": "integer"}}), {"v": ids})


def test_errors_are_told_one_by_one_only_where_that_is_quick() -> None:
    schema = compiled(of_v({"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}))
    assert [error.instance_path for error in schema.errors({"v": [1, "x"]}) or ()] == [["v", 1]]
    assert schema.errors({"v": ["x"] * 100_000}) is None
    assert compiled({"type": "object", "properties": {"v": {"$ref": "#"}}}).errors({"v": 1}) is None


KEYWORDS = st.sampled_from(
    "allOf anyOf not if then items prefixItems contains properties patternProperties additionalProperties "
    "propertyNames dependentSchemas dependentRequired unevaluatedProperties unevaluatedItems $ref $dynamicRef $anchor "
    "$dynamicAnchor $id $defs $schema type enum const pattern format minLength multipleOf uniqueItems required "
    "$recursiveRef".split()
)
TEXTS = st.sampled_from(
    ["#", "#/$defs/a", "#a", "a", "http://a.invalid/", "object", "string", "(a+)+", "", "\ud800", DIALECTS["07"]]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYWORDS, inner, max_size=4)
        | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.dictionaries(KEYWORDS, ANYTHING, max_size=5), ANYTHING)
def test_any_schema_is_used_or_refused_with_a_sentence(form: dict[str, Any], value: Any) -> None:
    try:
        schema = compiled({**form, "type": "object"})
    except DeclarationError as refusal:
        assert str(refusal).startswith("tool 'it': the input schema ")
        return
    try:
        schema.fits({"v": value}, b"{}")
        schema.errors({"v": value})
    except (TooHeavy, ValueError, RecursionError):
        pass
