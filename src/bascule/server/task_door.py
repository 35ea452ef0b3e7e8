"""A server's door to its tasks, and to those of the servers mounted in it. Loads the extension with the first tool that
may become one; until then, nothing of it is there.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal

from bascule.engine.exchange import Exchange
from bascule.engine.hub import Hub
from bascule.engine.ports import Keeping
from bascule.errors import MethodNotFound
from bascule.late import late
from bascule.server.features import AsTask
from bascule.wire.results import Result

Mode = Literal["never", "optional", "required"]


class TaskDoor:
    """The tasks of one server."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._own: Any = None
        self._mounted: list[TaskDoor] = []
        self._parents: list[TaskDoor] = []
        self.keeping: Keeping | None = None
        """How this process keeps tasks, where that was said."""

    def mount(self, other: "TaskDoor") -> None:
        """Look after the tasks of another server too."""
        self._mounted.append(other)
        other._parents.append(self)

    def as_task(self, mode: Mode) -> AsTask | None:
        """How a tool becomes a task; None where it does not."""
        if mode == "never":
            return None
        if self._own is None:
            self._own = late("bascule.tasks.runner:Tasks")(self._tell)
        make = self._own.handler
        return lambda work, plain, prelude: make(work, mode, prelude, plain)

    def runners(self) -> list[Any]:
        """Whoever runs tasks: of this server, and of those mounted in it."""
        own = [] if self._own is None else [self._own]
        return own + [runner for other in self._mounted for runner in other.runners()]

    async def look_after(self, exchange: Exchange) -> Result:
        """The answer to a request about a task. Raises MethodNotFound where no tool may become one, and MCPError."""
        runners = self.runners()
        if not runners:
            raise MethodNotFound(f"Method not found: {exchange.method}")
        found: Result = next((one for one in runners if one.knows(exchange)), runners[0]).answer(exchange)
        return found

    def watch(self, exchange: Exchange, task_id: str) -> Result | None:
        """A task for a listener; None for one that is not the caller's. Raises MissingCapability."""
        shown: list[Result | None] = [runner.watch(exchange, task_id) for runner in self.runners()]
        return next((one for one in shown if one is not None), None)

    async def open(self, state: dict[Any, Any], stack: AsyncExitStack) -> None:
        """Take up what was kept, for one run of the server whose state this is. Raises ConfigError."""
        if self.keeping is None:
            return
        state[Keeping] = self.keeping
        runners, store = self.runners(), self.keeping.store
        if runners and store is not None:
            await runners[0].restore(state, self.keeping)
            stack.push_async_callback(store.close)

    async def close(self, state: Mapping[Any, Any]) -> None:
        """End the tasks of one run of the server."""
        for runner in self.runners():
            await runner.stop(state)

    def _tell(self, topic: str) -> None:
        self._hub.tell(topic)
        for parent in self._parents:
            parent._tell(topic)
