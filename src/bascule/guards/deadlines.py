"""Time-outs: how long the handler of a feature may work.

Knows tasks, one timer for each event loop, and the Exchange. The timer exists only while calls with a deadline wait for
something; a call that never waits is never seen by it. Time in which the client is asked something does not count.
A call that is late is cancelled in its own task. One that swallows that, or takes too long to clean up, is cut off: it
ends in a task of its own, cancelled once more, and its caller is answered without it.
"""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import Any

from msgspec import Raw

from bascule.engine.asking import Question
from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.firststep import Suspended
from bascule.engine.ports import Clock
from bascule.engine.settings import LoadSettings
from bascule.errors import TimedOut
from bascule.wire.results import Result
from bascule.wire.tools import CallToolResult

log = logging.getLogger("bascule")

SPACING = 0.05
"""Seconds between two looks at the calls under way, at the least: how late a deadline is noticed."""

LONGEST = 1.0
"""Seconds between two looks, at the most: how long the timer outlives the last call."""

Steps = Generator[Any, Any, Result]

_cut_off: ContextVar[bool] = ContextVar("_cut_off", default=False)
"""Set in the task whose handler was cut off. The handler's own time-outs and groups may still cancel that task, so
whoever serves several requests in one must see that it is no longer clean."""


def time_limit(deadlines: "Deadlines") -> Guard:
    """Stops a handler that works longer than its feature's `timeout`, with TimedOut.

    A handler that still ends well after it was cancelled, within the grace period, is not late: its result counts.
    """

    def guard(next: Handler, feature: Feature) -> Handler:
        seconds = feature.policy.timeout
        if seconds is None:
            return next
        clock = deadlines.clock

        async def timed(exchange: Exchange) -> Result:
            call = Call(exchange, clock, seconds)
            steps = next(exchange).__await__()
            try:
                awaited = steps.send(None)
            except StopIteration as done:
                result: Result = done.value
                return result
            try:
                result = await Waiting(deadlines, call, steps, awaited)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                if call.cut:
                    log.warning("%s %s goes on although its time was over: it is cut off", feature.kind, feature.name)
                if call.forgive():
                    raise late(feature, seconds) from error
                raise
            if call.forgive() and isinstance(result, CallToolResult) and result.is_error:
                raise late(feature, seconds)
            return result

        return timed

    return guard


def late(feature: Feature, seconds: float) -> TimedOut:
    """The error of a call whose time is over."""
    return TimedOut(
        f"The {feature.kind} {feature.name} was stopped after {seconds:g} s, part of its work perhaps done; "
        "ask for less at once, or try again later",
        details={"timeout": seconds},
    )


_numbers = itertools.count()


class Call:
    """A call and its deadline, on the clock of whoever looks at it. Knows how it waits, once it does."""

    __slots__ = (
        "asked_at",
        "asking",
        "awaited",
        "before",
        "cancels",
        "clock",
        "cut",
        "deadline",
        "inner",
        "late",
        "number",
        "spared",
        "task",
    )

    def __init__(self, exchange: Exchange, clock: Clock, seconds: float) -> None:
        self.inner = exchange.inquire
        exchange.inquire = self.inquire
        self.clock = clock
        self.deadline = clock() + seconds
        self.number = next(_numbers)
        self.asking = self.cancels = 0
        self.late = self.cut = self.spared = False
        self.awaited: Any = None

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The answers to questions; the time until they come is added to the deadline, unless that is over."""
        if not self.asking:
            self.asked_at = self.clock()
        self.asking += 1
        try:
            return await self.inner(exchange, questions)
        finally:
            self.asking -= 1
            if not self.asking and not self.late:
                self.deadline += self.clock() - self.asked_at

    def waits(self, task: "asyncio.Task[Any]") -> None:
        """It waits, in this task, for the first time."""
        self.task = task
        self.before = task.cancelling()

    def is_awake(self) -> bool:
        """Whether what it waits for is there: it goes on in a moment, and may be at its end."""
        awaited = self.awaited
        return isinstance(awaited, asyncio.Future) and awaited.done() and not awaited.cancelled()

    def cancel(self) -> None:
        """Cancel its task, which counts; or wake it, where what it waits for would not let itself be cancelled."""
        if self.cut and isinstance(self.awaited, Stubborn) and not self.awaited.done():
            self.awaited.wake()
        else:
            self.cancels += 1
            self.task.cancel()

    def forgive(self) -> bool:
        """Take back what `cancel` did; whether the call was late, and nobody else has cancelled it."""
        if not self.late:
            return False
        for _ in range(self.cancels):
            self.task.uncancel()
        self.cancels = 0
        return self.task.cancelling() <= self.before


class Waiting:
    """A handler that waits for something. Await it, in the same task, for its result."""

    __slots__ = ("_awaited", "_call", "_deadlines", "_steps")

    def __init__(self, deadlines: "Deadlines", call: Call, steps: Steps, awaited: Any) -> None:
        self._deadlines = deadlines
        self._call = call
        self._steps = steps
        self._awaited = awaited

    def __await__(self) -> Steps:
        call, steps, awaited = self._call, self._steps, self._awaited
        sweep = self._deadlines.sweep()
        sweep.add(call)
        try:
            while True:
                call.awaited = awaited = wakeable(awaited)
                try:
                    sent = yield awaited
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    if call.cut:
                        self._deadlines.take_over(steps, call, sweep)
                        raise
                    awaited = steps.throw(thrown)
                else:
                    awaited = steps.send(sent)
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            sweep.drop(call)
            if not call.cut:
                steps.close()


class Stubborn(asyncio.Future[None]):
    """Stands for a future that may go on when it is cancelled (a task, a gathering), so that who waits can be woken."""

    def __init__(self, inner: "asyncio.Future[Any]") -> None:
        super().__init__(loop=inner.get_loop())
        self._inner = inner
        inner.add_done_callback(self._ended)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel what it stands for, and wait for that."""
        return self._inner.cancel(msg)

    def wake(self) -> None:
        """Wait no longer."""
        super().cancel()

    def _ended(self, inner: "asyncio.Future[Any]") -> None:
        if not inner.cancelled():
            inner.exception()  # seen: whoever waits would have looked, and may be cancelled before it does
        if not self.done():
            self.set_result(None)


