"""A stream under random interleavings of calls, answers, cancellations, repetitions and its end, held against a model.

The model: a request gets one answer, the right one; one that was cancelled in time gets none; one whose id is taken
gets an error; and at the end nothing is left. Steps come from a seed, so each run can be repeated; BASCULE_SEEDS sets
how many.
"""

import asyncio
import json
import os
import random

import pytest

from bascule import Context, Server
from bascule.engine.exchange import LOCAL
from bascule.eras.route import StreamRoute
from bascule.eras.sealing import Sealer
from bascule.runtime.pump import Pump
from tests.messages import META, PREFIX, initialize, legacy, line, request

SEEDS = int(os.environ.get("BASCULE_SEEDS", "1000"))
STEPS = 40
ABLE = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}}
TOOLS = ("quick", "wait", "ask", "stubborn", "broken")


class World:
    """A server, a client of one era, and what the client must see."""

    def __init__(self, seed, era):
        self.random = random.Random(seed)
        self.era = era
        self.sent = []
        self.gates = {}
        self.open = {}
        self.cancelled = set()
        self.answered = {}
        self.questions = {}
        self.expected = {}
        self.doubles = 0
        self.faults = []
        self.number = 0
        self.app = self.serve()
        sealer = Sealer(())
        self.pump = Pump(self.app, StreamRoute(self.app, lambda: sealer), LOCAL, self.hear, self.drained, limit=5)

    def serve(self):
        app = Server("machine")

        async def gate(name):
            event = self.gates.setdefault(name, asyncio.Event())
            await event.wait()

        @app.tool
        async def quick(name: str) -> str:
            return name

        @app.tool
        async def wait(name: str) -> str:
            await gate(name)
            return name

        @app.tool
        async def ask(name: str, ctx: Context) -> str:
            answer = await ctx.elicit(f"{name}?", str)
            return f"{name}{answer.content}"

        @app.tool
        async def stubborn(name: str) -> str:
            try:
                await gate(name)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return name

        @app.tool
        async def broken(name: str) -> str:
            raise RuntimeError(name)

        return app

    async def drained(self):
        await asyncio.sleep(0)

    def hear(self, data):
        message = json.loads(data)
        if "method" in message:
            if message["method"] == "elicitation/create":
                self.questions[message["id"]] = message["params"]["message"].removesuffix("?")
            return
        request_id = message["id"]
        if "error" in message and "still running" in message["error"]["message"]:
            self.doubles -= 1
            return
        name = self.open.pop(request_id, None)
        if name is None:
            self.faults.append(f"{request_id} is answered twice, or was cancelled, or was never asked")
            return
        try:
            self.check(name, message)
        except (AssertionError, LookupError) as wrong:
            self.faults.append(f"{request_id} ({name}): {wrong!r} in {message}")
        self.answered[request_id] = name

    def check(self, name, message):
        result = message["result"]
        if result.get("resultType") == "input_required":
            self.retry(name, result)
        elif self.expected[name] is None:
            assert result["isError"]
            assert name not in json.dumps(message).replace(f'"{name}"', ""), "what went wrong is nobody's business"
        else:
            assert result["structuredContent"] == {"result": self.expected[name]}

    def retry(self, name, result):
        """Answer a round, with another request."""
        ((key, question),) = result["inputRequests"].items()
        assert question["params"]["message"] == f"{name}?", "somebody else's question"
        answers = {key: {"action": "accept", "content": {"value": "!"}}}
        self.call("ask", name, inputResponses=answers, requestState=result["requestState"])

    def call(self, tool, name, **more):
        self.number += 1
        request_id = self.number
        params = {"name": tool, "arguments": {"name": name}, **more}
        self.open[request_id] = name
        self.expected[name] = {"ask": f"{name}!", "broken": None}.get(tool, name)
        modern = request("tools/call", params, id=request_id, meta=ABLE)
        self.sent.append(modern if self.era == "modern" else legacy("tools/call", params, id=request_id))
        self.pump.feed(line(self.sent[-1]))

    def step(self):
        self.random.choice((self.begin, self.begin, self.release, self.reply, self.cancel, self.repeat, self.noise))()

    def begin(self):
        self.call(self.random.choice(TOOLS), f"n{self.number}x")

    def release(self):
        if self.gates:
            self.gates[self.random.choice(list(self.gates))].set()

    def reply(self):
        if self.questions:
            self.answer(self.random.choice(list(self.questions)))

    def answer(self, question):
        self.questions.pop(question)
        answer = {"action": "accept", "content": {"value": "!"}}
        for _ in range(self.random.randint(1, 2)):
            self.pump.feed(line({"jsonrpc": "2.0", "id": question, "result": answer}))

    def cancel(self):
        if self.open:
            request_id = self.random.choice(list(self.open))
            params = {"requestId": request_id}
            self.pump.feed(line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
            del self.open[request_id]

    def repeat(self):
        running = [message for message in self.sent if message["id"] in self.open]
        if running:
            self.doubles += 1
            self.pump.feed(line(self.random.choice(running)))

    def noise(self):
        self.pump.feed(self.random.choice((b"{", b"[]", b'{"jsonrpc":"2.0","id":99999,"result":{}}')) + b"")

    async def play(self):
        self.pump.open({})
        if self.era == "legacy":
            greeting = initialize()
            greeting["params"]["capabilities"] = {"elicitation": {}}
            greeting["id"] = self.number = 1
            self.hear, hear = (lambda data: None), self.hear
            self.pump._write = lambda data: None
            self.pump.feed(line(greeting))
            for _ in range(20):
                await asyncio.sleep(0)
            self.hear = hear
            self.pump._write = hear
        for _ in range(STEPS):
            self.step()
            for _ in range(self.random.randint(0, 3)):
                await asyncio.sleep(0)
        for _ in range(2000):
            if not self.open and not self.pump.busy:
                break
            for event in self.gates.values():
                event.set()
            for question in list(self.questions):
                self.answer(question)
            await asyncio.sleep(0)


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_every_request_gets_its_own_answer_whatever_comes_between(era, caplog):
    caplog.set_level("CRITICAL")
    for seed in range(SEEDS):

        async def one(seed=seed):
            world = World(seed, era)
            real = world.hear

            def hear(data):
                message = json.loads(data)
                if "id" not in message and "error" in message:
                    return  # the answer to noise
                real(data)

            world.hear = hear
            world.pump._write = hear
            await world.play()
            assert not world.faults
            assert not world.open, f"never answered: {world.open}"
            assert world.doubles == 0
            await world.pump.finish(0)
            assert not world.app.hub.listeners
            assert not world.pump.busy
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left

        try:
            asyncio.run(one())
        except AssertionError as wrong:
            pytest.fail(f"seed {seed}: {wrong}")
