"""The cost of each guard by itself: a handler with only that guard around it, beside the handler alone.

    python -m bench.guard_costs CALLS TURNS   print the microseconds of each, one value for each turn, as JSON

CPU time of the whole process, its threads included: the audit log writes in one. What begins and ends once is not in
it, because each figure is the difference of a longer and a shorter run. The settings are those of the target
`bascule-guarded`, with a limit on calls at once besides, because that guard is there only where it is asked for.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
from itertools import count
from typing import Any

import opentelemetry.trace  # noqa: F401  # it is there for Bascule to find
from msgspec import Raw, Struct

from bascule import config
from bascule.engine.demands import Demands, Source, settle
from bascule.engine.exchange import CLOSED, Exchange, Handler, Peer
from bascule.engine.policy import Kind, Policy
from bascule.engine.ports import Authenticator
from bascule.engine.settings import Settings
from bascule.guards import NAMES, fold
from bascule.pipeline import Pipeline
from bascule.serve import authenticator
from bascule.wire.content import TextContent
from bascule.wire.requests import ClientCapabilities, Implementation
from bascule.wire.results import Result
from bascule.wire.tools import CallToolParams, CallToolResult
from bench import targets
from bench.messages import STATELESS

ASKING = ("confirm",)
"""Guards whose cost is a person's time."""

_numbers = count(1)


class Add(Struct, frozen=True):
    """The tool that is guarded."""

    policy: Policy
    name: str = "add"
    address: str = "add"
    kind: Kind = "tool"
    check: None = None


async def bare(_exchange: Exchange) -> Result:
    """A handler that has its answer ready, in the form that tools of functions give it."""
    return CallToolResult([TextContent("1000002")], structured_content={"result": Raw(b"1000002")})


class Costs:
    """Handlers by name, and what a call of each takes."""

    def __init__(self, settings: Settings, key: str) -> None:
        self._pipeline = Pipeline(settings, "bench")
        demands = [Source("the benchmark", Demands(concurrency=1000)), *self._pipeline.sources("tool", "add")]
        self._feature = Add(settle(demands).policy)
        self._door = _door(settings)
        self._shown = {"authorization": f"Bearer {key}"}
        self._principal = asyncio.run(self._door.authenticate(self._shown, "127.0.0.1"))
        self.handlers: dict[str, Handler] = {"API key": self._admit}
        for name in NAMES:
            guard = None if name in ASKING else self._pipeline.guard(name)
            if guard is not None:
                self.handlers[name] = guard(bare, self._feature)
        self.handlers["all"] = fold(bare, self._feature, self._pipeline.guard)

    async def _admit(self, exchange: Exchange) -> Any:
        return await self._door.authenticate(self._shown, exchange.address)

    async def turn(self, calls: int) -> dict[str, float]:
        """The microseconds of each guard."""
        least = await self._each(bare, calls)
        return {name: await self._each(handler, calls) - least for name, handler in self.handlers.items()}

    async def _each(self, handler: Handler, calls: int) -> float:
        few = await self._seconds(handler, calls // 4)
        return (await self._seconds(handler, calls) - few) / (calls - calls // 4) * 1e6

    async def _seconds(self, handler: Handler, calls: int) -> float:
        exchanges = [self._exchange(next(_numbers)) for _ in range(calls)]
        gc.collect()
        began = time.process_time()
        async with self._pipeline.running():
            for exchange in exchanges:
                await handler(exchange)
        return time.process_time() - began

    def _exchange(self, number: int) -> Exchange:
        arguments = Raw(b'{"a":%d,"b":2}' % number)
        return Exchange(
            method="tools/call",
            request_id=number,
            params=CallToolParams("add", arguments),
            raw_params=None,
            peer=Peer(STATELESS, Implementation("bench", "1"), ClientCapabilities()),
            principal=self._principal,
            channel=CLOSED,
            inquire=_nobody,
            headers={},
            address="127.0.0.1",
        )


async def _nobody(_exchange: Exchange, _questions: Any) -> Any:
    raise AssertionError("nobody is asked")


def _door(settings: Settings) -> Authenticator:
    door = authenticator(settings.auth)
    assert door is not None
    return door


async def measured(costs: Costs, calls: int, turns: int) -> dict[str, list[float]]:
    """All turns; the first warms up and is not kept."""
    await costs.turn(calls // 4)
    found: dict[str, list[float]] = {}
    for _ in range(turns):
        for name, value in (await costs.turn(calls)).items():
            found.setdefault(name, []).append(value)
    return found


def main() -> None:
    calls, turns = (int(argument) for argument in sys.argv[1:])
    target = next(target for target in targets.load() if target.name == "bascule-guarded")
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value.replace("{folder}", folder) for name, value in target.env.items()}
        costs = Costs(config.load(environment=environment), target.key)
        sys.stdout.write(json.dumps(asyncio.run(measured(costs, calls, turns))) + "\n")


if __name__ == "__main__":
    main()
