"""Questions over the back channel: ids that no other process gives, and nothing that is left of one."""

import asyncio
import os
from contextlib import suppress

from bascule.errors import NotAnswered
from bascule.transports.back_channel import BackChannels


class Line:
    """A reply that keeps what is asked; notifications wait for ever."""

    def __init__(self, stalls=False):
        self.asked = []
        self.stalls = stalls

    async def event(self, data):
        self.asked.append(data)
        if self.stalls:
            await asyncio.Event().wait()

    async def notify(self, notice):
        await asyncio.Event().wait()


async def asking(channels, line):
    task = asyncio.ensure_future(channels.ask("session", line, "roots/list", None))
    await asyncio.sleep(0)
    return task


async def test_two_processes_that_ask_in_one_session_give_different_ids():
    line = Line()
    tasks = [await asking(BackChannels(os.urandom), line) for _ in range(2)]
    assert len(set(line.asked)) == 2
    for task in tasks:
        task.cancel()


async def test_a_question_that_is_cancelled_twice_leaves_nothing():
    channels = BackChannels(os.urandom)
    task = await asking(channels, Line())
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await task
    assert not channels._links


async def test_the_end_of_a_session_reaches_a_question_that_is_still_being_written():
    channels = BackChannels(os.urandom)
    loop = asyncio.get_running_loop()
    heard = []
    loop.set_exception_handler(lambda loop, context: heard.append(context))
    task = await asking(channels, Line(stalls=True))
    channels.end("session")
    task.cancel()
    with suppress(asyncio.CancelledError, NotAnswered):
        await task
    del task
    assert heard == []
    assert not channels._links
