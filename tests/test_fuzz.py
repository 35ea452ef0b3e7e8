"""Mutated messages against the whole core: no crash, no hang, always a valid answer or a valid silence.

Every example throws a thousand messages at one stream and one HTTP endpoint; `BASCULE_FUZZ_MESSAGES` sets how many in
all.
"""

import asyncio
import copy
import json
import os
import random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule import Context, Server
from bascule.engine.exchange import LOCAL
from bascule.eras.route import StreamRoute
from bascule.eras.sealing import Sealer
from bascule.runtime.pump import Pump
from bascule.serve import asgi
from bascule.wire.jsonrpc import decode
from tests.messages import META, headers, initialize, legacy, request

MESSAGES = int(os.environ.get("BASCULE_FUZZ_MESSAGES", "100000"))
A_STREAM, OVER_HTTP = 900, 100
EXAMPLES = max(1, MESSAGES // (A_STREAM + OVER_HTTP))

STATUSES = {200, 202, 400, 404, 405, 406, 413, 415, 421}


def server():
    app = Server("fuzz", version="1")

    @app.tool
    async def add(a: int, b: float = 1, tags: list[str] | None = None) -> float:
        return a + b

    @app.tool(inline=True)
    def echo(text: str) -> str:
        return text

    @app.tool(input_schema={"type": "object", "properties": {"n": {"type": "integer"}}}, inline=True)
    def raw(arguments: dict) -> dict:
        return arguments

    @app.tool
    async def chat(ctx: Context) -> str:
        await ctx.report_progress(1)
        await ctx.info("x")
        return "y"

    @app.resource("cfg://{name}{?q}")
    async def cfg(name: str, q: str = "") -> str:
        return name + q

    @app.prompt
    async def ask(text: str, n: int = 1) -> str:
        return text * n

    return app


SEEDS = [
    request("server/discover"),
    request("tools/list", {"cursor": "AAAA"}),
    request("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2.5, "tags": ["x"]}}),
    request("tools/call", {"name": "echo", "arguments": {"text": "größe \u2028 \U0001f600"}}),
    request("tools/call", {"name": "raw", "arguments": {"n": 5, "m": {"deep": [1, {"x": None}]}}}),
    request("tools/call", {"name": "chat"}, meta={**META, "progressToken": 7}),
    request("resources/read", {"uri": "cfg://a%20b?q=1"}),
    request("resources/list"),
    request("resources/templates/list"),
    request("prompts/get", {"name": "ask", "arguments": {"text": "a", "n": "2"}}),
    request("prompts/list"),
    initialize("2025-03-26"),
    legacy("tools/call", {"name": "add", "arguments": {"a": "5"}}),
    legacy("logging/setLevel", {"level": "debug"}),
    legacy("ping"),
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "id": 1, "result": {}},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m"}},
]
ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    10**400,
    "",
    "x",
    "\x00",
    [],
    {},
    [[]],
    {"": None},
    "a" * 5000,
    "tools/call",
    META,
]
BYTES = [
    b"\xff",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"[" * 300,
    b'"',
    b"\x00",
    b"\n",
    b"{}",
    b"9" * 5000,
    b",",
    b"\xf0\x9f",
    b"}",
    b"[" * 129 + b'"' + b'\\"' * 500,
]


def mutated(rng):
    """One message: a good one, changed as JSON, as bytes, or both."""
    message = json.loads(json.dumps(rng.choice(SEEDS)))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        change(message, rng)
    if rng.random() < 0.05:
        message = [message, rng.choice(SEEDS)]
    data = json.dumps(message, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice((0, 0, 0, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        cut = rng.choice((0, 0, 1, 3))
        data = data[:at] + rng.choice((rng.choice(BYTES), bytes([rng.randrange(256)]), b"")) + data[at + cut :]
    return data.replace(b"\n", b" ") or b" "


def odd(rng):
    return copy.deepcopy(rng.choice(ODD))


def change(message, rng):
    place = message
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and rng.random() < 0.7:
            place = place[key]
            continue
        kind = rng.random()
        if kind < 0.25 and isinstance(place, dict):
            del place[key]
        elif kind < 0.4 and isinstance(place, dict):
            place[rng.choice(("id", "method", "params", "_meta", "jsonrpc", "\ud800", "extra"))] = odd(rng)
        else:
            place[key] = odd(rng)
        return


def check_answer(body):
    """A valid JSON-RPC message, or a batch of them; errors speak in one clean sentence."""
    text = body.decode()
    assert "Traceback" not in text
    assert 'File "' not in text
    parsed = msgspec.json.decode(body)
    for one in parsed if isinstance(parsed, list) else [parsed]:
        frame = decode(msgspec.json.encode(one))
        if frame.error is not msgspec.UNSET:
            assert isinstance(frame.error.code, int)
            assert frame.error.message
            assert "\n" not in frame.error.message
            assert frame.error.code != -32603, frame.error.message


async def settled(pump):
    async with asyncio.timeout(10):
        while pump.busy:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def stream_survives(app, rng):
    answers = []

    async def drained():
        return None

    pump = Pump(app, StreamRoute(app, lambda: Sealer(())), LOCAL, answers.append, drained)
    pump.open({})
    for number in range(A_STREAM):
        pump.feed(mutated(rng))
        if number % 50 == 0:
            await settled(pump)
    await settled(pump)
    for body in answers:
        check_answer(body)
    probe = json.dumps(request("tools/call", {"name": "add", "arguments": {"a": 1}}, id="probe")).encode()
    pump.feed(probe)
    await settled(pump)
    assert b'"id":"probe"' in answers[-1]


async def endpoint_survives(application, rng):
    for _ in range(OVER_HTTP):
        seed = rng.choice([seed for seed in SEEDS if "method" in seed])
        given = {"host": "localhost", **headers(seed)}
        if rng.random() < 0.3:
            given[rng.choice(list(given))] = rng.choice(("", "x", "2025-11-25", "=?base64?!!?=", "\xff", "a" * 3000))
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        body = mutated(rng) if rng.random() < 0.7 else json.dumps(seed).encode()
        sent = await post(application, pairs, body)
        status = sent[0]["status"]
        assert status in STATUSES, (status, body)
        kind = dict(sent[0]["headers"]).get(b"content-type")
        if kind == b"application/json":
            check_answer(b"".join(message.get("body", b"") for message in sent[1:]))


async def post(application, pairs, body):
    sent = []
    incoming = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        for message in incoming:
            return message
        return await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": pairs}
    await asyncio.wait_for(application(scope, receive, send), 10)
    return sent


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(min_value=0, max_value=2**64))
def test_mutated_messages_are_always_answered_or_met_with_a_valid_silence(seed):
    rng = random.Random(seed)

    async def throw():
        app = server()
        await stream_survives(app, rng)
        await endpoint_survives(asgi(app), rng)

    asyncio.run(asyncio.wait_for(throw(), 60))
