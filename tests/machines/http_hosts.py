"""Server processes of the simulation: HttpServer, its application with tools that do as a plan says, and its stores.

Several share their sealing keys, as replicas do; each has its own hub, sessions' marks and events.
"""

import asyncio

from bascule import Context, Server
from bascule.engine.settings import HttpSettings
from bascule.eras.sealing import Sealer
from bascule.transports.http_server import HttpServer
from bascule.transports.http_sessions import HandshakeEndpoint
from tests.machines.network import CURRENT
from tests.machines.simulated import DiskReplay

SESSION_TTL = 2000.0
KEYS = (b"a secret that both hosts have",)
SETTINGS = HttpSettings(session_ttl=SESSION_TTL)
URIS = ("res://0", "res://1", "res://2")


class Machine(Server):
    """An application whose threads are simulated too."""

    def __init__(self, world):
        super().__init__("machine")
        self.world = world

        @self.tool
        async def do(name: str, plan: str, ctx: Context) -> str:
            return await perform(world, ctx)

        @self.tool
        def block(name: str, plan: str, ctx: Context) -> str:
            return call_of(ctx).result()

        for uri in URIS:
            self.resource(uri)(read)

    async def in_thread(self, function, *arguments, key=None, most=None):
        """As a thread would: what is cancelled meanwhile goes on, and nobody gets what comes of it."""
        call = next(iter(CURRENT.get().calls.values()))
        self.world.enter(call)
        try:
            await asyncio.sleep(self.world.random.choice((0, 0.1, 2)))
        finally:
            call.done, call.done_at = True, self.world.loop.time()
            outcome = function(*arguments)
        return outcome


async def read() -> str:
    return "nothing that matters"


def call_of(ctx):
    return CURRENT.get().calls[ctx.request_id]


async def perform(world, ctx):
    """Do what the plan of the call says; answers are put behind its name."""
    call = call_of(ctx)
    world.enter(call)
    said = [call.name]
    try:
        for step in call.plan:
            await STEPS[step](world, call, ctx, said)
    except asyncio.CancelledError:
        if not call.plan.startswith("s"):
            raise
        await asyncio.sleep(world.random.choice((0, 0, 1)))
    finally:
        call.done, call.done_at = True, world.loop.time()
    return "".join(said)


async def gate(world, call, ctx, said):
    event = world.gates.setdefault(call, asyncio.Event())
    if not world.calm:
        event.clear()
        await event.wait()


async def progress(world, call, ctx, said):
    call.emitted.append(f"{call.name}#{len(call.emitted)}")
    await ctx.report_progress(len(call.emitted), message=call.emitted[-1])


async def log(world, call, ctx, said):
    call.emitted.append(f"{call.name}#{len(call.emitted)}")
    await ctx.info(call.emitted[-1])


async def ask(world, call, ctx, said):
    call.asked_at = world.loop.time()
    answer = await ctx.elicit(f"{call.name}?{len(said)}", str)
    said.append(answer.content if answer.accepted else "-")


async def release(world, call, ctx, said):
    await ctx.release_stream(1.0)


async def linger(world, call, ctx, said):
    """Leave something that goes on after the answer, and has nobody to speak to any more."""
    answering = asyncio.current_task()

    async def speak():
        await asyncio.wait({answering})
        await asyncio.sleep(world.random.choice((0, 0, 1)))
        await ctx.info(f"{call.name} too late")
        await ctx.release_stream()

    world.lingering.append(asyncio.ensure_future(speak()))


async def fail(world, call, ctx, said):
    raise RuntimeError(f"secret of {call.name}")


async def nothing(world, call, ctx, said):
    """The mark of one who swallows cancellation."""


STEPS = {"g": gate, "r": progress, "l": log, "a": ask, "e": release, "b": linger, "x": fail, "s": nothing}


class Door:
    """An authenticator that takes each request's principal from its task."""

    async def authenticate(self, headers, address):
        return CURRENT.get().principal

    async def close(self):
        """It holds nothing."""


class Host:
    """One server process."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.drained = False
        self.app = Machine(world)
        self.replay = DiskReplay(world.disk, world.loop.time, self._failed)
        sealer = Sealer(KEYS, world.bytes)

        def endpoint(application, settings, seal):
            return HandshakeEndpoint(application, settings, seal, self.replay, world.loop.time, world.bytes)

        self.server = HttpServer(
            self.app, SETTINGS, endpoint, _no_legacy, lambda: sealer, world.marks, world.loop.time, world.bytes, Door()
        )

    def _failed(self):
        for call in CURRENT.get().calls.values():
            call.spoiled = True

    def left_over(self):
        """What is still kept for clients, who have all left."""
        server, handshake = self.server, self.server._handshake
        kept = {"listeners": self.app.hub.listeners, "topics": self.app.hub._by_topic, "listening": server._listeners}
        if handshake is not None:
            streams = handshake._streams
            kept |= {"running": handshake._running, "questions": handshake._back._links, "open": streams._open}
            kept |= {"of principals": streams._of_principal, "streams": streams._count}
        return {name: found for name, found in kept.items() if found}


def _no_legacy(application, settings, make_seal):
    raise AssertionError("nobody asked for the transport of 2024-11-05")
