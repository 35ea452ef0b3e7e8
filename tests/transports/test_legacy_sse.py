"""HTTP+SSE through a real server: what old clients do, and every way to knock at it wrongly."""

import asyncio
import json
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from bascule import Context, Server
from bascule.engine.exchange import Principal
from bascule.engine.settings import HttpSettings
from bascule.eras.sealing import Sealer
from bascule.errors import ConfigError, MCPError
from bascule.serve import asgi
from bascule.transports.http_reply import Caller, Reply
from bascule.transports.legacy_sse import LegacyEndpoint
from tests.messages import initialize, legacy, request
from tests.peers.conftest import sdk
from tests.serving import serving

__all__ = ["sdk"]

CLIENT = Path(__file__).parent.parent / "peers" / "official_sse_client.py"


@pytest.fixture
def app():
    app = Server("t", version="1")
    app.entered = threading.Event()
    app.left = threading.Event()
    app.go = threading.Event()

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def steps(ctx: Context) -> str:
        await ctx.report_progress(1, 2)
        await ctx.log("info", "half way")
        return "done"

    @app.tool
    async def wait() -> str:
        app.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            app.left.set()
        return "never"

    @app.tool
    async def held() -> str:
        app.entered.set()
        await asyncio.to_thread(app.go.wait, 5)
        return "done"

    @app.tool
    async def large(size: int) -> str:
        return "x" * size

    return app


@pytest.fixture
def server(app):
    with serving(app, legacy_sse=True, max_body_bytes=100_000, keep_alive_interval=0.05, max_streams=2) as running:
        yield running


@pytest.fixture
def http():
    with httpx2.Client(timeout=10) as client:
        yield client


class Stream:
    """An open stream, as a client reads it."""

    def __init__(self, http, base, answer):
        self._http = http
        self._lines = answer.iter_lines()
        self.answer = answer
        kind, data = self.event()
        assert kind == "endpoint"
        self.path = data
        self.url = base + data

    def event(self):
        """The next event: its type and data; comments are passed over."""
        fields = {}
        for line in self._lines:
            if not line and fields:
                return fields["event"], fields["data"]
            name, _, value = line.partition(": ")
            if name and not line.startswith(":"):
                fields[name] = value
        return None, None

    def message(self):
        kind, data = self.event()
        assert kind == "message"
        return json.loads(data)

    def post(self, message, **options):
        return self._http.post(self.url, **{"json": message, **options})

    def ask(self, message):
        assert self.post(message).status_code == 202
        return self.message()

    def shake_hands(self):
        result = self.ask(initialize("2024-11-05"))["result"]
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        return result


def base_of(server):
    return server.url.removesuffix("/mcp")


