"""The pytest plugin: the test kit as fixtures.

Loaded by pytest in every run of an environment that has Bascule, so it imports nothing but pytest: what a fixture needs
is loaded when a test asks for it. All fixtures are synchronous and need no plugin for async tests.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from bascule.late import late

if TYPE_CHECKING:
    from bascule.client.client import Client
    from bascule.client.connect import StdioCommand
    from bascule.testing.clock import ManualClock
    from bascule.testing.http import Serving


@pytest.fixture
def bascule_client() -> "Callable[..., Client]":
    """A function `(server, *, era=None, ...)` that gives a client of a Server object, in memory.

    Use what it gives with `async with`. It takes the options of `Client`; `era` is "modern", "legacy" or None, which
    finds out.
    """
    client: Callable[..., Client] = late("bascule.client.client:Client")
    return client


@pytest.fixture(params=["modern", "legacy"])
def bascule_era(request: pytest.FixtureRequest) -> str:
    """Each era of the protocol in turn: a test that takes this runs twice."""
    era: str = request.param
    return era


@pytest.fixture
def serve_http() -> "Iterator[Callable[..., Serving]]":
    """A function `(server, **settings)` that serves a Server object over real HTTP on a free port, until the test ends.

    What it gives has the `url`. It may be called several times.
    """
    serve = late("bascule.testing.http:serve_http")
    with ExitStack() as servers:
        yield lambda app, **settings: servers.enter_context(serve(app, **settings))


@pytest.fixture
def serve_stdio() -> "Callable[..., StdioCommand]":
    """A function `(target, *, env=None, cwd=None)` that gives the command of a server as a child process.

    Give the command to `Client`, which starts and ends it.
    """
    serve: Callable[..., Any] = late("bascule.testing.stdio:serve_stdio")
    return serve


@pytest.fixture
def manual_clock() -> "ManualClock":
    """A ManualClock at 0 seconds."""
    clock: ManualClock = late("bascule.testing.clock:ManualClock")()
    return clock
