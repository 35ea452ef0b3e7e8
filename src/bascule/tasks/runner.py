"""The tasks of one server: which calls become one, and what a client may do with those that are its own.

A task belongs to the principal that began it; to everybody else it is unknown. Tasks are kept in memory, for a while
and in a bounded number, and end with the server; with a store, what has become of them is there after a restart.
Source: extension `io.modelcontextprotocol/tasks`.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal

from bascule.engine.exchange import Exchange, Handler
from bascule.engine.ports import Clock, Keeping
from bascule.engine.settings import TaskSettings
from bascule.errors import InvalidParams, MissingCapability, ToolError
from bascule.server.features import failure
from bascule.tasks.work import Surroundings, Work
from bascule.wire.results import EmptyResult, Result
from bascule.wire.tasks import EXTENSION, TaskParams, TaskResult, UpdateTaskParams

IN_MEMORY = Keeping(TaskSettings())

Mode = Literal["optional", "required"]
Prelude = Callable[[Exchange], Awaitable[Any]]


class Tasks:
    """Runs calls as tasks, and answers what clients ask about them."""

    def __init__(self, tell: Callable[[str], None], clock: Clock = time.time) -> None:
        """`tell` is told the topic of a task whose state has changed."""
        self._tell = tell
        self._clock = clock
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._kept = 0
        self._of_owner: Counter[tuple[str, str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._works)

    def handler(self, handler: Handler, mode: Mode, prelude: Prelude, plain: Handler | None = None) -> Handler:
        """A tool's handler that answers with a task, for clients that know the extension; `plain` answers all others.

        `prelude` checks arguments and asks what must be answered before; it may raise Asking and ToolError.
        """

        async def answer(exchange: Exchange) -> Result:
            if not exchange.peer.can(EXTENSION):
                if mode == "required":
                    raise _missing()
                return await (plain or handler)(exchange)
            try:
                await prelude(exchange)
                work = await self._begun(exchange, handler)
            except ToolError as error:
                return failure(error)
            return work.shown("task")

        return answer

    def knows(self, exchange: Exchange) -> bool:
        """Whether the task that a request names is one of these."""
        return getattr(exchange.params, "task_id", None) in self._works

    def watch(self, exchange: Exchange, task_id: str) -> TaskResult | None:
        """A task for a listener; None for one that is not the caller's. Raises MissingCapability."""
        if not exchange.peer.can(EXTENSION):
            raise _missing()
        work = self._works.get(task_id)
        return work.shown("complete") if work is not None and work.owner == exchange.principal.key else None

    def answer(self, exchange: Exchange) -> Result:
        """The answer to `tasks/get`, `tasks/update` or `tasks/cancel`.

        Raises InvalidParams for a task that is not the caller's, MissingCapability.
        """
        work, params = self._own(exchange), exchange.params
        if exchange.method == "tasks/get":
            return work.shown("complete")
        if isinstance(params, UpdateTaskParams):
            work.answer(params.input_responses)
        else:
            work.cancel()
        return EmptyResult()

    async def restore(self, state: Mapping[Any, Any], keeping: Keeping) -> None:
        """Take up the tasks that an earlier process has kept, for one run of the server. Raises ConfigError."""
        around = self._around(state, keeping)
        for record in await keeping.store.open() if keeping.store is not None else ():
            work = Work.restored(record, around)
            if self._room(keeping, work.size):
                self._works[work.id] = work
                self._of_owner[work.owner] += 1
                await work.interrupted()

    async def stop(self, state: Mapping[Any, Any]) -> None:
        """End the tasks that one run of the server began: what its lifespans yielded, `state`, is about to close."""
        works = [work for work in self._works.values() if work.run is state]
        for work in works:
            work.forget()
        for work in works:
            await work.ended()
            self._drop(work)

    def _drop(self, work: Work) -> None:
        """Keep a task no longer, and give back its room."""
        if self._works.pop(work.id, None) is None:
            return
        self._kept -= work.size
        self._of_owner[work.owner] -= 1
        if not self._of_owner[work.owner]:
            del self._of_owner[work.owner]

    async def _begun(self, exchange: Exchange, handler: Handler) -> Work:
        keeping = exchange.state.get(Keeping, IN_MEMORY)
        settings = keeping.settings
        self._forget_old()
        each = self._of_owner[exchange.principal.key]
        if len(self._works) >= settings.max_tasks or each >= settings.max_tasks_per_principal:
            raise ToolError("Too many tasks are kept already; wait until some of them have expired")
        work = Work(exchange.principal.key, self._around(exchange.state, keeping))
        self._works[work.id] = work
        self._of_owner[work.owner] += 1
        try:
            await work.begin(exchange, handler)
        except BaseException:
            self._drop(work)
            raise
        return work

    def _around(self, state: Mapping[Any, Any], keeping: Keeping) -> Surroundings:
        return Surroundings(state, keeping, self._clock, self._tell, partial(self._room, keeping))

    def _room(self, keeping: Keeping, size: int) -> bool:
        """Take room for a result, where there is some."""
        self._forget_old()
        if self._kept + size > keeping.settings.max_kept_bytes:
            return False
        self._kept += size
        return True

    def _own(self, exchange: Exchange) -> Work:
        if not exchange.peer.can(EXTENSION):
            raise _missing()
        self._forget_old()
        params = exchange.params
        work = self._works.get(params.task_id) if isinstance(params, TaskParams) else None
        if work is None or work.owner != exchange.principal.key:
            raise InvalidParams("Invalid params: there is no such task, or it has expired")
        return work

    def _forget_old(self) -> None:
        """Drop the tasks whose time is over; all live equally long, so the oldest are the first."""
        now = self._clock()
        while self._works and (oldest := next(iter(self._works.values()))).expires < now:
            oldest.forget()
            self._drop(oldest)


def _missing() -> MissingCapability:
    return MissingCapability({"extensions": {EXTENSION: {}}})
