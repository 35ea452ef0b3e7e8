"""A link: which answer belongs to which request of one connection.

Knows ids and who waits for them; waiters are handed in, so there is no I/O, no clock and no await here. An id is used
once. An answer that nobody waits for (late, unknown, sent twice) changes nothing.
Source: the specification, basic/index, "Messages"; basic/patterns/cancellation, "Timing Considerations".
"""

from typing import Protocol

from msgspec import UNSET, Raw, UnsetType

from bascule.engine.answers import received
from bascule.errors import ConnectionLost
from bascule.wire.jsonrpc import Frame, RequestId


class Waiter(Protocol):
    """Somebody who waits for an answer; an asyncio.Future is one."""

    def done(self) -> bool: ...

    def set_result(self, result: Raw, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


class Link:
    """The requests of one connection that wait for an answer."""

    __slots__ = ("_last_id", "_lost", "_pending")

    def __init__(self) -> None:
        self._pending: dict[RequestId, Waiter] = {}
        self._last_id = 0
        self._lost: str | None = None

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def lost(self) -> bool:
        """Whether it has ended."""
        return self._lost is not None

    def next_id(self) -> int:
        """An id that no request of this link has had."""
        self._last_id += 1
        return self._last_id

    def open(self, request_id: RequestId, waiter: Waiter) -> None:
        """Let `waiter` wait for the answer to `request_id`. Raises ConnectionLost when the connection has ended."""
        if self._lost is not None:
            raise ConnectionLost(self._lost)
        self._pending[request_id] = waiter

    def settle(self, frame: Frame, asked: RequestId | None = None) -> bool:
        """Give a response to its waiter; False where nobody waits for it.

        An error without an id goes to `asked`, the request that it came in reply to, or else to the only one waiting.
        """
        request_id, error = frame.id, frame.error
        if error is not UNSET:
            if request_id is None or request_id is UNSET:
                request_id = asked if asked is not None else self.sole()
            return self.fail(request_id, received(error))
        waiter = self._take(request_id)
        if waiter is None or isinstance(frame.result, UnsetType):
            return False
        waiter.set_result(frame.result)
        return True

    def fail(self, request_id: RequestId | UnsetType | None, error: Exception) -> bool:
        """Fail one request; False where nobody waits for it."""
        waiter = self._take(request_id)
        if waiter is None:
            return False
        waiter.set_exception(error)
        return True

    def abandon(self, request_id: RequestId) -> bool:
        """Stop waiting for an answer; True where none had come, so that the peer should be told."""
        return self._pending.pop(request_id, None) is not None and self._lost is None

    def lose(self, reason: str) -> None:
        """End the link: all that wait, and all that will come, fail with ConnectionLost and this sentence."""
        if self._lost is None:
            self._lost = reason
        pending, self._pending = self._pending, {}
        for waiter in pending.values():
            if not waiter.done():
                waiter.set_exception(ConnectionLost(reason))

    def sole(self) -> RequestId | None:
        """The id of the request that waits, where just one does."""
        return next(iter(self._pending)) if len(self._pending) == 1 else None

    def _take(self, request_id: RequestId | UnsetType | None) -> Waiter | None:
        if request_id is None or isinstance(request_id, UnsetType):
            return None
        waiter = self._pending.pop(request_id, None)
        return None if waiter is None or waiter.done() else waiter
