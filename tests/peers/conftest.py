"""What other people wrote, for the tests to talk to: `make peers` fetches it into `.peers`.

Where it is missing, the tests are skipped and say so; with CI=true they fail.
"""

import os

import pytest

from tests.peers.parties import PEERS, program

NAMES = {"mcp": "THE OFFICIAL PYTHON SDK", "fastmcp": "FASTMCP", "node": "NODE.JS 22 OR THE TYPESCRIPT SDKS"}


@pytest.fixture(scope="session")
def sdk() -> str:
    """The interpreter of the environment that has the official Python SDK."""
    return wanted("mcp")[0]


@pytest.fixture(scope="session")
def everything() -> list[str]:
    """The command of server-everything, without its transport."""
    node = wanted("node")[0]
    return [node, str(PEERS / "node_modules/@modelcontextprotocol/server-everything/dist/index.js")]


def wanted(environment: str) -> list[str]:
    """What a command of an environment begins with; where that has not been made, the test ends here."""
    found = program(environment)
    if found is None:
        reason = f"{NAMES[environment]} IS MISSING, its tests did not run: `make peers` fetches it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
