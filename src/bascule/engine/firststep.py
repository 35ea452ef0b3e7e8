"""Running a coroutine up to where it first waits, in the task that is running already.

Most calls never wait. What is needed only by those that do (somebody who watches for a client that leaves) is then not
even made. Knows coroutines; knows nothing of requests.
"""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Suspended(Generic[T]):
    """A coroutine that waits for something. Await it, in the same task, for its result."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T] | Generator[Any, Any, T], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except GeneratorExit:
                    raise
                except BaseException as thrown:
                    awaited = coroutine.throw(thrown)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            coroutine.close()


def first_step(coroutine: Coroutine[Any, Any, T]) -> T | Suspended[T]:
    """The coroutine's result where it never waits; otherwise what to await. Raises what the coroutine raises."""
    try:
        awaited = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return Suspended(coroutine, awaited)
