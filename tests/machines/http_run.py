"""A run of the simulation, from the first client to the last: what befalls the world, and how it comes to its end."""

import asyncio

from tests.machines.http_exchanges import Subscription
from tests.machines.http_model import QUESTION_TTL
from tests.machines.http_steps import chosen, come_back, go_on, resumable


async def play(world, steps):
    """A whole run, from the first client to the last."""
    for host in world.hosts:
        await host.server.start()
    for client in world.clients:
        if not client.modern:
            world.greet(client, world.hosts[0])
    befalls = chosen(world)
    for _ in range(steps):
        done = world.random.choice(befalls)(world)
        if done is not None:
            await done
        for _ in range(world.random.choice((0, 0, 0, 1, 2, 4))):
            await asyncio.sleep(0)
    await settle(world)
    await leave(world)


async def settle(world):
    """Nothing fails any more, and everybody does the right thing: all that can be answered must be answered soon."""
    world.calm = True
    world.disk.failing = 0
    for one in world.connections:
        one.flow()
    await asyncio.sleep(5)
    for call in world.calls:
        if call.running and (call.cancelled or (call.cut and call.client.modern)):
            world.fault(f"{call.name} works on, and nobody wants it")
    for pause in (1,) * 30 + (30,) * 30:
        help_on(world)
        if not waiting(world):
            break
        await asyncio.sleep(pause)
    for call in waiting(world):
        world.fault(f"{call.name} ({call.plan}) was never answered")
    check_heard(world)


def help_on(world):
    """Do all that can be done for an answer."""
    for event in world.gates.values():
        event.set()
    for key, call in list(world.questions.items()):
        if call.session.alive(call.host, world.loop.time()):
            world.answer(key, f"<{call.name}>")
    for given in [one for client in world.clients for one in client.rounds if not one.tries]:
        come_back(world, given, "right")
    for call in waiting(world):
        if resumable(world, call):
            go_on(world, call, call.ids[-1])


def waiting(world):
    return [call for call in world.calls if expected(world, call)]


def check_heard(world):
    """Whoever had to hear of a change or of an end has."""
    for one, what in world.must_end:
        if one.open:
            one.fault(f"is still open, although {what} was cancelled or ended")
    for one in world.connections:
        if isinstance(one, Subscription) and one.open and one.unheard:
            one.fault(f"never heard of {one.unheard}")
    for session in (session for client in world.clients for session in client.sessions):
        unheard = {host.number: uris for host, uris in session.unheard.items() if uris and host in world.hosts}
        if unheard:
            world.fault(f"session of {session.client.number} never heard of {unheard}")


def expected(world, call):
    """Whether an answer must still come."""
    if call.answers or call.cancelled or call.killed:
        return False
    if call.cut or call.resumed is not None or (call.connection.complete and "e" in call.plan):
        owed = call.owed and call.resumed.open and not call.spoiled
        return owed or bool(resumable(world, call))
    return True


async def leave(world):
    """All clients leave, the servers drain and stop, and nothing is left."""
    for one in world.connections:
        if one.open:
            one.leave()
    await asyncio.sleep(QUESTION_TTL + 10)
    for one in world.connections:
        if not one.over:
            one.fault("still runs, although its client has left")
    for host in world.hosts:
        world.check_empty(host)
        await world.restart(host)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        world.fault(f"tasks are left: {left}")
    if world.loop.timers():
        world.fault(f"timers are left: {world.loop.timers()}")
    for failure in world.loop.failures:
        world.fault(f"the loop heard of {failure}")
