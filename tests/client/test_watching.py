"""`on_wire`: every message that passes is shown, whatever carries it."""

import json

import pytest

from bascule import Client, Context, MCPError, Server
from tests.serving import serving


@pytest.fixture
def app():
    app = Server("watched")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return app


class Seen:
    def __init__(self):
        self.all = []

    def __call__(self, sent, data, head):
        self.all.append((sent, data, head))

    def messages(self):
        return [(sent, json.loads(data)) for sent, data, _ in self.all if data]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_stream_shows_both_directions_in_order(app, era):
    seen = Seen()
    async with Client(app, era=era, on_wire=seen) as client:
        await client.call_tool("add", {"a": 1, "b": 2})
    first = "server/discover" if era == "modern" else "initialize"
    assert seen.all[0][0] is True
    assert all(head is None for _, _, head in seen.all)
    assert seen.messages()[0][1]["method"] == first
    (sent, called), (back, answered) = seen.messages()[-2:]
    assert (sent, called["method"], called["params"]["name"]) == (True, "tools/call", "add")
    assert (back, answered["id"], answered["result"]["structuredContent"]) == (False, called["id"], {"result": 3})


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_http_shows_heads_and_bodies(app, era):
    seen = Seen()
    with serving(app) as running:
        async with Client(running.url, era=era, on_wire=seen, headers={"X-Own": "mine"}) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        posts = [(data, head) for sent, data, head in seen.all if sent]
        assert posts[0][1].line == f"POST {running.url}"
        assert all(head.headers["x-own"] == "mine" for _, head in posts)
        assert "accept" not in posts[0][1].headers
        answers = [json.loads(data) for sent, data, head in seen.all if not sent and data]
        assert answers[-1]["result"]["structuredContent"] == {"result": 3}
        heads = [head.line for sent, _, head in seen.all if not sent and head is not None]
        assert "200 OK" in heads
        assert ("202 Accepted" in heads) == (era == "legacy")
        assert ("DELETE" in {head.line.split()[0] for _, head in posts}) == (era == "legacy")


async def test_http_shows_the_events_of_a_stream(app):
    @app.tool
    async def steps(ctx: Context) -> str:
        await ctx.report_progress(1, 2)
        return "done"

    seen = Seen()
    with serving(app) as running:
        async with Client(running.url, on_wire=seen) as client:
            await client.call_tool("steps", on_progress=lambda *_: None)
    told = [(data, head) for sent, data, head in seen.all if not sent][-3:]
    assert (told[0][0], told[0][1].headers["content-type"].split(";")[0]) == (b"", "text/event-stream")
    assert json.loads(told[1][0])["method"] == "notifications/progress"
    assert json.loads(told[2][0])["result"]["content"][0]["text"] == "done"


async def test_http_shows_the_body_of_an_error(app):
    seen = Seen()
    with serving(app) as running:
        with pytest.raises(MCPError):
            async with Client(running.url.replace("/mcp", "/other"), era="modern", on_wire=seen):
                pass
    sent, data, head = seen.all[-1]
    assert (sent, head.line[:3], "error" in json.loads(data)) == (False, "404", True)
