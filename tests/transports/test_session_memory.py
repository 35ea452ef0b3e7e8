"""Ten thousand sessions: what they leave in memory, open or closed."""

import gc
import resource
import sys

import pytest

from bascule import Server
from tests.messages import initialize
from tests.transports.test_cancellation import Request, endpoint

SESSIONS = 10_000
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident():
    """The resident memory of this process, in KiB."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


class Ended(Request):
    """A DELETE of one session."""

    METHOD = "DELETE"


async def sessions(served, count, *, close):
    """Open so many sessions, and close them where that is wanted."""
    for _ in range(count):
        start, _body = await Request(served, initialize(), ACCEPT).answered()
        session = {**ACCEPT, "mcp-session-id": dict(start["headers"])[b"mcp-session-id"].decode()}
        if close:
            (ended, _body) = await Ended(served, {}, session).answered()
            assert ended["status"] == 200


@pytest.mark.parametrize(("close", "kib"), [(False, 1024), (True, 6 * 1024)])
async def test_sessions_leave_memory_flat(close, kib):
    """All that stays of a session that was closed is the mark that refuses its id until that expires: 300 bytes."""
    async with endpoint(Server("t")) as served:
        await sessions(served, SESSIONS // 10, close=close)
        gc.collect()
        objects, memory = len(gc.get_objects()), resident()
        await sessions(served, SESSIONS, close=close)
        gc.collect()
        assert len(gc.get_objects()) - objects < 500
        assert resident() - memory < kib
