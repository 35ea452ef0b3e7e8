"""The tree of errors is complete and says the truth: every class has its facts, every word and key stands in it."""

import ast
import re
from pathlib import Path

import pytest

from bascule import errors
from bascule.errors import BasculeError, Forbidden, MCPError, ToolError
from scripts.errors import kinds, page

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "bascule").rglob("*.py"))
TREES = {path.relative_to(ROOT / "src").as_posix(): ast.parse(path.read_text()) for path in SOURCES}
REACHING = [kind for kind in kinds(BasculeError) if issubclass(kind, MCPError | ToolError)]
RETRIES = {"no", "once mended", "later", "after retryAfter"}


def nodes(kind):
    return [(path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kind)]


def test_the_page_is_what_the_classes_say():
    assert (ROOT / "docs" / "errors.md").read_text() == page(), "run: python scripts/errors.py > docs/errors.md"


@pytest.mark.parametrize("kind", REACHING, ids=lambda kind: kind.__name__)
def test_every_error_that_reaches_a_caller_has_its_own_facts(kind):
    assert re.fullmatch(r"[A-Z].*\.", vars(kind)["advice"])
    assert kind.retry in RETRIES
    if kind.retry == "after retryAfter":
        assert "retryAfter" in kind.keys
    if issubclass(kind, MCPError) and kind.of_transport:
        assert kind.status >= 400
        assert kind.word


def test_every_error_stands_in_the_tree_and_in_its_drawing():
    """Whatever a module derives from a class of the tree, callers must be able to look up."""
    drawn = set(re.findall(r"\w+", errors.__doc__.split("Raise inside")[0]))
    assert {kind.__name__ for kind in REACHING if kind.__module__ == errors.__name__} <= drawn
    names = {kind.__name__ for kind in REACHING} | {"MCPError"}
    for path, node in nodes(ast.ClassDef):
        if any(ast.unparse(base).split(".")[-1] in names for base in node.bases):
            assert node.name in names, f"{path} has {node.name}, which docs/errors.md has not"


def test_no_two_errors_share_a_word_unless_they_mean_the_same():
    words = [kind.code for kind in REACHING if issubclass(kind, ToolError)]
    assert len(words) == len(set(words))
    of_transport = [kind.word for kind in REACHING if issubclass(kind, MCPError) and kind.word]
    of_transport += Forbidden.reasons
    assert len(of_transport) == len(set(of_transport))
    assert set(words) & set(of_transport) == {"overloaded", "permission_denied", "rate_limited"}
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", word) for word in words + of_transport)


def test_words_and_keys_are_those_of_the_class():
    """What is raised anywhere has no detail that the page does not name, and no word of its own."""
    of_name = {kind.__name__: kind for kind in REACHING}
    seen = set()
    for path, call in nodes(ast.Call):
        kind = of_name.get(ast.unparse(call.func))
        for keyword in call.keywords if kind is not None else ():
            if keyword.arg == "details" and isinstance(keyword.value, ast.Dict):
                given = {ast.literal_eval(key) for key in keyword.value.keys}
                assert given <= set(kind.keys), path
                seen |= given
            if keyword.arg == "reason":
                assert ast.literal_eval(keyword.value) in Forbidden.reasons, path
                seen.add("reason")
    assert {"reason", "limit", "approvalId", "timeout"} <= seen
    for path, made in nodes(ast.Dict):
        for key, value in zip(made.keys, made.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "code":
                assert not isinstance(getattr(value, "value", None), str), f"{path} makes up a word"


def test_an_error_of_the_transport_carries_its_word_without_being_told():
    assert errors.TooMany("Too many").data == {"code": "too_many_streams"}
    assert errors.Unauthenticated("Who are you?").data == {"code": "unauthenticated"}
    assert MCPError("no").data is None
    assert errors.Draining().data == {"code": "draining", "retryAfter": 1}
    assert Forbidden("no").data == {"code": "permission_denied"}
