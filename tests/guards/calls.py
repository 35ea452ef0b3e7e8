"""Calls by hand: an exchange and a feature for a guard to be folded around, and a loop in which no time is lost."""

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.exchange import CLOSED, LOCAL, Exchange, Peer, Principal
from bascule.engine.policy import Policy
from bascule.wire.content import TextContent
from bascule.wire.requests import ClientCapabilities
from bascule.wire.tools import CallToolParams, CallToolResult
from tests.machines.simulated import SimulatedLoop


class FakeFeature(NamedTuple):
    """A feature that consists of its policy."""

    policy: Policy
    name: str = "work"
    kind: str = "tool"

    @property
    def address(self):
        return self.name


def feature(kind="tool", name="work", **policy):
    return FakeFeature(Policy(**policy), name, kind)


def somebody(name):
    """A caller with credentials."""
    return Principal(issuer="https://issuer.example", subject=name, anonymous=False)


async def unasked(exchange, questions):
    raise AssertionError("nobody was to be asked")


def exchange(principal=LOCAL, arguments=None, *, inquire=unasked, name="work", **fields):
    raw = UNSET if arguments is None else Raw(msgspec.json.encode(arguments))
    return Exchange(
        method="tools/call",
        request_id=1,
        params=CallToolParams(name=name, arguments=raw),
        raw_params=None,
        peer=Peer("", None, ClientCapabilities()),
        principal=principal,
        channel=CLOSED,
        inquire=inquire,
        **fields,
    )


def result(text="done", *, is_error=False):
    return CallToolResult(content=[TextContent(text)], is_error=is_error)


def simulated(main):
    """Run a coroutine function, which gets the loop, in simulated time; nothing may fail unseen."""
    loop = SimulatedLoop(0.0)
    try:
        outcome = loop.run_until_complete(main(loop))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        assert loop.failures == []
        return outcome
    finally:
        loop.close()
