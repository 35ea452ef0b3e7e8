"""Databases for the tests of the ready-made servers."""

import os
from collections.abc import Iterator

import pytest

from tests.postgres import Cluster, NoPostgres, start


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real PostgreSQL, one for the whole run. Without one the test is skipped, and fails where CI=true."""
    try:
        running = start()
    except NoPostgres as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL is needed: {reason}")
        pytest.skip(f"NO POSTGRESQL, its tests did not run: {reason}")
    yield running
    running.stop()
