"""The inbox: every message that a server sends to a client passes here, whatever carried it.

Answers go to those who wait for them, progress to the call it belongs to, log messages and other notices to the
client's callbacks; a request of the server is answered here. What cannot be read is logged and skipped: a server's
mistake never stops the reader, and fails one call at most.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from bascule.engine.framing import TooLong
from bascule.engine.link import Link
from bascule.errors import InternalError, MCPError, MethodNotFound, ParseError
from bascule.runtime.courier import Callback, Courier
from bascule.wire.fragments import fragment
from bascule.wire.jsonrpc import (
    ErrorResponse,
    Frame,
    RequestId,
    Response,
    decode,
    encode,
    error_response,
    is_batch,
    split_batch,
)
from bascule.wire.notices import (
    CANCELLED,
    MESSAGE,
    PROGRESS,
    SUBSCRIPTION_KEY,
    CancelledParams,
    LogMessageParams,
    ProgressParams,
)
from bascule.wire.requests import ProgressToken

Hear = Callable[[str, Any], None]
"""Takes a notice: its method and parameters."""

MAX_ASKED = 100
"""How many questions of the server may be open at once."""

log = logging.getLogger("bascule")

_decode_progress = msgspec.json.Decoder(ProgressParams).decode
_decode_cancelled = msgspec.json.Decoder(CancelledParams).decode
_decode_message = msgspec.json.Decoder(LogMessageParams).decode


class Answerer(Protocol):
    """Answers what a server asks of its client."""

    @property
    def any(self) -> bool:
        """Whether it answers anything."""
        ...

    def knows(self, method: str) -> bool:
        """Whether it answers this."""
        ...

    async def answer(self, method: str, params: Raw | UnsetType) -> Any:
        """The result. Raises MCPError, or anything for a refusal."""
        ...


class Inbox:
    """Reads for one client. `on_log` gets LogMessageParams, `on_notice` the method and the parameters of the rest.

    `inputs` answers what the server asks, in tasks of its own; their answers leave by `reply`, which the connection
    sets.
    """

    def __init__(
        self, on_log: Callback | None = None, on_notice: Callback | None = None, inputs: Answerer | None = None
    ) -> None:
        self._inputs = inputs
        self._answering: dict[RequestId, asyncio.Task[None]] = {}
        self.reply: Callable[[bytes], None] | None = None
        self.link = Link()
        self._logs = None if on_log is None else Courier(on_log)
        self._notices = None if on_notice is None else Courier(on_notice)
        self._progress: dict[ProgressToken, Courier] = {}
        self.subscriptions: dict[RequestId, Hear] = {}
        """Who hears the notices of a listening request, by its id."""
        self.overhearing: set[Hear] = set()
        """Who hears all notices that are no progress and no log message."""
        self.ended: set[Callable[[], None]] = set()
        """Who is told when a connection has ended that was to stay."""
        self.unasked = False
        """Whether somebody waits for what a server says unasked, besides the callbacks."""

    @property
    def listened(self) -> bool:
        """Whether somebody wants what a server says or asks outside of its answers."""
        answers = self._inputs is not None and self._inputs.any
        return answers or self._logs is not None or self._notices is not None or self.unasked

    def renew(self) -> None:
        """Forget a connection that has ended: its successor has ids of its own."""
        self.link = Link()

    def tell_end(self) -> None:
        """The connection has ended."""
        for hear in tuple(self.ended):
            hear()

    def watch(self, token: ProgressToken, on_progress: Callback) -> Courier:
        """Send progress with this token to `on_progress`, until `unwatch`."""
        courier = self._progress[token] = Courier(on_progress)
        return courier

    def unwatch(self, token: ProgressToken) -> None:
        """Progress with this token is of no interest any more; what still waits is dropped."""
        courier = self._progress.pop(token, None)
        if courier is not None:
            courier.stop()

    def close(self) -> None:
        """Stop calling anybody."""
        for courier in (self._logs, self._notices, *self._progress.values()):
            if courier is not None:
                courier.stop()
        for task in self._answering.values():
            task.cancel()

    def take(self, data: bytes, asked: RequestId | None = None) -> bytes | None:
        """Take one message, or a batch. Returns what must be sent back, where that is something. Never raises.

        `asked` is the request that the message came in reply to, where the transport knows.
        """
        if type(data) is TooLong:
            self._fail(ParseError("it is larger than allowed"), data, self.link.sole())
            return None
        try:
            if is_batch(data):
                replies = [self.take(part, asked) for part in split_batch(data)]
                return b"[" + b",".join(filter(None, replies)) + b"]" if any(replies) else None
            frame = decode(data)
        except MCPError as unreadable:
            self._fail(unreadable, data, unreadable.request_id)
            return None
        if frame.method is not UNSET:
            return self._take_unasked(frame, frame.method)
        if not self.link.settle(frame, asked):
            log.debug("the server answered a request that nobody waits for (id %r)", frame.id)
        return None

    def _fail(self, error: MCPError, data: bytes, likely: RequestId | None) -> None:
        """A message that cannot be read: the call that it answers fails, that which it names or else the likely one.

        No other does, whatever else the message holds. What the server asks or tells answers none.
        """
        asks, named = fragment(data)
        answered = None if asks else likely if named is None else named
        wrong = MCPError(f"The server's answer cannot be read: {error.message}", code=error.code)
        if not self.link.fail(answered, wrong):
            whose = "it asks or tells, and answers nothing" if asks else "it does not say which call it may answer"
            if answered is not None:
                whose = f"nobody waits for the request {str(answered)[:100]!r} that it answers"
            log.warning("skipped a message of the server that cannot be read: %s; %s", error.message, whose)

    def _take_unasked(self, frame: Frame, method: str) -> bytes | None:
        if frame.id is not UNSET and frame.id is not None:
            if self._inputs is not None and self._inputs.knows(method) and self.reply is not None:
                self._begin_answer(frame.id, method, frame.params)
                return None
            return encode(_answer(frame.id, method))
        try:
            self._take_notice(method, frame.params)
        except (msgspec.MsgspecError, RecursionError, ValueError) as wrong:
            log.warning("skipped a malformed %s of the server: %s", method, wrong)
        return None

    def _begin_answer(self, request_id: RequestId, method: str, params: Raw | UnsetType) -> None:
        if request_id in self._answering or len(self._answering) >= MAX_ASKED:
            log.warning("the server asks too much at once: %s is not answered", method)
            return
        task = asyncio.get_running_loop().create_task(self._answer(request_id, method, params))
        self._answering[request_id] = task
        task.add_done_callback(lambda _: self._answering.pop(request_id, None))

    async def _answer(self, request_id: RequestId, method: str, params: Raw | UnsetType) -> None:
        inputs, reply = cast(Answerer, self._inputs), cast("Callable[[bytes], None]", self.reply)
        try:
            answer: Response | ErrorResponse = Response(request_id, await inputs.answer(method, params))
        except MCPError as error:
            answer = error_response(error, request_id)
        except Exception:
            log.exception("the handler of %s failed", method)
            answer = error_response(InternalError("The client could not answer"), request_id)
        reply(encode(answer))

    def _take_notice(self, method: str, params: Raw | UnsetType) -> None:
        raw = Raw(b"{}") if isinstance(params, UnsetType) else params
        if method == CANCELLED:
            wanted = self._answering.get(_decode_cancelled(raw).request_id)  # type: ignore[arg-type]
            if wanted is not None:
                wanted.cancel()
        if method == PROGRESS:
            progress = _decode_progress(raw)
            courier = self._progress.get(progress.progress_token)
            if courier is not None:
                courier.deliver(progress.progress, progress.total, progress.message)
        elif method == MESSAGE:
            if self._logs is not None:
                self._logs.deliver(_decode_message(raw))
        elif self.subscriptions or self.overhearing or self._notices is not None:
            self._tell(method, msgspec.json.decode(raw))

    def _tell(self, method: str, params: Any) -> None:
        meta = params.get("_meta") if isinstance(params, dict) else None
        subscription = meta.get(SUBSCRIPTION_KEY) if isinstance(meta, dict) else None
        if isinstance(subscription, (str, int)) and (hear := self.subscriptions.get(subscription)) is not None:
            hear(method, params)
        for hear in tuple(self.overhearing):
            hear(method, params)
        if self._notices is not None:
            self._notices.deliver(method, params)


def _answer(request_id: RequestId, method: str) -> Response | ErrorResponse:
    if method == "ping":
        empty: dict[str, Any] = {}
        return Response(request_id, empty)
    return error_response(MethodNotFound(f"This client has no method {method}"), request_id)
