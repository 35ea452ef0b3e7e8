"""One server with something of every kind, and a client that knocks at it over HTTP."""

import json

import httpx2
import pytest

from bascule import AudioContent, CallToolResult, Context, EmbeddedResource, ImageContent, ResourceContents, Server
from tests.messages import META, headers, request
from tests.serving import serving


class Door:
    """The server's endpoint: `ask` sends one stateless request and gives its HTTP answer."""

    def __init__(self, url: str, http: httpx2.Client) -> None:
        self.url = url
        self.http = http

    def ask(self, method, params=None, *, meta=META, id=1, without=(), **extra):
        message = request(method, params, id=id, meta=meta)
        sent = {name: value for name, value in {**headers(message), **extra}.items() if name not in without}
        return self.http.post(self.url, json=message, headers=sent)

    def call(self, name, arguments=None, **options):
        return self.ask("tools/call", {"name": name, "arguments": arguments or {}}, **options)


def events(answer):
    """The messages of an event stream, in order."""
    found = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(text) for text in found if text]  # one without data only says where to come back to


@pytest.fixture(scope="session")
def every():
    app = Server("every", version="1", instructions="Ask.")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def speak(ctx: Context) -> str:
        await ctx.report_progress(1, 2)
        await ctx.warning("careful")
        await ctx.report_progress(2, 2)
        return "spoken"

    @app.tool
    async def blocks() -> CallToolResult:
        inside = ResourceContents("cfg://a", mime_type="text/plain", text="x")
        return CallToolResult(
            content=[ImageContent("AAE=", "image/png"), AudioContent("AAE=", "audio/wav"), EmbeddedResource(inside)]
        )

    @app.tool
    async def fails() -> str:
        raise RuntimeError("inside")

    @app.resource("cfg://a", mime_type="text/plain")
    def a() -> str:
        return "a"

    @app.resource("row://{id}")
    def row(id: int) -> bytes:
        return bytes([id])

    @app.prompt
    def brief(city: str) -> str:
        return city

    return app


@pytest.fixture(scope="session")
def door(every):
    with serving(every) as running, httpx2.Client(timeout=10) as http:
        yield Door(running.url, http)


@pytest.fixture(scope="session")
def messages():
    """What reads the messages of an event stream."""
    return events
