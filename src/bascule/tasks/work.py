"""One task: a call that runs on by itself, what it asks meanwhile, and what has become of it.

Knows a handler and its exchange; does not know who looks at it. A question is asked under a key that no other question
of the task ever had. Where there is a store, it has the task before the call begins, and its end before anybody sees
that.
Source: extension `io.modelcontextprotocol/tasks`.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from bascule.engine.asking import Dialogue, Question
from bascule.engine.exchange import CLOSED, Exchange, Handler, check_capabilities
from bascule.engine.hub import TASK_TOPIC
from bascule.engine.ports import Clock, Keeping, TaskRecord
from bascule.errors import InternalError, MCPError, unforeseen
from bascule.wire.inputs import InputRequest
from bascule.wire.jsonrpc import ErrorObject, encode
from bascule.wire.results import Result
from bascule.wire.tasks import Status, TaskResult

log = logging.getLogger("bascule")

FINISHED = frozenset({"completed", "cancelled", "failed"})

_decode_error = msgspec.json.Decoder(ErrorObject).decode


class Surroundings(NamedTuple):
    """What a task needs of whoever runs it: `run` is the state of the server's run that it belongs to, `tell` is told
    its topic when it changes, `room` takes room for a result of so many bytes where there is some."""

    run: Mapping[Any, Any]
    keeping: Keeping
    clock: Clock
    tell: Callable[[str], None]
    room: Callable[[int], bool]


class Work:
    """A task. `created` and `updated` are seconds since the epoch."""

    def __init__(self, owner: tuple[str, str, str], around: Surroundings) -> None:
        self.id = secrets.token_urlsafe(24)
        self.owner = owner
        self.run = around.run
        self.size = 0
        """How many bytes its result takes."""
        self.created = self.updated = around.clock()
        self._around = around
        self._state: Status = "working"
        self._message: str | UnsetType = UNSET
        self._result: Raw | UnsetType = UNSET
        self._error: ErrorObject | UnsetType = UNSET
        self._open: dict[str, tuple[Question, asyncio.Future[Raw]]] = {}
        self._used: set[str] = set()
        self._dialogue = Dialogue()
        self._running: asyncio.Task[None] | None = None
        self._unwanted = self._ending = self._forgotten = False

    @classmethod
    def restored(cls, record: TaskRecord, around: Surroundings) -> "Work":
        """A task of an earlier process, as it was kept."""
        work = cls(record.owner, around)
        work.id = record.id
        work.created, work.updated, work._state = record.created, record.updated, record.state
        work._message = UNSET if record.message is None else record.message
        if record.result is not None:
            work._result, work.size = Raw(record.result), len(record.result)
        if record.error is not None:
            work._error = _decode_error(record.error)
        return work

    @property
    def finished(self) -> bool:
        """Whether the call has ended."""
        return self._state in FINISHED

    @property
    def expires(self) -> float:
        """Until when the task is kept, in seconds since the epoch."""
        return self.created + self._around.keeping.settings.ttl

    async def begin(self, exchange: Exchange, handler: Handler) -> None:
        """Begin the call, once the task is kept. Raises InternalError where it cannot be."""
        try:
            await self._keep("working")
        except OSError as error:
            log.error("a task cannot be kept: %s", error)
            raise InternalError("The task cannot be kept; try again later") from None
        if self._forgotten:
            raise InternalError("The server is stopping; try again later")
        self._dialogue = exchange.dialogue or self._dialogue
        inner = replace(
            exchange, channel=CLOSED, inquire=self.inquire, task=self, progress_token=None, dialogue=self._dialogue
        )
        self._running = asyncio.get_running_loop().create_task(self._run(handler, inner))

    async def interrupted(self) -> None:
        """End a restored task whose process has stopped under it; nothing where it had ended before."""
        if not self.finished:
            await self._fail(InternalError("The server was stopped while it worked on the task; call the tool again"))

    async def status(self, message: str) -> None:
        """Say, in a sentence for the user, how the work stands. Without effect once it has ended."""
        if not self.finished and not self._ending:
            self._message = message
            self._touch(self._state)

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The answers to questions, waited for in place. Raises MissingCapability."""
        dialogue = self._dialogue
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
        waiting = [(response, self._open.pop(key)[1]) for key, response in responses.items() if key in self._open]
        for response, future in waiting:
            if not future.done():
                future.set_result(response)
        if waiting and not self._open and not self.finished:
            self._touch("working")

    def cancel(self) -> None:
        """End the call, if it runs; it has begun by then, so that its `finally` blocks run."""
        if self._running is not None and not self.finished:
            self._unwanted = True
            asyncio.get_running_loop().call_soon(self._interrupt, self._running)

    def forget(self) -> None:
        """End the call, and keep nothing of what it may still return."""
        self._forgotten = True
        self.cancel()

    async def ended(self) -> None:
        """Wait until the call has ended."""
        if self._running is not None:
            await asyncio.wait({self._running})

    def shown(self, kind: str) -> TaskResult:
        """The task as a client sees it; `kind` is the result's type. A task that was just created shows no more."""
        settings = self._around.keeping.settings
        asked: Any = {key: _posed(question) for key, (question, _) in self._open.items()}
        whole = kind == "complete"
        return TaskResult(
            result_type=kind,
            task_id=self.id,
            status=self._state,
            created_at=_iso(self.created),
            last_updated_at=_iso(self.updated),
            ttl_ms=round(settings.ttl * 1000),
            poll_interval_ms=round(settings.poll_interval * 1000),
            status_message=self._message,
            input_requests=asked if whole and asked else UNSET,
            result=self._result if whole else UNSET,
            error=self._error if whole else UNSET,
        )

    async def _run(self, handler: Handler, exchange: Exchange) -> None:
        try:
            if self._unwanted:
                await self._end("cancelled")
            else:
                await self._complete(await handler(exchange))
        except asyncio.CancelledError as error:
            if self._unwanted:
                await self._end("cancelled")
            else:
                await self._fail(unforeseen("a task", error))
        except MCPError as error:
            await self._fail(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            await self._fail(unforeseen("a task", error))
        finally:
            exchange.cancelled = True

    async def _complete(self, result: Result) -> None:
        """End with a result. Raises MCPError for one that is too long."""
        result.result_type = "complete"
        data = encode(result)
        longest = self._around.keeping.settings.max_result_bytes
        if len(data) > longest:
            raise MCPError(f"The result is longer than {longest} bytes")
        if self._forgotten or not self._around.room(len(data)):
            raise MCPError("The results of earlier tasks fill all the room that there is; try again later")
        self.size = len(data)
        await self._end("completed", result=Raw(data))

    async def _fail(self, error: MCPError) -> None:
        """End with an error; without its `data` where that is no JSON."""
        told = ErrorObject(error.code, error.message, UNSET if error.data is None else error.data)
        try:
            encode(told)
        except (TypeError, ValueError, RecursionError):
            log.exception("the data of an error cannot be sent")
            told = ErrorObject(error.code, error.message)
        await self._end("failed", error=told, message=error.message)

    async def _end(
        self,
        state: Status,
        *,
        result: Raw | UnsetType = UNSET,
        error: ErrorObject | UnsetType = UNSET,
        message: str | UnsetType = UNSET,
    ) -> None:
        """What has become of the task: kept first, then told."""
        self._ending = True
        message = self._message if message is UNSET else message
        try:
            if not self._forgotten:
                await self._keep(state, message, result, error)
        except OSError as failure:
            log.error("the end of a task cannot be kept, only remembered: %s", failure)
        finally:
            self._message, self._result, self._error = message, result, error
            self._touch(state)

    async def _keep(
        self,
        state: Status,
        message: str | UnsetType = UNSET,
        result: Raw | UnsetType = UNSET,
        error: ErrorObject | UnsetType = UNSET,
    ) -> None:
        """Have the store keep the task in a state. Raises OSError."""
        store = self._around.keeping.store
        if store is None:
            return
        record = TaskRecord(self.id, self.owner, state, self.created, self._around.clock(), self.expires)
        await store.put(
            record._replace(
                message=None if message is UNSET else message,
                result=None if result is UNSET else bytes(result),
                error=None if error is UNSET else encode(error),
            )
        )

    def _interrupt(self, running: "asyncio.Task[None]") -> None:
        if not self._ending:
            running.cancel()

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
        self.updated = self._around.clock()
        self._around.tell(TASK_TOPIC + self.id)


def _posed(question: Question) -> InputRequest:
    return InputRequest(question.method, UNSET if question.params is None else Raw(question.params))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
