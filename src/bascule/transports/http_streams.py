"""The event streams of handshake-era sessions: those that a client opens with GET, and the rest of those it lost.

A GET stream carries what a session's client should hear unasked; of several, the newest does, because no message may
come twice. With Last-Event-ID it carries what an earlier answer's stream still had to say. Stream names begin with the
session's key, so nobody reaches another session's events.
Source: specification 2025-11-25, basic/transports, "Listening for Messages" and "Resumability and Redelivery".
"""

import asyncio

from bascule.engine.exchange import Conversation, Principal
from bascule.engine.framing import encode_event
from bascule.engine.hub import LISTS, Hub
from bascule.engine.notices import notice_of
from bascule.engine.ports import Random, Recorded, Replay
from bascule.engine.settings import HttpSettings
from bascule.errors import Draining, TooMany
from bascule.transports.http_headers import Receive
from bascule.transports.http_reply import Reply
from bascule.wire.jsonrpc import encode

MAX_STREAMS_A_SESSION = 8
"""How many GET streams one session may hold open."""


_DIGITS = 9


class Recording:
    """The recorder of one answer's stream."""

    def __init__(self, replay: Replay, key: str, random: Random, *, primes: bool) -> None:
        self._replay = replay
        self._name = f"{key}.{random(6).hex()}"
        self.primes = primes

    def drop(self) -> None:
        """Keep nothing of the stream; whoever waits for more of it waits no longer."""
        self._replay.forget(self._name)

    async def record(self, data: bytes, *, last: bool) -> str:
        """Keep one event; returns its id, which names stream and place."""
        return f"{self._name}.{await self._replay.append(self._name, data, last=last)}"


class _Open:
    """One open GET stream."""

    __slots__ = ("changed", "conversation", "leaving", "listens", "over", "principal", "scopes")

    def __init__(self, conversation: Conversation, principal: Principal, *, listens: bool) -> None:
        self.conversation = conversation
        self.listens = listens
        """Whether it is there for what its client should hear unasked."""
        self.principal = principal.key
        self.scopes = principal.scopes
        self.changed = asyncio.Event()
        self.over = False

    def end(self) -> None:
        """End the stream soon."""
        self.over = True
        self.changed.set()


class Streams:
    """All open streams of one endpoint."""

    def __init__(self, hub: Hub, replay: Replay, settings: HttpSettings) -> None:
        self._hub = hub
        self._replay = replay
        self._keep_alive = settings.keep_alive_interval
        self._max = settings.max_streams
        self._max_each = settings.max_streams_per_principal
        self._open: dict[str, list[_Open]] = {}
        self._of_principal: dict[tuple[str, str, str], int] = {}
        self._count = 0
        self._draining = False

    async def listen(self, conversation: Conversation, principal: Principal, reply: Reply, receive: Receive) -> None:
        """Hold a stream open until the client leaves or the session ends. Raises TooMany (503), Draining."""
        if self._draining:
            raise Draining
        stream = self._opened(conversation, principal, listens=True)
        leaving = asyncio.ensure_future(_disconnected(receive, stream))
        try:
            self._speak(stream)
            while not stream.over:
                await reply.comment()
                await self._tell(stream, reply)
            await reply.end()
        finally:
            leaving.cancel()
            self._close(stream)

    async def resume(
        self, conversation: Conversation, principal: Principal, last_event: str, reply: Reply, receive: Receive
    ) -> bool:
        """Send the rest of an answer's stream; False where it is not kept any more, or not this session's."""
        name, _, digits = last_event.rpartition(".")
        number = int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else -1
        if not name.startswith(f"{conversation.key}.") or not await self._replay.knows(name, number):
            return False
        stream = self._opened(conversation, principal, listens=False)
        leaving = asyncio.ensure_future(_disconnected(receive, stream))
        try:
            await self._send_rest(name, number, stream, reply)
            await reply.end()
        finally:
            leaving.cancel()
            self._close(stream)
        return True

    def holds(self, key: str) -> bool:
        """Whether a session has a stream open."""
        return bool(self._open.get(key))

    def end(self, key: str) -> None:
        """End the streams of a session, and forget what was kept for it."""
        for stream in self._open.get(key, ()):
            stream.end()
        self._replay.forget(f"{key}.")

    def drain(self) -> None:
        """End every stream, and hold none open any more: the server is stopping."""
        self._draining = True
        for streams in self._open.values():
            for stream in streams:
                stream.end()

    async def _send_rest(self, name: str, number: int, stream: _Open, reply: Reply) -> None:
        while not stream.over:
            events = await self._coming(name, number, stream, reply)
            if not events:
                return
            for event in events:
                await reply.raw(encode_event(event.data, f"{name}.{event.number}"))
                number = event.number

    async def _coming(self, name: str, number: int, stream: _Open, reply: Reply) -> list[Recorded] | None:
        """The next events of a stream, with signs of life meanwhile; None where the client left before."""
        coming = asyncio.ensure_future(self._replay.after(name, number))
        ending = asyncio.ensure_future(stream.changed.wait())
        try:
            while not coming.done() and not stream.over:
                await reply.comment()
                await asyncio.wait({coming, ending}, timeout=self._keep_alive, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            ending.cancel()
            coming.cancel()

    async def _tell(self, stream: _Open, reply: Reply) -> None:
        """Send what has changed, or wait for it until a sign of life is due."""
        try:
            async with asyncio.timeout(self._keep_alive):
                await stream.changed.wait()
        except TimeoutError:
            return
        stream.changed.clear()
        listener = stream.conversation.listener
        if listener is not None and stream is self._speaker(stream.conversation):
            for topic in listener.take():
                await reply.event(encode(notice_of(topic)))

    def _speaker(self, conversation: Conversation) -> _Open | None:
        """The stream that carries what the session's client should hear: the newest that is there for it."""
        streams = self._open.get(conversation.key, ())
        return next((stream for stream in reversed(streams) if stream.listens), None)

    def _opened(self, conversation: Conversation, principal: Principal, *, listens: bool) -> _Open:
        streams = self._open.get(conversation.key, [])
        mine = self._of_principal.get(principal.key, 0)
        if self._count >= self._max or mine >= self._max_each or len(streams) >= MAX_STREAMS_A_SESSION:
            raise TooMany("Too many streams are open; try again later")
        stream = _Open(conversation, principal, listens=listens)
        self._open[conversation.key] = [*streams, stream]
        self._of_principal[principal.key] = mine + 1
        self._count += 1
        return stream

    def _speak(self, stream: _Open) -> None:
        """Let this stream, and no other of its session, carry what the client should hear, and has not heard yet."""
        conversation = stream.conversation
        unheard: list[str] = []
        if conversation.listener is not None:
            unheard = conversation.listener.take()
            conversation.listener.close()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(stream.changed.set)

        conversation.listener = self._hub.listen({*LISTS, *conversation.subscriptions}, wake, stream.scopes)
        for topic in unheard:
            conversation.listener.hear(topic)

    def _close(self, stream: _Open) -> None:
        conversation = stream.conversation
        spoke = stream is self._speaker(conversation)
        streams = [one for one in self._open[conversation.key] if one is not stream]
        self._count -= 1
        self._of_principal[stream.principal] -= 1
        if not self._of_principal[stream.principal]:
            del self._of_principal[stream.principal]
        if streams:
            self._open[conversation.key] = streams
        else:
            del self._open[conversation.key]
        heir = self._speaker(conversation)
        if heir is not None and spoke:
            self._speak(heir)
        elif heir is None and conversation.listener is not None:
            conversation.listener.close()
            conversation.listener = None


async def _disconnected(receive: Receive, stream: _Open) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()