@contextmanager
def opened(http, server):
    headers = {"accept": "text/event-stream"}
    with http.stream("GET", base_of(server) + "/sse", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield Stream(http, base_of(server), answer)


def call(name, arguments=None, *, id=1, token=None):
    meta = {} if token is None else {"_meta": {"progressToken": token}}
    return legacy("tools/call", {"name": name, "arguments": arguments or {}, **meta}, id=id)


# --- what clients do ---------------------------------------------------------------------------------------------


def test_a_client_shakes_hands_lists_and_calls(http, server):
    with opened(http, server) as stream:
        assert stream.shake_hands()["protocolVersion"] == "2024-11-05"
        tools = stream.ask(legacy("tools/list", id=1))["result"]["tools"]
        assert {tool["name"] for tool in tools} == {"add", "steps", "wait", "held", "large"}
        answer = stream.ask(call("add", {"a": 1, "b": 2}, id="two"))
        assert answer["id"] == "two"
        assert answer["result"]["content"] == [{"type": "text", "text": "3"}]


def test_progress_and_log_messages_come_before_the_result(http, server):
    with opened(http, server) as stream:
        stream.shake_hands()
        assert stream.ask(legacy("logging/setLevel", {"level": "info"}, id=5))["id"] == 5
        first = stream.ask(call("steps", id=6, token="t"))
        assert (first["method"], first["params"]["progressToken"]) == ("notifications/progress", "t")
        assert stream.message()["method"] == "notifications/message"
        assert stream.message()["id"] == 6


def test_a_notification_cancels_a_call_and_the_stream_goes_on(http, app, server):
    with opened(http, server) as stream:
        stream.shake_hands()
        assert stream.post(call("wait", id=7)).status_code == 202
        assert app.entered.wait(10)
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert stream.post(cancelled).status_code == 202
        assert app.left.wait(10)
        assert stream.ask(legacy("ping", id=8))["id"] == 8


def test_a_stateless_request_is_answered_on_the_stream_too(http, server):
    with opened(http, server) as stream:
        answer = stream.ask(request("tools/call", {"name": "add", "arguments": {"a": 2, "b": 2}}))
        assert answer["result"]["structuredContent"] == {"result": 4}


def test_a_call_and_what_it_reads_come_from_the_address_of_the_client(http, app, server):
    seen = []

    def noting(next, feature):
        async def noted(exchange):
            seen.append((feature.name, exchange.address))
            return await next(exchange)

        return noted

    app.guard(noting)
    app.resource("a://b", name="b")(lambda: "b")

    @app.tool
    async def peek(ctx: Context) -> str:
        return (await ctx.read_resource("a://b"))[0].text

    with opened(http, server) as stream:
        stream.shake_hands()
        stream.ask(call("peek"))
    assert seen == [("peek", "127.0.0.1"), ("b", "127.0.0.1")]


def test_a_quiet_stream_carries_comments(http, server):
    with opened(http, server) as stream:
        assert next(stream._lines) == ":"


def test_what_cannot_be_read_is_answered_on_the_stream(http, server):
    json_type = {"content-type": "application/json"}
    with opened(http, server) as stream:
        for body in (b"{nonsense", b'{"a":' + b"[" * 1000):
            assert stream.post(None, json=None, content=body, headers=json_type).status_code == 202
            assert stream.message()["error"]["code"] == -32700


def test_a_client_that_leaves_cancels_its_calls_and_its_id_is_gone(http, app, server):
    with opened(http, server) as stream:
        stream.shake_hands()
        assert stream.post(call("wait")).status_code == 202
        assert app.entered.wait(10)
    assert app.left.wait(10)
    assert stream.post(legacy("ping")).status_code == 404


def test_what_runs_at_drain_is_answered_before_the_stream_ends(http, app, server):
    with opened(http, server) as stream:
        stream.shake_hands()
        assert stream.post(call("held", id=8)).status_code == 202
        assert app.entered.wait(10)
        server.server.should_exit = True
        with suppress(httpx2.HTTPError):  # the server listens no more, or not for long
            while stream.post(legacy("ping", id=9)).status_code != 503:
                assert stream.message()["id"] == 9, "taken before the server knew"
        app.go.set()
        assert stream.message()["id"] == 8
        assert stream.event() == (None, None)


def test_the_stream_ends_and_its_calls_are_cancelled_after_drain(http, app, server):
    with opened(http, server) as stream:
        stream.shake_hands()
        assert stream.post(call("wait")).status_code == 202
        assert app.entered.wait(10)
        server.server.should_exit = True
        assert stream.event() == (None, None)
        assert app.left.wait(10)


def test_the_endpoint_is_named_below_the_mount_root():
    application = asgi(Server("t"), settings=HttpSettings(legacy_sse=True))
    sent = asyncio.run(_first_event(application, "/a b/tools"))
    assert sent.startswith(b"event: endpoint\ndata: /a%20b/tools/messages/?session_id=")


async def _first_event(application, root):
    seen = asyncio.get_running_loop().create_future()

    async def receive():
        await seen
        return {"type": "http.disconnect"}

    async def send(message):
        if message.get("body") and not seen.done():
            seen.set_result(message["body"])

    headers = [(b"host", b"localhost"), (b"accept", b"text/event-stream")]
    scope = {"type": "http", "method": "GET", "path": root + "/sse", "root_path": root, "headers": headers}
    await application({**scope, "query_string": b""}, receive, send)
    await application.stop(1)
    return await seen


# --- knocking wrongly --------------------------------------------------------------------------------------------


def test_switched_off_nothing_is_served(http, app):
    with serving(app) as running:
        assert http.get(base_of(running) + "/sse").status_code == 404
        assert http.post(base_of(running) + "/messages/?session_id=x", json=legacy("ping")).status_code == 404


@pytest.mark.parametrize(
    ("header", "value", "status"), [("host", "evil.example", 421), ("origin", "https://evil.example", 403)]
)
def test_a_wrong_host_or_origin_is_refused_at_both_paths(http, server, header, value, status):
    wrong = {header: value}
    assert http.get(base_of(server) + "/sse", headers=wrong).status_code == status
    with opened(http, server) as stream:
        assert stream.post(legacy("ping"), headers=wrong).status_code == status


def test_an_unknown_or_missing_id_is_404_and_each_stream_gets_its_own_answers(http, server):
    for query in ("", "?session_id=", "?session_id=" + "0" * 32):
        assert http.post(base_of(server) + "/messages/" + query, json=legacy("ping")).status_code == 404
    with opened(http, server) as first, opened(http, server) as second:
        assert first.path != second.path
        assert first.post(legacy("ping", id=1)).status_code == 202
        assert second.ask(legacy("ping", id=2))["id"] == 2
        assert first.message()["id"] == 1


def test_bodies_are_bounded_and_declared_as_json(http, server):
    with opened(http, server) as stream:
        assert stream.post(call("add", {"a": "1" * 100_001})).status_code == 413
        plain = {"content-type": "text/plain"}
        assert stream.post(None, json=None, content=b"{}", headers=plain).status_code == 415


def test_each_path_has_one_method(http, server):
    for method, path, allowed in (("POST", "/sse", "GET"), ("GET", "/messages/", "POST")):
        answer = http.request(method, base_of(server) + path)
        assert (answer.status_code, answer.headers["allow"]) == (405, f"{allowed}, OPTIONS")
    answer = http.get(base_of(server) + "/sse", headers={"accept": "application/json"})
    assert answer.status_code == 406


def test_open_streams_are_bounded(http, server):
    with opened(http, server) as first, opened(http, server) as second:
        with http.stream("GET", base_of(server) + "/sse", headers={"accept": "text/event-stream"}) as answer:
            assert answer.status_code == 503
        assert first.ask(legacy("ping")) == second.ask(legacy("ping"))


def test_a_client_that_does_not_read_loses_its_stream(http, app):
    with serving(app, legacy_sse=True, request_timeout=0.5) as running:
        with socket.create_connection(running.address) as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            head = b""
            while b"session_id=" not in head or not head.endswith(b"\n\n\r\n"):
                head += reader.recv(1)
            url = base_of(running) + "/messages/?session_id=" + head.partition(b"session_id=")[2][:32].decode()
            assert http.post(url, json=initialize("2024-11-05")).status_code == 202
            statuses = {202}
            for number in range(1, 2000):
                answer = http.post(url, json=call("large", {"size": 900_000}, id=number))
                statuses.add(answer.status_code)
                if answer.status_code == 404:
                    break
            assert 404 in statuses


def test_a_stream_takes_only_so_many_requests_at_once(http, app, server, monkeypatch):
    monkeypatch.setattr("bascule.runtime.pump.MAX_QUEUED", 2)
    with opened(http, server) as stream:
        stream.shake_hands()
        statuses = [stream.post(call("wait", id=number)).status_code for number in range(1, 104)]
        assert statuses == [202] * 102 + [503]
        stream.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})


