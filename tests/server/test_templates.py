"""URI templates: expansion as in RFC 6570, and matching as its inverse."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.server.templates import Template

VALUES = {
    "var": "value",
    "hello": "Hello World!",
    "path": "/foo/bar",
    "empty": "",
    "x": "1024",
    "y": "768",
    "half": "50%",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{var}", "value"),
        ("{hello}", "Hello%20World%21"),
        ("{half}", "50%25"),
        ("O{empty}X", "OX"),
        ("O{undef}X", "OX"),
        ("{x,y}", "1024,768"),
        ("{+hello}", "Hello%20World!"),
        ("{+half}", "50%25"),
        ("{+path}/here", "/foo/bar/here"),
        ("{+path,x}/here", "/foo/bar,1024/here"),
        ("{#path,x}/here", "#/foo/bar,1024/here"),
        ("X{.var}", "X.value"),
        ("X{.x,y}", "X.1024.768"),
        ("{/var,x}/here", "/value/1024/here"),
        ("{;x,y,empty}", ";x=1024;y=768;empty"),
        ("{?x,y,empty}", "?x=1024&y=768&empty="),
        ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
        ("{?undef}", ""),
        ("café", "caf%C3%A9"),
    ],
)
def test_expansion_follows_the_rfc(template: str, expected: str) -> None:
    assert Template(template).expand(VALUES) == expected


@pytest.mark.parametrize(
    ("template", "uri", "expected"),
    [
        ("schema://{table}", "schema://orders", {"table": "orders"}),
        ("schema://{table}", "schema://", None),
        ("schema://{table}", "schema://a/b", None),
        ("schema://{table}", "schema://a%2Fb%20c", {"table": "a/b c"}),
        ("schema://{table}", "schema://a%zz", None),
        ("schema://{table}", "schema://a%", None),
        ("schema://{table}", "schema://%ff", None),
        ("schema://{table}", "other://a", None),
        ("user://{mail}", "user://a@b.c", {"mail": "a@b.c"}),
        ("file:///{+path}", "file:///a/b/c", {"path": "a/b/c"}),
        ("file:///{+path}/{name}.{ext}", "file:///a/b/c.tar.gz", {"path": "a/b", "name": "c.tar", "ext": "gz"}),
        ("a:{x}{y}", "a:123", {"x": "12", "y": "3"}),
        ("a:{x}-{y}", "a:1-2-3", {"x": "1-2", "y": "3"}),
        ("a:{x}%41{y}", "a:1%412", {"x": "1", "y": "2"}),
        ("a:b{?q,p}", "a:b", {}),
        ("a:b{?q,p}", "a:b?p=1&q=a%26b", {"p": "1", "q": "a&b"}),
        ("a:b{?q}{&p}", "a:b?p=1", {"p": "1"}),
        ("a:b{?q}", "a:b?q=1&q=2", None),
        ("a:b{?q}", "a:b?z=1", None),
        ("a:b{?q}", "a:b?q=c?d", {"q": "c?d"}),
        ("a:b?f=1{&q}", "a:b?f=1&q=2", {"q": "2"}),
        ("a:b?f=1{&q}", "a:b?f=1", {}),
        ("a:{+path}{?ref}", "a:x/y?ref=1", {"path": "x/y", "ref": "1"}),
        ("a:{+path}{?ref}", "a:x?y", {"path": "x?y"}),
        ("a:b{#part}", "a:b#c/d", {"part": "c/d"}),
        ("a:b{;x,y}", "a:b;x=1;y", {"x": "1", "y": ""}),
        ("a:b{/x,y}", "a:b/1/2", {"x": "1", "y": "2"}),
        ("a:b{.x}", "a:b.c", {"x": "c"}),
        ("a:b", "a:b", {}),
        ("a:b", "a:bc", None),
        ("", "", {}),
    ],
)
def test_matching(template: str, uri: str, expected: dict[str, str] | None) -> None:
    assert Template(template).match(uri) == expected


def test_variables_are_listed_in_order() -> None:
    assert Template("a://{x}/{+y}{?p,q}{&r}").variables == ("x", "y", "p", "q", "r")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("a:{x", "brace without"),
        ("a:x}", "brace without"),
        ("a:{{x}}", "brace without"),
        ("a:{}", "expression {}"),
        ("a:{x y}", "expression {x y}"),
        ("a:{=x}", "expression {=x}"),
        ("a:{x,}", "expression {x,}"),
        ("a:{x*}", "level 4"),
        ("a:{x:3}", "level 4"),
        ("a:{x}{x}", "twice"),
        ("a:{?x}/b", "goes on after a query"),
        ("a:{?x}{?y}", "goes on after a query"),
        ("a:%zz", "percent-encoded"),
        ("a: b", "outside braces"),
    ],
)
def test_bad_templates_are_refused(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Template(template)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
_PLAIN = st.text(alphabet="abc/;=.,-ü", min_size=1)


@given(st.fixed_dictionaries(dict.fromkeys(("a", "b", "c", "p", "q"), _TEXT)))
@pytest.mark.parametrize(
    "template", ["x://{a}/{b,c}{?p,q}", "x://{a}{/b}{;c}?f=1{&p,q}", "x:{/a,b}{;c,p,q}", "x:{a}{#b}"]
)
def test_what_is_expanded_matches_again(template: str, values: dict[str, str]) -> None:
    found = Template(template)
    expected = {name: values[name] for name in found.variables}
    if "#" in template:
        expected["b"] = values["b"].replace("%", "")
    assert found.match(found.expand(expected)) == expected


@given(_PLAIN, _PLAIN)
def test_reserved_values_match_again(a: str, b: str) -> None:
    found = Template("x:{+a}{?b}")
    assert found.match(found.expand({"a": a, "b": b})) == {"a": a, "b": b}


@given(st.text(alphabet="ax/%4?&=#;,.", max_size=30), st.sampled_from(["{a}x{b}", "{+a}/{b}{?x}", "a{;a}{.b}", "{#a}"]))
def test_no_uri_raises(uri: str, template: str) -> None:
    found = Template(template).match(uri)
    assert found is None or set(found) <= set(Template(template).variables)


def test_matching_takes_linear_time() -> None:
    template = Template("a:" + "".join(f"{{v{at}}}x" for at in range(20)))
    start = time.perf_counter()
    assert template.match("a:" + "x" * 20_000 + "y") is None
    assert template.match("a:" + "xy" * 5_000) is None
    assert Template("a:{+p}{?q}").match("a:" + "?q=&z" * 5_000) is not None
    assert time.perf_counter() - start < 5
