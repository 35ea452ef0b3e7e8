"""Writes of one turn leave together, in order; nothing waits longer than the turn, nothing is lost at the end."""

import asyncio

from bascule.transports.corked import CorkedTransport


class Recorded:
    """A transport that keeps what is written to it."""

    def __init__(self):
        self.writes = []
        self.closed = False

    def write(self, data):
        self.writes.append(data)

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def get_extra_info(self, name):
        return name


async def corked():
    inner = Recorded()
    return inner, CorkedTransport(inner, asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_leaves_in_one_write():
    inner, transport = await corked()
    transport.write(b"head ")
    transport.write(b"body")
    assert inner.writes == []
    await asyncio.sleep(0)
    assert inner.writes == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert inner.writes == [b"head body", b"next"]


async def test_much_is_written_at_once_so_that_flow_control_sees_it():
    inner, transport = await corked()
    transport.write(b"x" * 100_000)
    assert [len(data) for data in inner.writes] == [100_000]


async def test_closing_writes_what_is_left_and_nothing_is_written_afterwards():
    inner, transport = await corked()
    transport.write(b"last words")
    transport.close()
    assert inner.writes == [b"last words"]
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert inner.writes == [b"last words"]
    assert transport.is_closing()


async def test_everything_else_is_the_transports_own():
    _, transport = await corked()
    assert transport.get_extra_info("peername") == "peername"
