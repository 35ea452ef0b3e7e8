"""What an import costs: `import bascule` and `from bascule import Server` load what they need and nothing beside it.

Counted in a fresh interpreter against a bare one, so that what Python itself loads at start does not matter.
"""

import json
import subprocess
import sys

import pytest

PROBE = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

HEAVY = {"asyncpg", "cryptography", "cyclopts", "httpx2", "jinja2", "joserfc", "opentelemetry", "pgparse", "pydantic"}
HEAVY |= {"redis", "rich", "starlette", "uvicorn", "uvloop", "httptools", "h11", "sqlite3"}
EDGES = {"transports", "cli", "client", "serve", "eras", "runtime", "servers"}


def loaded_by(statement: str) -> list[str]:
    """The modules that a statement adds to those of a bare interpreter."""
    command = [sys.executable, "-c", PROBE.format(statement=statement)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def unwanted(modules: list[str]) -> list[str]:
    """Those that stand for HTTP, the command line, an extra, or a layer that a server author does not import."""
    return [
        name
        for name in modules
        if name.split(".")[0] in HEAVY or (name.startswith("bascule.") and name.split(".")[1] in EDGES)
    ]


@pytest.mark.parametrize(
    ("statement", "limit"),
    [
        ("import bascule", 36),
        ("from bascule import ToolError, TextContent", 82),
        ("from bascule import Server", 240),
    ],
)
def test_an_import_loads_little(statement, limit):
    modules = loaded_by(statement)
    assert unwanted(modules) == []
    assert len(modules) <= limit, modules


def test_a_needless_module_would_be_seen():
    assert unwanted(["bascule.server.app", "json"]) == []
    assert unwanted(["bascule.serve", "bascule.cli.main"]) == ["bascule.serve", "bascule.cli.main"]
    assert "rich" in unwanted(loaded_by("import bascule, rich"))
