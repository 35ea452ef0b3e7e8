"""What `bascule.testing` exports: every name resolves and says what it is, and none loads before it is used."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bascule.testing
from tests.test_exports import typed_homes

ROOT = Path(__file__).parents[2]
NAMES = sorted(bascule.testing._HOMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_resolves_and_says_what_it_is(name):
    assert (inspect.getdoc(getattr(bascule.testing, name)) or "").strip()


def test_type_checkers_see_the_names_that_programs_see():
    assert typed_homes((ROOT / "src/bascule/testing/__init__.py").read_text()) == bascule.testing._HOMES
    assert dir(bascule.testing) == NAMES == list(bascule.testing._HOMES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'serve_htp'"):
        _ = bascule.testing.serve_htp


def test_the_plugin_loads_nothing_but_pytest():
    code = (
        "import pytest, sys; before = set(sys.modules); import bascule.testing.plugin; print(set(sys.modules) - before)"
    )
    found = eval(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    expected = {"bascule", "bascule.late", "bascule.version", "bascule.testing", "bascule.testing.plugin"}
    assert {name for name in found if name.startswith("bascule")} == expected
    assert not {"asyncio", "msgspec", "httpx2", "uvicorn"} & found


def test_every_name_is_documented():
    page = (ROOT / "docs" / "testing.md").read_text()
    assert [name for name in NAMES if f"`{name}" not in page] == []
