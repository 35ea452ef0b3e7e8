"""What other people wrote, for the tests to talk to: `make peers` fetches it into `.peers`.

Where it is missing, the tests are skipped and say so; with CI=true they fail.
"""

import os
from pathlib import Path

import pytest

from tests.conformance.run import find_node

PEERS = Path(__file__).parent.parent.parent / ".peers"


@pytest.fixture(scope="session")
def sdk() -> str:
    """The interpreter of the environment that has the official Python SDK."""
    python = PEERS / "venv" / "bin" / "python"
    if not (PEERS / ".installed-sdk").exists() or not python.exists():
        missing("THE OFFICIAL PYTHON SDK")
    return str(python)


@pytest.fixture(scope="session")
def everything() -> list[str]:
    """The command of server-everything, without its transport."""
    program = PEERS / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    node = find_node()
    if not (PEERS / ".installed-everything").exists() or node is None or not program.exists():
        missing("NODE.JS 22 OR SERVER-EVERYTHING")
    return [str(node), str(program)]


def missing(what: str) -> None:
    reason = f"{what} IS MISSING, its tests did not run: `make peers` fetches it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
