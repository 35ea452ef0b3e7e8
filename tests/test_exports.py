"""What `bascule` exports: every name resolves, says what it is, and is known to the tables that speak of it."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import bascule

ROOT = Path(__file__).parent.parent
NAMES = sorted(bascule._HOMES)


def typed_homes(source: str) -> dict[str, str]:
    """The names that the TYPE_CHECKING block imports, each with the module it comes from."""
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: node.module for node in imports for alias in node.names}


def promised_names(document: str) -> set[str]:
    """The names in the list that STABILITY.md gives of the package's exports."""
    listed = document.partition("<!-- exports -->")[2].partition("<!-- /exports -->")[0]
    return set(re.findall(r"`(\w+)`", listed))


@pytest.mark.parametrize("name", NAMES)
def test_every_exported_name_resolves_and_says_what_it_is(name):
    value = getattr(bascule, name)
    assert not inspect.ismodule(value)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert (value.__doc__ or "").strip()


def test_type_checkers_see_the_names_that_programs_see():
    assert typed_homes((ROOT / "src/bascule/__init__.py").read_text()) == bascule._HOMES


def test_all_lists_every_name_and_the_version():
    assert bascule.__all__ == [*bascule._HOMES, "__version__"]
    assert dir(bascule) == sorted(bascule.__all__)


def test_names_stand_in_order():
    assert list(bascule._HOMES) == sorted(bascule._HOMES)


def test_the_stability_promise_names_what_is_exported():
    assert promised_names((ROOT / "STABILITY.md").read_text()) == set(bascule.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        _ = bascule.Sever


def test_a_forgotten_name_would_be_seen():
    assert typed_homes("if X:\n    from a.b import c as d\n") == {"d": "a.b"}
    assert promised_names("`a`\n<!-- exports -->\n`b`, `c`\n<!-- /exports -->\n`d`") == {"b", "c"}