async def test_a_stream_belongs_to_the_caller_that_opened_it(app):
    endpoint = LegacyEndpoint(app, HttpSettings(legacy_sse=True), lambda: Sealer(()))
    gone, sent = asyncio.Event(), asyncio.Queue()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def opens(message):
        sent.put_nowait(message)

    scope = {"type": "http", "method": "GET", "path": "/sse", "query_string": b""}
    owner = Caller(Principal(issuer="i", subject="owner"), {})
    stream = asyncio.create_task(endpoint.serve(scope, {"accept": "text/event-stream"}, owner, Reply(opens), receive))
    await sent.get()
    session = (await sent.get())["body"].partition(b"session_id=")[2].split()[0]

    async def posted(subject):
        async def body():
            return {"type": "http.request", "body": json.dumps(initialize("2024-11-05")).encode()}

        answers = []

        async def answered(message):
            answers.append(message)

        where = {"type": "http", "method": "POST", "path": "/messages/", "query_string": b"session_id=" + session}
        caller = Caller(Principal(issuer="i", subject=subject), {})
        await endpoint.serve(where, {"content-type": "application/json"}, caller, Reply(answered), body)
        return answers[0]["status"]

    with pytest.raises(MCPError) as refused:
        await posted("thief")
    assert refused.value.status == 404, "as if there were no such stream"
    assert await posted("owner") == 202
    gone.set()
    await stream


def test_a_path_of_its_own_is_needed():
    with pytest.raises(ConfigError, match="legacy_sse"):
        asgi(Server("t"), settings=HttpSettings(legacy_sse=True, path="/sse"))


# --- the official client -----------------------------------------------------------------------------------------


def test_the_official_client_is_served(sdk, server):
    done = subprocess.run(
        [sdk, str(CLIENT), base_of(server) + "/sse"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"add", "steps"} <= set(told["tools"])
    assert (told["text"], told["progress"], told["logs"]) == ("done", [[1.0, 2.0]], ["half way"])