def wakeable(awaited: Any) -> Any:
    """What to wait for in place of this: itself, where cancelling it ends it at once."""
    kind = type(awaited)
    if kind is asyncio.Future or kind is Stubborn or not isinstance(awaited, asyncio.Future):
        return awaited
    awaited._asyncio_future_blocking = False
    stubborn = Stubborn(awaited)
    stubborn._asyncio_future_blocking = True
    return stubborn


class Deadlines:
    """The deadlines of all calls of a process. One that was cancelled may take `grace` seconds to end."""

    def __init__(self, grace: float = LoadSettings().timeout_grace, clock: Clock = time.monotonic) -> None:
        self.grace = grace
        self.clock = clock
        self.cut_off: set[asyncio.Task[None]] = set()
        """The handlers that go on although their callers have been answered."""
        self._sweeps: dict[asyncio.AbstractEventLoop, Sweep] = {}

    def __len__(self) -> int:
        """How many calls wait for something, each with its deadline."""
        return sum(len(sweep.calls) for sweep in self._sweeps.values())

    def sweep(self) -> "Sweep":
        """The sweep of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._sweeps.get(loop)
        if found is None:
            for other in [other for other in self._sweeps if other.is_closed()]:
                del self._sweeps[other]
            found = self._sweeps[loop] = Sweep(loop, self)
        return found

    def forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """No call waits in this loop any more."""
        del self._sweeps[loop]

    def take_over(self, steps: Steps, call: Call, sweep: "Sweep") -> None:
        """Let a handler end in a task of its own, in place of the task that it has run in."""
        sweep.drop_inner(call)
        rest = asyncio.get_running_loop().create_task(_rest(steps))
        self.cut_off.add(rest)
        rest.add_done_callback(self.cut_off.discard)
        _cut_off.set(True)


class Sweep:
    """The calls of one event loop that wait for something, and the one timer that looks at them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self.calls: dict[Call, None] = {}
        self._loop = loop
        self._deadlines = deadlines
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._earliest = 0.0

    def add(self, call: Call) -> None:
        """A call waits for the first time."""
        call.waits(asyncio.current_task())  # type: ignore[arg-type]  # what waits does so in a task
        self.calls[call] = None
        if self._timer is None or max(call.deadline, self._earliest) < self._due:
            self._look_at(call.deadline)

    def drop(self, call: Call) -> None:
        """A call has ended."""
        self.calls.pop(call, None)

    def drop_inner(self, call: Call) -> None:
        """Drop the calls that a call makes: they end with its handler, in another task."""
        for other in [other for other in self.calls if other.task is call.task and other.number > call.number]:
            other.forgive()
            other.late = False
            self.drop(other)

    def _look_at(self, moment: float) -> None:
        """Look when the clock shows this, or a little later."""
        if self._timer is not None:
            self._timer.cancel()
        now = self._deadlines.clock()
        self._due = min(max(moment, self._earliest), now + LONGEST)
        self._timer = self._loop.call_later(max(self._due - now, 0.0), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._deadlines.clock()
        self._earliest = now + SPACING
        for call in list(self.calls):
            if call.deadline <= now and (call.late or not call.asking):
                self._stop(call, now)
        if self.calls:
            self._look_at(min(call.deadline for call in self.calls))
        else:
            self._deadlines.forget(self._loop)

    def _stop(self, call: Call, now: float) -> None:
        """Cancel a call whose time is over; cut it off where it was cancelled before."""
        if call.late:
            call.cut, call.deadline = True, math.inf
        elif not call.spared and call.is_awake():
            call.spared = True
            return
        else:
            call.late, call.deadline = True, now + self._deadlines.grace
        call.cancel()


async def _rest(steps: Steps) -> None:
    """What is left of a handler that was cut off: it is cancelled once more, and may end when it likes."""
    try:
        await Suspended(steps, steps.throw(asyncio.CancelledError()))
    except (asyncio.CancelledError, StopIteration):
        pass
    except Exception:
        log.exception("a call that was cut off failed")
