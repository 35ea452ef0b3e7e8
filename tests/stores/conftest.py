"""A Redis for the tests of what is kept in one."""

from collections.abc import Iterator

import pytest

from tests.redis import RedisServer, need


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests of a file. Without one the test is skipped, and fails where CI=true."""
    running = need()
    yield running
    running.close()


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    """The server, with nothing in it."""
    shared_redis.command("FLUSHALL")
    return shared_redis
