"""Lifespans: opened once however many wait, closed in the task that opened, retried after a failure."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bascule import Server
from bascule.runtime.lifespan import Lifespan, State


def recording(events, *, fail=0):
    failures = iter([True] * fail)

    @asynccontextmanager
    async def lifespan(server):
        events.append(("open", asyncio.current_task()))
        if next(failures, False):
            raise OSError("no database")
        yield "value"
        events.append(("close", asyncio.current_task()))

    return lifespan


async def test_many_that_start_at_once_open_once_and_the_same_task_closes():
    events = []
    lifespan = Lifespan(Server("t", lifespan=recording(events)))
    await asyncio.gather(*(lifespan.start() for _ in range(10)))
    assert lifespan.state is State.READY
    await lifespan.stop()
    assert lifespan.state is State.STOPPED
    assert [name for name, _ in events] == ["open", "close"]
    assert events[0][1] is events[1][1]


async def test_a_failed_start_is_told_to_all_who_wait_and_may_be_tried_again():
    events = []
    lifespan = Lifespan(Server("t", lifespan=recording(events, fail=1)))
    outcomes = await asyncio.gather(lifespan.start(), lifespan.start(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    assert lifespan.state is State.NEW
    await lifespan.start()
    assert lifespan.state is State.READY
    await lifespan.stop()


async def test_who_gives_up_waiting_does_not_stop_the_start():
    gate = asyncio.Event()

    @asynccontextmanager
    async def slow(server):
        await gate.wait()
        yield

    lifespan = Lifespan(Server("t", lifespan=slow))
    waiting = asyncio.create_task(lifespan.start())
    await asyncio.sleep(0)
    waiting.cancel()
    gate.set()
    await lifespan.start()
    assert lifespan.state is State.READY
    await lifespan.stop()


async def test_mounted_servers_open_after_and_close_before_their_host():
    order = []

    def named(name):
        @asynccontextmanager
        async def lifespan(server):
            order.append(f"open {name}")
            yield
            order.append(f"close {name}")

        return lifespan

    host, guest = Server("host", lifespan=named("host")), Server("guest", lifespan=named("guest"))
    host.mount(guest)
    lifespan = Lifespan(host)
    await lifespan.start()
    await lifespan.stop()
    assert order == ["open host", "open guest", "close guest", "close host"]


async def test_stopping_what_never_started_does_nothing():
    await Lifespan(Server("t")).stop()


async def test_an_error_while_closing_reaches_who_stops():
    @asynccontextmanager
    async def broken(server):
        yield
        raise RuntimeError("cannot close")

    lifespan = Lifespan(Server("t", lifespan=broken))
    await lifespan.start()
    with pytest.raises(RuntimeError, match="cannot close"):
        await lifespan.stop()
