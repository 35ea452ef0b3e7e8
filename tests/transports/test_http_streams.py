"""The streams of handshake-era sessions, in the test's own loop: streams that take over."""

import asyncio

from bascule.engine.exchange import ANONYMOUS, Conversation, Peer
from bascule.engine.hub import Hub
from bascule.engine.settings import HttpSettings
from bascule.stores.memory import MemoryReplay
from bascule.transports.http_reply import Reply
from bascule.transports.http_streams import Streams
from bascule.wire.requests import ClientCapabilities

URI = "note://a"


async def turns():
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


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
