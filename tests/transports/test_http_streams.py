"""The streams of handshake-era sessions, in the test's own loop: failing stores, batches, streams that take over."""

import asyncio
import json

import pytest

from bascule import Context, Server
from bascule.engine.exchange import ANONYMOUS, Conversation, Peer
from bascule.engine.hub import Hub
from bascule.engine.settings import HttpSettings
from bascule.eras.sealing import Sealer
from bascule.stores.memory import MemoryReplay
from bascule.transports.http_reply import Reply
from bascule.transports.http_server import HttpServer
from bascule.transports.http_sessions import HandshakeEndpoint
from bascule.transports.http_streams import Streams
from bascule.wire.requests import ClientCapabilities
from tests.messages import ACCEPT, initialize, legacy, line

URI = "note://a"


class Failing(MemoryReplay):
    """A store whose reads fail as a connection does; what it says is nobody's business."""

    async def knows(self, stream, number):
        raise ConnectionResetError("secret")


class Request:
    """One request in this loop; `answer` gathers what is sent."""

    def __init__(self, server, method, headers, body=b""):
        self.inbox = asyncio.Queue()
        self.inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.sent = []
        pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
        scope = {"type": "http", "method": method, "path": "/mcp", "headers": pairs}
        self.task = asyncio.ensure_future(server(scope, self.inbox.get, self.send))

    async def send(self, message):
        self.sent.append(message)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
def app():
    app = Server("t")

    @app.tool
    async def wait(ctx: Context) -> str:
        await ctx.info("begun")
        await asyncio.Event().wait()
        return "never"

    return app


async def turns():
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def served(app, replay):
    sealer = Sealer(())

    def endpoint(application, settings, seal):
        return HandshakeEndpoint(application, settings, seal, replay)

    return HttpServer(app, HttpSettings(), endpoint, None, lambda: sealer)


async def opened(server, version):
    headers = {"content-type": "application/json", "accept": ACCEPT}
    greeting = Request(server, "POST", headers, line(initialize(version)))
    await greeting.task
    return {**headers, "mcp-session-id": dict(greeting.sent[0]["headers"])[b"mcp-session-id"].decode()}


async def test_a_store_that_fails_is_an_error_that_tells_nothing(app):
    server = served(app, Failing())
    session = await opened(server, "2025-11-25")
    key = server._handshake._ids.open(session["mcp-session-id"], ANONYMOUS).key
    coming = Request(server, "GET", {**session, "last-event-id": f"{key}.x.1"})
    await coming.task
    assert coming.sent[0]["status"] == 500
    assert json.loads(coming.body)["error"] == {"code": -32603, "message": "Internal error"}
    await server.stop(1.0)


class Slow(MemoryReplay):
    """A store that takes its time to say that it knows nothing."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def knows(self, stream, number):
        self.asked.set()
        await self.go.wait()
        return False


async def test_a_session_that_ends_while_the_store_is_asked_gets_no_stream(app):
    replay = Slow()
    server = served(app, replay)
    session = await opened(server, "2025-11-25")
    key = server._handshake._ids.open(session["mcp-session-id"], ANONYMOUS).key
    coming = Request(server, "GET", {**session, "last-event-id": f"{key}.x.1"})
    await replay.asked.wait()
    await Request(server, "DELETE", session).task
    replay.go.set()
    await coming.task
    assert coming.sent[0]["status"] == 404
    await server.stop(1.0)


async def test_a_batch_of_which_nothing_is_left_ends_the_stream_that_it_has_begun(app):
    server = served(app, MemoryReplay())
    session = await opened(server, "2025-03-26")
    call = legacy("tools/call", {"name": "wait", "arguments": {}}, id=5)
    batch = Request(server, "POST", session, line([call]))
    await turns()
    assert b"begun" in batch.body
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
    await Request(server, "POST", session, line(cancelled)).task
    await batch.task
    assert [message["type"] for message in batch.sent].count("http.response.start") == 1
    assert batch.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    await server.stop(1.0)


async def test_a_stream_that_takes_over_tells_what_the_one_before_has_not_told_yet():
    hub = Hub()
    streams = Streams(hub, MemoryReplay(), HttpSettings())
    conversation = Conversation(Peer("2025-11-25", None, ClientCapabilities()), "key", subscriptions=frozenset([URI]))
    sent = [[], []]
    leaving = [asyncio.Queue(), asyncio.Queue()]

    def listen(number):
        async def send(message):
            sent[number].append(message.get("body", b""))

        reply = Reply(send)
        return asyncio.ensure_future(streams.listen(conversation, ANONYMOUS, reply, leaving[number].get))

    first = listen(0)
    await turns()
    second = listen(1)
    hub.tell(URI)
    await turns()
    assert URI.encode() in b"".join(sent[1])
    assert URI.encode() not in b"".join(sent[0])
    for queue in leaving:
        queue.put_nowait({"type": "http.disconnect"})
    await asyncio.gather(first, second)
    assert not hub.listeners


async def test_the_rest_of_an_answer_does_not_carry_what_a_session_hears_unasked():
    hub, replay = Hub(), MemoryReplay()
    streams = Streams(hub, replay, HttpSettings())
    conversation = Conversation(Peer("2025-11-25", None, ClientCapabilities()), "key", subscriptions=frozenset([URI]))
    await replay.append("key.x", b"one")
    sent = [[], [], []]
    leaving = [asyncio.Queue() for _ in sent]

    def reply(number):
        async def send(message):
            sent[number].append(message.get("body", b""))

        return Reply(send)

    running = [
        asyncio.ensure_future(streams.listen(conversation, ANONYMOUS, reply(0), leaving[0].get)),
        asyncio.ensure_future(streams.resume(conversation, ANONYMOUS, "key.x.1", reply(1), leaving[1].get)),
        asyncio.ensure_future(streams.listen(conversation, ANONYMOUS, reply(2), leaving[2].get)),
    ]
    await turns()
    leaving[2].put_nowait({"type": "http.disconnect"})
    await turns()
    hub.tell(URI)
    await turns()
    assert URI.encode() in b"".join(sent[0]), "the older stream takes over"
    assert len(sent[1]) < 5, "and the other does not turn in a circle"
    for queue in leaving[:2]:
        queue.put_nowait({"type": "http.disconnect"})
    await asyncio.gather(*running)
    assert not hub.listeners
