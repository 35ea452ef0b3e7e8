"""A server that stops: what is under way ends, and nothing new begins."""

import asyncio
import json

import httpx2
import pytest

from bascule import Server
from bascule.config import http_settings
from bascule.engine.settings import HttpSettings
from bascule.serve import asgi
from tests.messages import ACCEPT, headers, initialize, legacy, request

DATA = {"code": "draining", "retryAfter": 1}


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.entered, app.go = asyncio.Event(), asyncio.Event()

    @app.tool
    async def held() -> str:
        app.entered.set()
        await app.go.wait()
        return "done"

    return app


class Wire:
    """An HTTP client of an application in this process."""

    def __init__(self, application):
        self.application = application
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://localhost")

    async def post(self, message, **more):
        more = more or (headers(message) if isinstance(message, dict) and "_meta" in message.get("params", {}) else {})
        return await self.http.post("/mcp", json=message, headers={"accept": ACCEPT, **more})


def assert_draining(answer, request_id):
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["id"] == request_id
    assert (answer.json()["error"]["code"], answer.json()["error"]["data"]) == (503, DATA)


async def session(wire, version="2025-11-25"):
    opened = await wire.post(initialize(version))
    return {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": version}


async def test_a_new_request_is_refused_in_both_eras_and_one_under_way_answered(app):
    application = asgi(app)
    wire = Wire(application)
    known, old = await session(wire), await session(wire, "2025-03-26")
    running = asyncio.create_task(wire.post(request("tools/call", {"name": "held"}, id=5)))
    await app.entered.wait()
    application.drain()
    assert_draining(await wire.post(request("tools/list", id=6)), 6)
    assert_draining(await wire.post(legacy("tools/list", id="x"), **known), "x")
    assert_draining(await wire.post(initialize(id=9)), 9)
    assert_draining(await wire.post([legacy("ping"), legacy("ping", id=2)], **old), None)
    app.go.set()
    assert (await running).json()["result"]["content"][0]["text"] == "done"


async def test_who_does_not_ask_for_anything_new_is_heard(app):
    application = asgi(app)
    wire = Wire(application)
    known = await session(wire)
    running = asyncio.create_task(wire.post(legacy("tools/call", {"name": "held"}, id=5), **known))
    await app.entered.wait()
    application.drain()
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
    assert (await wire.post(cancelled, **known)).status_code == 202
    assert '"result"' not in (await running).text
    assert (await wire.http.delete("/mcp", headers=known)).status_code == 200


@pytest.mark.parametrize("late", [False, True])
async def test_no_stream_is_held_open_any_more(app, late):
    application = asgi(app)
    wire = Wire(application)
    known = await session(wire)
    other = asgi(app, settings=http_settings(HttpSettings(), legacy_sse=True)) if late else application
    other.drain()
    if late:
        assert_draining(await Wire(other).http.get("/sse", headers={"accept": "text/event-stream"}), None)
    else:
        assert_draining(await wire.http.get("/mcp", headers={"accept": "text/event-stream", **known}), None)


async def test_a_server_that_has_stopped_says_the_same(app):
    application = asgi(app)
    wire = Wire(application)
    await wire.post(request("tools/list"))
    await application.stop(1)
    assert_draining(await wire.post(request("tools/list", id=7)), None)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"jsonrpc":"2.0","id":{},"method":"x"}'])
async def test_nonsense_is_refused_as_ever(app, body):
    application = asgi(app)
    application.drain()
    answer = await Wire(application).http.post(
        "/mcp", content=body, headers={"content-type": "application/json", "accept": ACCEPT}
    )
    assert answer.status_code in (400, 503)
    assert json.loads(answer.content)["error"]["code"] in (-32700, -32600, 503)
