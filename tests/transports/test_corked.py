"""Writes leave together where that costs nobody time: a head with its body, many answers at the end of a turn."""

import asyncio

import pytest

from bascule.transports.corked import CorkedTransport

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


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


def corked(running=1):
    inner = Recorded()
    return inner, CorkedTransport(inner, asyncio.get_running_loop(), range(running))


async def test_a_head_leaves_with_the_first_of_its_body_and_the_rest_at_once():
    inner, transport = corked()
    transport.write(HEAD)
    assert inner.writes == []
    transport.write(b"body")
    transport.write(b"more")
    assert inner.writes == [HEAD + b"body", b"more"]


async def test_while_others_run_an_answer_leaves_at_the_end_of_the_turn():
    inner, transport = corked(running=2)
    for data in (HEAD, b"body", b"more"):
        transport.write(data)
        transport.complete()
    transport.write(HEAD)
    transport.write(b"next")
    assert inner.writes[:1] == [HEAD]
    await asyncio.sleep(0)
    assert b"".join(inner.writes) == HEAD + b"bodymore" + HEAD + b"next"
    assert len(inner.writes) == 2


async def test_a_head_without_a_body_leaves_when_its_answer_is_complete():
    inner, transport = corked()
    transport.write(HEAD)
    transport.complete()
    transport.complete()
    assert inner.writes == [HEAD]


async def test_an_interim_answer_is_not_held_for_a_client_waits_for_it():
    inner, transport = corked()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert len(inner.writes) == 1


@pytest.mark.parametrize("running", [1, 2])
async def test_much_is_written_at_once_so_that_flow_control_sees_it(running):
    inner, transport = corked(running)
    transport.write(HEAD)
    body = b"x" * 100_000
    transport.write(body)
    assert inner.writes == [HEAD, body]
    assert inner.writes[1] is body, "much is not copied"


async def test_closing_writes_what_is_left_and_nothing_is_written_afterwards():
    inner, transport = corked(running=2)
    transport.write(HEAD)
    transport.write(b"last words")
    transport.close()
    assert inner.writes == [HEAD + b"last words"]
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert len(inner.writes) == 1
    assert transport.is_closing()


async def test_everything_else_is_the_transports_own():
    _, transport = corked()
    assert transport.get_extra_info("peername") == "peername"
