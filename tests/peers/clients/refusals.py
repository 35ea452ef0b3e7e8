"""What the user of a client written in Python gets when a server refuses: reads orders, prints what came of each.

Knows the standard library only, since every client runs in an environment of its own. On standard input is a JSON list
of sessions: `target` (a command as a list, or a URL), `era` ("old" or "any"), `headers` for HTTP, `asks` (whether the
client can ask its user, who declines everything), and `steps` by name: what to `do` with the feature `of` a name, with
which `arguments`, and how many `times`, of which the last counts. Printed is a JSON list, for each session an object
with what came of every step: a result in the words of the wire, or what can be read from the exception. Where there is
no connection, it has `connect` alone.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

SECONDS = 20
"""How long one session may take."""


class Peer(Protocol):
    """A client that is connected. What it returns is spelt as on the wire."""

    async def call(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]: ...

    async def read(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]: ...

    async def prompt(self, of: str, arguments: dict[str, Any]) -> dict[str, Any]: ...


class Session(NamedTuple):
    target: list[str] | str
    era: str
    headers: dict[str, str]
    asks: bool
    steps: dict[str, dict[str, Any]]


Connect = Callable[[Session], AbstractAsyncContextManager[Peer]]
Told = Callable[[BaseException], dict[str, Any]]
"""What a user can read from an exception."""


async def first_of_two(call: Callable[[], Awaitable[Any]]) -> Any:
    """The outcome of whichever of two calls at the same time ends first; the other is given up."""
    calls = [asyncio.ensure_future(call()) for _ in range(2)]
    (ended, *_), others = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    return await ended


async def taken(peer: Peer, told: Told, do: str, of: str, arguments: dict[str, Any], times: int) -> dict[str, Any]:
    """What came of one step."""

    def call() -> Awaitable[dict[str, Any]]:
        return getattr(peer, "call" if do == "race" else do)(of, arguments)

    for _ in range(times - 1):
        await call()
    try:
        return await (first_of_two(call) if do == "race" else call())
    except Exception as error:
        return told(error)


async def carried_out(connect: Connect, told: Told, session: Session) -> dict[str, Any]:
    done: dict[str, Any] = {}
    try:
        async with asyncio.timeout(SECONDS), connect(session) as peer:
            for name, step in session.steps.items():
                done[name] = await taken(peer, told, **step)
    except Exception as error:
        done["connect"] = told(error)
    return done


def cause(error: BaseException) -> BaseException:
    """The error inside the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(connect: Connect, told: Told) -> None:
    async def all_of_them() -> list[dict[str, Any]]:
        return [await carried_out(connect, told, Session(**given)) for given in json.load(sys.stdin)]

    print(json.dumps(asyncio.run(all_of_them())))
