"""The back channel of the handshake era over HTTP: requests go out on the event stream of the call that asks.

Their answers come as posts of their own, and find their way by session and id; so they must reach the process that
asked; an id that another process, or an earlier run of this one, has given to a question is never given again,
because sessions outlive processes. Nothing is kept for a session that has no open question.
Source: specification 2025-11-25, basic/transports, "Sending Messages to the Server".
"""

import asyncio
from typing import Any

from msgspec import Raw

from bascule.engine.asking import ANSWER_TIMEOUT
from bascule.engine.exchange import Conversation
from bascule.engine.link import Link
from bascule.engine.ports import Random
from bascule.errors import ConnectionLost, NotAnswered
from bascule.transports.http_reply import Reply
from bascule.wire.jsonrpc import Frame, Request, RequestId, encode
from bascule.wire.notices import CANCELLED, CancelledParams

MAX_QUESTIONS = 100
"""How many questions of one session may be open at once."""


class BackChannels:
    """The open questions of all sessions."""

    def __init__(self, random: Random) -> None:
        self._links: dict[str, Link] = {}
        self._name = random(6).hex()
        self._last_id = 0

    def settle(self, conversation: Conversation | None, frame: Frame) -> None:
        """Give a client's response to whoever asked; one that nobody waits for changes nothing."""
        link = None if conversation is None else self._links.get(conversation.key)
        if link is not None:
            link.settle(frame)

    def end(self, key: str) -> None:
        """Fail the open questions of a session that has ended."""
        link = self._links.pop(key, None)
        if link is not None:
            link.lose("The session has ended")

    def drain(self) -> None:
        """Fail all open questions: the server is stopping."""
        for key in list(self._links):
            self.end(key)

    async def ask(self, key: str, reply: Reply, method: str, params: Any) -> Raw:
        """Ask over one call's answer, which must be one that may be a stream. Raises MCPError and NotAnswered."""
        link = self._links.setdefault(key, Link())
        if len(link) >= MAX_QUESTIONS:
            raise NotAnswered(f"The client has {MAX_QUESTIONS} questions to answer already")
        waiter: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._last_id += 1
        request_id: RequestId = f"ask-{self._name}-{self._last_id}"
        link.open(request_id, waiter)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await reply.event(encode(Request(method, params, request_id)))
                return await waiter
        except (TimeoutError, ConnectionLost):
            raise NotAnswered("The client has not answered") from None
        finally:
            unwanted = link.abandon(request_id)
            if not len(link) and self._links.get(key) is link:
                del self._links[key]
            if not waiter.cancel() and not waiter.cancelled():
                waiter.exception()  # seen, also where the question was still being written
            if unwanted:
                params = CancelledParams(request_id, "Nobody waits for it any more")
                await reply.notify(Request(CANCELLED, params))
