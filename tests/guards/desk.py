"""A server of the stateless era without a transport: a test says who calls and what time it is."""

import json

from bascule.engine.era import Inbound
from bascule.engine.exchange import CLOSED, LOCAL
from bascule.eras.sealing import Sealer
from bascule.eras.stateless import Stateless
from bascule.errors import MCPError
from bascule.runtime.settle import refusal, settle
from bascule.wire.jsonrpc import decode
from tests.messages import META, PREFIX, line, request

SEALER = Sealer([b"a key of sixteen bytes"])
YES = {"action": "accept", "content": {"confirm": True}}


class Clock:
    """Time that a test moves."""

    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


def able(**capabilities):
    return {**META, PREFIX + "clientCapabilities": capabilities}


ABLE = able(elicitation={})


class Desk:
    """Answers requests as the endpoint would."""

    def __init__(self, app, clock=None, marks=None):
        self.app = app
        self.era = Stateless(app, lambda: SEALER, marks, clock=clock or Clock())

    async def send(self, raw, principal=LOCAL):
        """The answer to the bytes of a request."""
        try:
            exchange = self.opened(raw, principal)
        except MCPError as error:
            return json.loads(refusal(self.era, error, 1).body)
        return json.loads((await settle(self.app, self.era, exchange)).body)

    def opened(self, raw, principal=LOCAL):
        """The exchange that the bytes of a request open."""
        return self.era.open(decode(raw), Inbound(principal, CLOSED))

    async def call(self, name="drop", arguments=None, responses=None, state=None, principal=LOCAL, meta=ABLE):
        params = {"name": name, "arguments": {"city": "Paris"} if arguments is None else arguments}
        if responses is not None:
            params["inputResponses"] = responses
        if state is not None:
            params["requestState"] = state
        return await self.send(line(request("tools/call", params, meta=meta)), principal)

    async def posed(self, *arguments, **options):
        """The key and the state of a question."""
        return posed(await self.call(*arguments, **options))


def posed(answer):
    result = answer["result"]
    assert result["resultType"] == "input_required", result
    (key,) = result["inputRequests"]
    return key, result["requestState"]


def text(answer):
    return answer["result"]["content"][0]["text"]
