"""A whole HTTP server under random calls, cancellations, replays, lost connections and restarts, held against a model.

The model: a request gets one answer, the right one; one that was cancelled in time gets none; what is not legal gets
its error; an answer that a client lost goes on where it was, without loss or repetition; nobody gets what belongs to
another; and at the end nothing is left. Time and network are simulated, and each step comes from a seed, so each run
can be repeated; BASCULE_SEEDS sets how many.
"""

import asyncio
import os
import random
from types import SimpleNamespace
from unittest import mock

import pytest

from bascule.engine.firststep import first_step
from bascule.engine.hub import Listener
from bascule.eras import rounds
from bascule.runtime.settle import settle
from bascule.transports import http_sessions, session_ids
from bascule.transports.back_channel import BackChannels
from bascule.transports.http_reply import Reply
from tests.machines.http_run import play
from tests.machines.http_world import World
from tests.machines.simulated import SimulatedLoop, Stuck

SEEDS = int(os.environ.get("BASCULE_SEEDS", "1000"))
STEPS = 40


def run(seed):
    """One run: its world, with the faults found and the trace of what happened."""
    loop = SimulatedLoop()
    asyncio.set_event_loop(loop)
    try:
        world = World(loop, seed)
        with mock.patch("os.urandom", random.Random(f"references {seed}").randbytes):
            try:
                loop.run_until_complete(play(world, STEPS))
            except Stuck:
                world.fault("everybody waits for somebody else")
        return world
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_every_client_sees_what_the_model_says(caplog):
    caplog.set_level("CRITICAL")
    for seed in range(SEEDS):
        faults = run(seed).faults
        if faults:
            pytest.fail(f"seed {seed}: {faults[0]}")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_seed_is_a_run(seed, caplog):
    caplog.set_level("CRITICAL")
    first, second = run(seed).trace, run(seed).trace
    assert first == second
    assert len(first) > STEPS


def begun_unchecked(endpoint, exchange):
    return first_step(settle(endpoint._application, endpoint._era, exchange))


def settled_for_anybody(channels, conversation, frame):
    for link in list(channels._links.values()):
        link.settle(frame)


async def ended_with_an_answer(reply):
    await reply.finish(b'{"jsonrpc":"2.0","id":1,"result":{}}')


PLANTED = {
    "an id may run twice": (http_sessions.HandshakeEndpoint, "_begun", begun_unchecked),
    "any principal may use a session": (session_ids, "_digest", lambda key: b"alike"),
    "any principal may use a state": (rounds, "_principal", lambda exchange: b"alike"),
    "a state fits any request": (rounds, "call_of", lambda exchange: SimpleNamespace(digest=b"alike")),
    "listeners stay": (Listener, "close", lambda listener: None),
    "anybody may answer a question": (BackChannels, "settle", settled_for_anybody),
    "what is cancelled is answered": (Reply, "end", ended_with_an_answer),
    "what is lost is kept for nobody": (Reply, "_put", lambda reply, message: reply._send(message)),
}


@pytest.mark.parametrize(("owner", "name", "fault"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found(owner, name, fault, monkeypatch, caplog):
    caplog.set_level("CRITICAL")
    monkeypatch.setattr(owner, name, fault)
    assert any(run(seed).faults for seed in range(300))
