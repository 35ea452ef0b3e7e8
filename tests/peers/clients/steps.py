"""The steps of one cell of the matrix, for a client written in Python: reads an order, prints what came of every step.

Knows the standard library only, since every client runs in an environment of its own. The order is one JSON object on
standard input: `target` (a command as a list, or a URL), `era` ("old", or "any" for what the client finds out by
itself), `answer` (to every form) and `steps`, the arguments of each step by its name. Printed is one JSON object with
the outcome of each step by its name, in the words of the wire; `{"failed": why}` for one that did not come to an end.
`connect` comes first; where it failed there is nothing else.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

SECONDS = 8
"""How long one step may take."""

CONNECTING = 20
"""How long it may take to connect, which starts a server over stdio."""

OnProgress = Callable[[float, float | None, str | None], None]


class Peer(Protocol):
    """A client that is connected, behind one face for all; what it returns is spelt as on the wire."""

    @property
    def facts(self) -> dict[str, Any]:
        """`protocolVersion`."""
        ...

    async def names(self) -> dict[str, list[str]]:
        """The names of all `tools` and `prompts`, and the URIs of all `resources`."""
        ...

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: OnProgress | None) -> dict[str, Any]: ...

    async def read(self, uri: str) -> dict[str, Any]: ...

    async def prompt(self, name: str, arguments: dict[str, str]) -> dict[str, Any]: ...


class Form:
    """The user, who fills every form in with the same answer; `asked` is what was seen of each."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def fill(self, message: str, schema: dict[str, Any]) -> dict[str, Any]:
        self.asked.append([message, schema.get("required")])
        return self.answer


class Order(NamedTuple):
    """Whom to connect to, and how."""

    target: list[str] | str
    era: str
    form: Form


Connect = Callable[[Order], AbstractAsyncContextManager[Peer]]


async def listed(peer: Peer, _: Form) -> Any:
    return await peer.names()


async def called(peer: Peer, _: Form, tool: str, arguments: dict[str, Any]) -> Any:
    return await peer.call(tool, arguments, None)


async def read(peer: Peer, _: Form, uri: str) -> Any:
    return await peer.read(uri)


async def rendered(peer: Peer, _: Form, name: str, arguments: dict[str, str]) -> Any:
    return await peer.prompt(name, arguments)


async def watched(peer: Peer, _: Form, tool: str, arguments: dict[str, Any]) -> Any:
    progress: list[Any] = []
    result = await peer.call(tool, arguments, lambda *step: progress.append(step))
    return {**result, "progress": progress}


async def asked(peer: Peer, form: Form, tool: str, arguments: dict[str, Any]) -> Any:
    result = await peer.call(tool, arguments, None)
    return {**result, "asked": form.asked}


async def abandoned(peer: Peer, _: Form, tool: str, arguments: dict[str, Any], witness: str) -> Any:
    """Give a call up once it has begun; then `witness`, another tool, tells whether the first one's handler noticed."""
    begun = asyncio.Event()
    call = asyncio.ensure_future(peer.call(tool, arguments, lambda *_: begun.set()))
    waiting = asyncio.ensure_future(begun.wait())
    await asyncio.wait([call, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    call.cancel()
    (came_of_it,) = await asyncio.gather(call, return_exceptions=True)
    given_up = isinstance(came_of_it, asyncio.CancelledError)
    noticed = await peer.call(witness, arguments, None)
    return {**noticed, "givenUp": given_up, **({} if given_up else {"instead": repr(came_of_it)})}


STEPS: dict[str, Callable[..., Awaitable[Any]]] = {
    "list": listed,
    "call": called,
    "error": called,
    "read": read,
    "prompt": rendered,
    "progress": watched,
    "elicit": asked,
    "cancel": abandoned,
}


async def carry_out(connect: Connect, order: Order, steps: dict[str, Any]) -> dict[str, Any]:
    """The outcome of every step."""
    done: dict[str, Any] = {}
    try:
        connection = connect(order)
        async with asyncio.timeout(CONNECTING):
            peer = await connection.__aenter__()
    except Exception:
        return {"connect": {"failed": traceback.format_exc()}}
    try:
        done["connect"] = peer.facts
        for name, arguments in steps.items():
            try:
                async with asyncio.timeout(SECONDS):
                    done[name] = await STEPS[name](peer, order.form, **arguments)
            except Exception:
                done[name] = {"failed": traceback.format_exc()}
    finally:
        async with asyncio.timeout(SECONDS):
            await connection.__aexit__(None, None, None)
    return done


def main(connect: Connect) -> None:
    given = json.load(sys.stdin)
    order = Order(given["target"], given["era"], Form(given["answer"]))
    print(json.dumps(asyncio.run(carry_out(connect, order, given["steps"]))))
