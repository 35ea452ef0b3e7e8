"""One answer over ASGI, written to by several at once, for clients that leave and with a store that fails."""

import asyncio
import math
from contextlib import suppress

import pytest

from bascule.engine.exchange import Conversation, Peer
from bascule.errors import MCPError
from bascule.transports.http_headers import Accepted, headers_of
from bascule.transports.http_reply import Reply
from bascule.wire.requests import ClientCapabilities

CONVERSATION = Conversation(Peer("2025-11-25", None, ClientCapabilities()), "key")


class Recorder:
    primes = True

    def __init__(self, fails=False):
        self.fails = fails
        self.kept = []

    async def record(self, data, *, last):
        if self.fails:
            raise ConnectionResetError("the store is gone")
        self.kept.append((data, last))
        return f"s.{len(self.kept)}"

    def drop(self):
        self.kept = None


class Home:
    def __init__(self, recorder):
        self.made = recorder

    def recorder(self, conversation):
        return self.made

    async def ask(self, conversation, reply, method, params):
        raise AssertionError("nobody asks")


class Wire:
    """The server's side of `send`: may be held up, may be gone, and keeps what comes."""

    def __init__(self):
        self.sent = []
        self.free = asyncio.Event()
        self.free.set()
        self.gone = False

    async def send(self, message):
        await self.free.wait()
        if self.gone:
            raise OSError("the client has left")
        self.sent.append(message)

    @property
    def kinds(self):
        return [message["type"].rpartition(".")[2] for message in self.sent]

    @property
    def bodies(self):
        return [message["body"] for message in self.sent if "body" in message]


@pytest.fixture
async def wire():
    return Wire()


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def reply(wire, recorder):
    reply = Reply(wire.send)
    reply.takes(Accepted(json=True, stream=True))
    reply.conversation, reply.home = CONVERSATION, Home(recorder)
    return reply


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_client_that_has_left_disturbs_nobody_and_can_come_back(reply, wire, recorder):
    await reply.event(b"one")
    wire.gone = True
    await reply.event(b"two")
    await reply.finish(b"result")
    assert recorder.kept == [(b"", False), (b"one", False), (b"two", False), (b"result", True)]
    assert wire.bodies[-1] == b"id: s.2\ndata: one\n\n"


async def test_an_answer_to_nobody_is_no_failure(wire):
    wire.gone = True
    await Reply(wire.send).finish(b"{}")
    await Reply(wire.send).empty(202)


async def test_a_store_that_fails_takes_the_way_back_and_not_the_answer(reply, wire, recorder, caplog):
    await reply.event(b"one")
    recorder.fails = True
    await reply.event(b"two")
    await reply.release(1.0)
    await reply.finish(b"result")
    assert wire.bodies[-2:] == [b"data: two\n\n", b"data: result\n\n"]
    assert recorder.kept is None, "who comes back with the id of the first must not miss the second unawares"
    assert "cannot be kept" in caplog.text


async def test_two_who_write_at_once_write_one_after_the_other(reply, wire):
    wire.free.clear()
    writers = [asyncio.ensure_future(reply.event(data)) for data in (b"one", b"two")]
    await turns()
    wire.free.set()
    await asyncio.gather(*writers)
    await reply.finish(b"result")
    assert wire.kinds == ["start", *["body"] * 4]
    assert [body[:7] for body in wire.bodies] == [b"id: s.1", b"id: s.2", b"id: s.3", b"id: s.4"]


async def test_nothing_follows_the_end_of_a_connection_that_is_let_go(reply, wire, recorder):
    await reply.event(b"one")
    wire.free.clear()
    writers = [asyncio.ensure_future(write) for write in (reply.release(1.0), reply.comment(), reply.event(b"two"))]
    await turns()
    wire.free.set()
    await asyncio.gather(*writers)
    assert wire.bodies[-1] == b"retry: 1000\n\n"
    assert recorder.kept[-1] == (b"two", False)


async def test_a_stream_whose_start_was_cancelled_is_started_again(reply, wire):
    wire.free.clear()
    writer = asyncio.ensure_future(reply.event(b"one"))
    await turns()
    writer.cancel()
    with suppress(asyncio.CancelledError):
        await writer
    wire.free.set()
    await reply.end()
    assert wire.kinds == ["start", "body"]


async def test_a_stream_that_ends_without_an_answer_is_not_kept(reply, recorder):
    await reply.event(b"one")
    await reply.end()
    assert recorder.kept is None


@pytest.mark.parametrize(
    ("wait", "challenge", "headers"),
    [
        (1.2, None, [(b"retry-after", b"2")]),
        (0, "Bearer", [(b"www-authenticate", b"Bearer"), (b"retry-after", b"0")]),
        (-1, None, []),
        (math.nan, None, []),
        (math.inf, None, []),
        (1e300, None, []),
        (None, "Bearer \u2603", [(b"www-authenticate", b"Bearer ?")]),
    ],
)
def test_an_error_says_in_headers_what_headers_can_say(wait, challenge, headers):
    error = MCPError("no", status=503)
    error.retry_after, error.challenge = wait, challenge
    assert headers_of(error) == headers
