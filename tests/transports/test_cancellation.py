"""Cancellation over HTTP, turn by turn of the event loop: how soon it reaches a handler, and what is sent after it."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from bascule import Context, Server
from bascule.engine.settings import HttpSettings
from bascule.serve import asgi
from tests.messages import META, PREFIX, headers, initialize, legacy, line, request

FORM = {**META, PREFIX + "logLevel": "debug"}


class Request:
    """One request to an ASGI application, its connection in the test's hands."""

    METHOD = "POST"

    def __init__(self, app, message, given):
        self.sent = []
        self._gone = asyncio.get_running_loop().create_future()
        self._body = [{"type": "http.request", "body": line(message), "more_body": False}]
        pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **given}.items()]
        scope = {"type": "http", "method": self.METHOD, "path": "/mcp", "headers": pairs}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self):
        return self._body.pop() if self._body else await self._gone

    async def _send(self, message):
        self.sent.append(message)

    def leave(self):
        """The client closes its connection."""
        self._gone.set_result({"type": "http.disconnect"})

    async def answered(self):
        await asyncio.wait_for(self.task, 5)
        return self.sent


@pytest.fixture
def app():
    app = Server("t")
    app.entered = asyncio.Event()
    app.left = []

    @app.tool
    async def wait(ctx: Context) -> str:
        app.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            app.left.append("finally")
            await ctx.info("a last word")
            await asyncio.sleep(0)
            app.left.append("after a wait")
        return "never"

    return app


@asynccontextmanager
async def endpoint(app):
    served = asgi(app, settings=HttpSettings())
    await served.start()
    try:
        yield served
    finally:
        await served.stop(1)


async def turns_until(condition, limit=20):
    """How many turns of the loop pass until something holds."""
    for turn in range(limit):
        if condition():
            return turn
        await asyncio.sleep(0)
    return pytest.fail("it never held")


async def test_a_stateless_client_that_leaves_is_noticed_and_its_handler_told_in_the_next_turn(app):
    async with endpoint(app) as served:
        message = request("tools/call", {"name": "wait", "arguments": {}}, meta=FORM)
        call = Request(served, message, headers(message))
        await app.entered.wait()
        await asyncio.sleep(0)
        call.leave()
        assert await turns_until(lambda: app.left) <= 2, "one turn to notice, one to tell"
        assert await call.answered() == [], "not even a log message"
        assert app.left == ["finally", "after a wait"]


async def test_a_handshake_client_that_cancels_stops_its_handler_within_a_turn(app):
    async with endpoint(app) as served:
        accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        (start, _) = await Request(served, initialize(), accept).answered()
        session = {**accept, "mcp-session-id": dict(start["headers"])[b"mcp-session-id"].decode()}
        call = Request(served, legacy("tools/call", {"name": "wait", "arguments": {}}, id=7), session)
        await app.entered.wait()
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        notice = Request(served, cancel, session)
        await asyncio.sleep(0)
        assert await turns_until(lambda: app.left) <= 1
        assert (await notice.answered())[0]["status"] == 202
        sent = await call.answered()
        bodies = b"".join(one.get("body", b"") for one in sent)
        assert b"never" not in bodies
        assert b"a last word" not in bodies
        assert app.left == ["finally", "after a wait"]
        answer = Request(served, legacy("ping", id=7), session)
        assert json.loads((await answer.answered())[1]["body"])["id"] == 7, "and its id is free again"
