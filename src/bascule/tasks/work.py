"""One task: a call that runs on by itself, what it asks meanwhile, and what has become of it.

Knows a handler and its exchange; does not know who looks at it. A question is asked under a key that no other question
of the task ever had. Source: extension `io.modelcontextprotocol/tasks`.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from bascule.engine.asking import Dialogue, Question
from bascule.engine.exchange import CLOSED, Exchange, Handler, check_capabilities
from bascule.engine.hub import TASK_TOPIC
from bascule.errors import MCPError
from bascule.wire.inputs import InputRequest
from bascule.wire.jsonrpc import ErrorObject, encode
from bascule.wire.tasks import Status, TaskResult

MAX_RESULT = 4 * 1024 * 1024
"""How long a result may be, in bytes; a longer one fails the task."""

FINISHED = frozenset({"completed", "cancelled", "failed"})

Clock = Callable[[], float]


class Work:
    """A task. `created` and `updated` are seconds since the epoch."""

    def __init__(
        self, exchange: Exchange, clock: Clock, tell: Callable[[str], None], room: Callable[[int], bool]
    ) -> None:
        """`tell` is told the task's topic when it changes, and `room` asked to keep a result of so many bytes."""
        self._tell = tell
        self._room = room
        self.size = 0
        """How many bytes its result takes."""
        self.id = secrets.token_urlsafe(24)
        self.owner = exchange.principal.key
        self.state = exchange.state
        self.created = self.updated = clock()
        self._clock = clock
        self._state: Status = "working"
        self._message: str | UnsetType = UNSET
        self._result: Raw | UnsetType = UNSET
        self._error: ErrorObject | UnsetType = UNSET
        self._open: dict[str, tuple[Question, asyncio.Future[Raw]]] = {}
        self._used: set[str] = set()
        self._running: asyncio.Task[None] | None = None
        dialogue = exchange.dialogue or Dialogue()
        self._exchange = replace(
            exchange, channel=CLOSED, inquire=self.inquire, task=self, progress_token=None, dialogue=dialogue
        )

    @property
    def finished(self) -> bool:
        """Whether the call has ended."""
        return self._state in FINISHED

    def start(self, handler: Handler) -> None:
        """Begin the call."""
        self._running = asyncio.get_running_loop().create_task(self._run(handler))
        self._running.add_done_callback(self._over)

    async def status(self, message: str) -> None:
        """Say, in a sentence for the user, how the work stands."""
        self._message = message
        self._touch(self._state)

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The answers to questions, waited for in place. Raises MissingCapability."""
        dialogue = self._exchange.dialogue or Dialogue()
        missing = dialogue.open_questions(questions)
        if missing:
            check_capabilities(exchange, missing)
            loop = asyncio.get_running_loop()
            asked = {self._fresh(key): (question, loop.create_future()) for key, question in missing.items()}
            self._open |= asked
            self._touch("input_required")
            try:
                answers = await asyncio.gather(*(future for _, future in asked.values()))
            finally:
                for key in asked:
                    self._open.pop(key, None)
                if not self._open and not self.finished:
                    self._touch("working")
            dialogue.answers |= zip(missing, answers, strict=True)
        return {key: dialogue.answers[key] for key in questions}

    def answer(self, responses: Mapping[str, Raw]) -> None:
        """Take answers by key; one that nobody waits for changes nothing."""
        for key, response in responses.items():
            _, future = self._open.pop(key, (None, None))
            if future is not None and not future.done():
                future.set_result(response)
        if not self._open and not self.finished:
            self._touch("working")

    def cancel(self) -> None:
        """End the call, if it runs."""
        if self._running is not None and not self.finished:
            self._running.cancel()

    def forget(self) -> None:
        """End the call, and keep nothing of what it may still return."""
        self._room = _no_room
        self.cancel()

    async def ended(self) -> None:
        """Wait until the call has ended."""
        if self._running is not None:
            await asyncio.wait({self._running})

    def shown(self, ttl: float, poll: float, kind: str) -> TaskResult:
        """The task as a client sees it; `kind` is the result's type. A task that was just created shows no more."""
        asked: Any = {key: _posed(question) for key, (question, _) in self._open.items()}
        whole = kind == "complete"
        return TaskResult(
            result_type=kind,
            task_id=self.id,
            status=self._state,
            created_at=_iso(self.created),
            last_updated_at=_iso(self.updated),
            ttl_ms=round(ttl * 1000),
            poll_interval_ms=round(poll * 1000),
            status_message=self._message,
            input_requests=asked if whole and asked else UNSET,
            result=self._result if whole else UNSET,
            error=self._error if whole else UNSET,
        )

    async def _run(self, handler: Handler) -> None:
        try:
            result = await handler(self._exchange)
            result.result_type = "complete"
            data = encode(result)
            if len(data) > MAX_RESULT:
                raise MCPError(f"The result is longer than {MAX_RESULT} bytes")
            if not self._room(len(data)):
                raise MCPError("The results of earlier tasks fill all the room that there is; try again later")
            self.size = len(data)
            self._result = Raw(data)
            self._touch("completed")
        except asyncio.CancelledError:
            self._touch("cancelled")
        except MCPError as error:
            self._error = ErrorObject(error.code, error.message, UNSET if error.data is None else error.data)
            self._touch("failed")
        except BaseException as error:
            self._error = ErrorObject(MCPError.code, "Internal error")
            self._touch("failed")
            if not isinstance(error, Exception):
                raise
        finally:
            self._exchange.cancelled = True

    def _over(self, running: "asyncio.Task[None]") -> None:
        """A call that was cancelled before it began has no other end."""
        if not self.finished:
            self._touch("cancelled")

    def _fresh(self, key: str) -> str:
        """The key, or one like it that was not used yet."""
        found, number = key, 1
        while found in self._used:
            number += 1
            found = f"{key}-{number}"
        self._used.add(found)
        return found

    def _touch(self, state: Status) -> None:
        self._state = state
        self.updated = self._clock()
        self._tell(TASK_TOPIC + self.id)


def _no_room(size: int) -> bool:
    return False


def _posed(question: Question) -> InputRequest:
    return InputRequest(question.method, UNSET if question.params is None else Raw(question.params))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
