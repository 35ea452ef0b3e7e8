"""Dependencies: parameters that a function gives and no caller sees, as `Annotated[Pool, Depends(get_pool)]`.

Made anew for each call, or once for each run of the server, and closed with it. In the stateless era a call that asks
back runs again with its answers, and makes its own anew.
"""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from bascule.errors import DeclarationError
from bascule.server.context import Context

Per = Literal["call", "process"]


class Depends:
    """What gives a parameter its value: `make` is called for each call, or with `per="process"` once for each run.

    It may be async (a synchronous one must be quick: it runs on the event loop), may take dependencies of its own and,
    per call, a Context; and it may be a generator that yields the value once and cleans up afterwards. Two parameters
    with one `make` share a value.
    Raises DeclarationError where `make` is no function, or wants more than it can be given.
    """

    __slots__ = ("kind", "make", "needs", "per", "wants_context")

    def __init__(self, make: Callable[..., Any], *, per: Per = "call") -> None:
        if not callable(make):
            raise DeclarationError("Depends takes a function that makes the value")
        if per not in get_args(Per):
            raise DeclarationError(f"Depends: per must be 'call' or 'process', not {per!r}")
        self.make = make
        self.per: Per = per
        self.kind = _kind_of(make)
        self.wants_context: str | None = None
        self.needs: tuple[Provided, ...] = ()
        self._read_parameters()

    def _read_parameters(self) -> None:
        what = getattr(self.make, "__name__", repr(self.make))
        try:
            hints = get_type_hints(_carrier(self.make), include_extras=True)
        except (NameError, TypeError, AttributeError) as error:
            raise DeclarationError(f"Depends: the annotations of {what} cannot be read: {error}") from None
        needs: list[Provided] = []
        for name, parameter in inspect.signature(self.make).parameters.items():
            annotation = hints.get(name)
            dependency = dependency_in(annotation)
            if dependency is not None:
                needs.append(Provided(name, dependency))
            elif isinstance(annotation, type) and issubclass(annotation, Context):
                self.wants_context = name
            elif parameter.default is inspect.Parameter.empty:
                raise DeclarationError(f"Depends: {what} cannot be given {name!r}; it takes a Context or dependencies")
        if self.per == "process" and (self.wants_context or any(one.dependency.per == "call" for one in needs)):
            raise DeclarationError(f"Depends: {what} is made once for a process, so it cannot take what is one call's")
        self.needs = tuple(needs)


class Provided(NamedTuple):
    """A parameter that a dependency gives."""

    name: str
    dependency: Depends


def dependency_in(annotation: Any) -> Depends | None:
    """The dependency that an annotation declares."""
    if get_origin(annotation) is not Annotated:
        return None
    return next((item for item in annotation.__metadata__ if isinstance(item, Depends)), None)


class Made:
    """What was made for one run of a server, each once, and is closed with it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._values: dict[Any, Any] = {}
        self._making = asyncio.Lock()

    async def value_of(self, dependency: Depends, context: Context) -> Any:
        """The value of a dependency of the process, made by the first who asks. Raises what making it raised."""
        if dependency.make not in self._values:
            async with self._making:
                await _resolve(dependency, context, self._stack, self._values, None)
        return self._values[dependency.make]


async def values_for(
    provided: Sequence[Provided], context: Context, stack: AsyncExitStack, made: Made
) -> dict[str, Any]:
    """The values by parameter; what they leave to be closed goes on the stack. Raises what making them raised."""
    values: dict[Any, Any] = {}
    return {one.name: await _resolve(one.dependency, context, stack, values, made) for one in provided}


async def _resolve(
    dependency: Depends, context: Context, stack: AsyncExitStack, values: dict[Any, Any], made: Made | None
) -> Any:
    """One value; without `made`, this is the making of what belongs to the process."""
    if dependency.per == "process" and made is not None:
        return await made.value_of(dependency, context)
    if dependency.make not in values:
        given = {one.name: await _resolve(one.dependency, context, stack, values, made) for one in dependency.needs}
        if dependency.wants_context is not None:
            given[dependency.wants_context] = context
        values[dependency.make] = await _OPEN[dependency.kind](dependency.make, given, stack)
    return values[dependency.make]


async def _of_function(make: Callable[..., Any], given: dict[str, Any], stack: AsyncExitStack) -> Any:
    made = make(**given)
    return await made if inspect.isawaitable(made) else made


async def _of_generator(make: Callable[..., Any], given: dict[str, Any], stack: AsyncExitStack) -> Any:
    return stack.enter_context(contextmanager(make)(**given))


async def _of_async_generator(make: Callable[..., Any], given: dict[str, Any], stack: AsyncExitStack) -> Any:
    return await stack.enter_async_context(asynccontextmanager(make)(**given))


_OPEN = {"function": _of_function, "generator": _of_generator, "async generator": _of_async_generator}


def _kind_of(make: Callable[..., Any]) -> str:
    carrier = _carrier(make)
    if inspect.isasyncgenfunction(carrier):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(carrier) else "function"


def _carrier(make: Any) -> Any:
    """What holds the annotations of something that is called."""
    if inspect.isclass(make):
        return make.__init__
    return make if inspect.isroutine(make) else type(make).__call__
