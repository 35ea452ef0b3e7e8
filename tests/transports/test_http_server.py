"""Streamable HTTP through a real server: both eras on one endpoint, and every way to knock at it wrongly."""

import asyncio
import json
import socket
import threading
from contextlib import contextmanager, suppress

import httpx2
import pytest

from bascule import Client, Context, Server
from bascule.eras.sealing import Sealer
from tests.messages import ACCEPT, META, PREFIX, headers, initialize, legacy, request
from tests.serving import serving

JSON_HEADERS = {"content-type": "application/json", "accept": ACCEPT}


@pytest.fixture(scope="module")
def app():
    app = Server("t", version="1")
    app.entered = threading.Event()
    app.left = threading.Event()

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.tool
    async def steps(ctx: Context) -> str:
        for step in (1, 2):
            await ctx.report_progress(step, 2)
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
    async def echo(text: str) -> str:
        return text

    @app.tool
    async def headers_seen(ctx: Context) -> list[str]:
        return sorted(ctx.headers)

    @app.resource("cfg://größe")
    def size() -> str:
        return "big"

    return app


@pytest.fixture(scope="module")
def server(app):
    with serving(app, max_body_bytes=100_000, keep_alive_interval=0.05) as running:
        yield running


@pytest.fixture(scope="module")
def http(server):
    with httpx2.Client(timeout=10) as client:
        yield client


def post(http, server, message, **extra):
    return http.post(server.url, json=message, headers={**headers(message), **extra})


def call(name, arguments=None, **options):
    return request("tools/call", {"name": name, "arguments": arguments or {}}, **options)


def open_session(http, server, version="2025-11-25"):
    answer = http.post(server.url, json=initialize(version), headers=JSON_HEADERS)
    assert answer.json()["result"]["protocolVersion"] == version
    return {**JSON_HEADERS, "mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": version}


def test_a_stateless_call_is_one_post_and_one_json_answer(http, server):
    answer = post(http, server, call("add", {"a": 1, "b": 2}))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["structuredContent"] == {"result": 3}
    assert "mcp-session-id" not in answer.headers


def test_what_must_stream_becomes_an_event_stream_that_ends_with_the_result(http, server):
    answer = post(http, server, call("steps", meta={**META, "progressToken": "p"}))
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    events = [json.loads(event.removeprefix("data: ")) for event in answer.text.strip().split("\n\n")]
    assert [event["params"]["progress"] for event in events[:-1]] == [1, 2]
    assert events[-1]["result"]["content"][0]["text"] == "done"


def test_a_client_that_takes_no_stream_gets_json_and_one_that_takes_no_json_a_stream(http, server):
    message = call("steps", meta={**META, "progressToken": "p"})
    assert post(http, server, message, accept="application/json").json()["result"]
    only = post(http, server, call("add", {"a": 1, "b": 2}), accept="text/event-stream")
    assert only.headers["content-type"] == "text/event-stream"
    assert post(http, server, message, accept="text/html").status_code == 406


def test_non_ascii_names_travel_encoded(http, server):
    message = request("resources/read", {"uri": "cfg://größe"})
    sent = {**headers(message), "mcp-name": "=?base64?Y2ZnOi8vZ3LDtsOfZQ==?="}
    assert http.post(server.url, json=message, headers=sent).json()["result"]["contents"][0]["text"] == "big"


@pytest.mark.parametrize(
    ("message", "extra", "status", "code"),
    [
        (call("add"), {"mcp-method": "tools/list"}, 400, -32020),
        (call("add"), {"mcp-name": "steps"}, 400, -32020),
        (call("add"), {"mcp-protocol-version": "2025-11-25"}, 400, -32020),
        (call("add", meta={}), {}, 400, -32602),
        (request("tools/list", meta={**META, PREFIX + "protocolVersion": "v9"}), {}, 400, -32020),
        (
            request("tools/list", meta={**META, PREFIX + "protocolVersion": "v9"}),
            {"mcp-protocol-version": "v9"},
            400,
            -32022,
        ),
        (legacy("tools/list"), {"mcp-protocol-version": "v9"}, 400, -32022),
        (request("no/such"), {}, 404, -32601),
        (request("ping"), {}, 404, -32601),
        (request("initialize"), {}, 404, -32601),
        (request("prompts/list"), {}, 404, -32601),
        (request("tools/call", {"name": "nobody"}), {}, 200, -32602),
    ],
)
def test_protocol_faults_have_their_code_their_status_and_the_id(http, server, message, extra, status, code):
    answer = post(http, server, {**message, "id": "i"}, **extra)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (status, code, "i")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'{"a":"\xff"}', -32700),
        (b"[" * 90_000, -32600),
        (b"{}", -32600),
        (b"7", -32600),
    ],
)
def test_bodies_that_are_no_message_are_refused_with_400(http, server, body, code):
    answer = http.post(server.url, content=body, headers={**JSON_HEADERS, "mcp-protocol-version": "2026-07-28"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_notification_is_accepted_without_a_body(http, server):
    answer = post(http, server, {"jsonrpc": "2.0", "method": "notifications/whatever"})
    assert (answer.status_code, answer.content) == (202, b"")


def test_a_wrong_content_type_is_refused_so_that_no_form_can_call_a_tool(http, server):
    answer = http.post(server.url, content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    charset = {**headers(call("add")), "content-type": "application/json; charset=utf-8"}
    assert http.post(server.url, json=call("add", {"a": 1, "b": 2}), headers=charset).status_code == 200


def test_a_repeated_protocol_header_is_refused(server):
    body = json.dumps(call("add", {"a": 1, "b": 2})).encode()
    lines = [f"{name}: {value}" for name, value in headers(call("add")).items()]
    answer = raw(server, [*lines, "mcp-name: steps"], body)
    assert answer.startswith(b"HTTP/1.1 400")


def raw(server, lines, body=b"", method="POST", path="/mcp", host=None):
    with socket.create_connection(server.address, timeout=10) as link:
        head = [f"{method} {path} HTTP/1.1", f"host: {host or 'localhost'}", f"content-length: {len(body)}", *lines]
        link.sendall("\r\n".join([*head, "connection: close", "", ""]).encode() + body)
        received = b""
        while chunk := link.recv(65536):
            received += chunk
    return received


# --- who may knock -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1:3000", "[::1]:80", "LOCALHOST"])
def test_loopback_hosts_are_served_at_any_port(http, server, host):
    assert post(http, server, call("add", {"a": 1, "b": 2}), host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.com", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com:3000", "[::2]"]
)
def test_other_hosts_are_misdirected(http, server, host):
    answer = post(http, server, call("add", {"a": 1, "b": 2}), host=host)
    assert answer.status_code == 421
    assert "allowed_hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example.com", "null", "https://localhost.evil.com", "file://", "http://localhost@evil.com"]
)
def test_other_origins_are_forbidden_before_anything_runs(http, server, origin):
    answer = post(http, server, call("add", {"a": 1, "b": 2}), origin=origin)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_local_page_may_call_and_sees_the_headers_it_needs(http, server):
    answer = post(http, server, call("add", {"a": 1, "b": 2}), origin="http://localhost:6274")
    assert answer.headers["access-control-allow-origin"] == "http://localhost:6274"
    assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"


def test_a_preflight_allows_the_protocols_headers_and_no_others(http, server):
    asked = {
        "origin": "http://127.0.0.1:5173",
        "access-control-request-headers": "mcp-method, mcp-param-region, x-evil",
    }
    answer = http.options(server.url, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "mcp-method, mcp-param-region"
    assert http.options(server.url, headers={**asked, "origin": "http://evil.com"}).status_code == 403


def test_settings_widen_hosts_and_origins_and_nothing_else(app, http):
    options = {
        "allowed_hosts": ("*.example.com", "exact.org:8443"),
        "allowed_origins": ("https://*.example.com",),
        "public_url": "https://mcp.corp.net/base",
    }
    message = call("add", {"a": 1, "b": 2})
    with serving(app, **options) as running:
        statuses = {
            host: post(http, running, message, host=host).status_code
            for host in (
                "a.example.com",
                "a.example.com:99",
                "exact.org:8443",
                "exact.org:1",
                "mcp.corp.net",
                "corp.net",
            )
        }
        origins = {
            origin: post(http, running, message, origin=origin).status_code
            for origin in (
                "https://a.example.com",
                "http://a.example.com",
                "https://mcp.corp.net",
                "http://mcp.corp.net",
            )
        }
    assert statuses == {
        "a.example.com": 200,
        "a.example.com:99": 200,
        "exact.org:8443": 200,
        "exact.org:1": 421,
        "mcp.corp.net": 200,
        "corp.net": 421,
    }
    assert origins == {
        "https://a.example.com": 200,
        "http://a.example.com": 403,
        "https://mcp.corp.net": 200,
        "http://mcp.corp.net": 403,
    }


# --- limits and slow clients -------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_declared_or_not(http, server):
    big = b"x" * 100_001
    assert http.post(server.url, content=big, headers=JSON_HEADERS).status_code == 413
    assert http.post(server.url, content=iter([big[:60_000], big[:60_000]]), headers=JSON_HEADERS).status_code == 413
    fits = post(http, server, call("echo", {"text": "x" * 90_000}))
    assert len(fits.json()["result"]["content"][0]["text"]) == 90_000


def test_headers_over_the_limit_are_refused(app):
    with serving(app, max_header_bytes=2000) as running:
        assert raw(running, ["x-long: " + "a" * 1990], method="GET").startswith(b"HTTP/1.1 431")
        assert raw(running, [f"x-{n}: y" for n in range(400)], method="GET").startswith(b"HTTP/1.1 431")
        assert raw(running, ["x-short: " + "a" * 1000], method="GET", path="/health").startswith(b"HTTP/1.1 200")


def ended(link):
    """Everything the server sends until it closes."""
    received = b""
    try:
        while chunk := link.recv(65536):
            received += chunk
    except ConnectionError:
        pass
    return received


def test_headers_that_never_end_are_cut_off_at_the_limit(app):
    with serving(app, max_header_bytes=2000) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 1500)
        link.sendall(b"a" * 1500)
        assert ended(link).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\n",
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_client_that_does_not_finish_its_request_is_let_go(app, sent):
    with serving(app, request_timeout=0.2) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(sent)
        assert ended(link).startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed(app):
    with serving(app, idle_timeout=1) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert ended(link).startswith(b"HTTP/1.1 200")


def test_a_slow_handler_is_not_a_slow_client(app, http):
    gate = asyncio.Event()
    slow = Server("slow")

    @slow.tool
    async def think() -> str:
        asyncio.get_running_loop().call_later(1.5, gate.set)
        await gate.wait()
        return "thought"

    with serving(slow, request_timeout=0.2) as running:
        assert "thought" in post(http, running, call("think")).text


# --- cancellation ------------------------------------------------------------------------------------------------


def test_a_stateless_client_that_leaves_cancels_its_request(app, server):
    app.entered.clear()
    app.left.clear()
    message = call("wait")
    body = json.dumps(message).encode()
    lines = [f"{name}: {value}" for name, value in headers(message).items()]
    with socket.create_connection(server.address, timeout=10) as link:
        head = ["POST /mcp HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *lines, "", ""]
        link.sendall("\r\n".join(head).encode() + body)
        assert app.entered.wait(5)
    assert app.left.wait(5)


def test_a_handshake_client_that_leaves_does_not_cancel_but_its_notification_does(app, http, server):
    session = open_session(http, server)
    app.entered.clear()
    app.left.clear()
    outcome = []
    message = legacy("tools/call", {"name": "wait", "arguments": {}}, id="w")

    def waiting():
        outcome.append(httpx2.post(server.url, json=message, headers=session, timeout=10))

    thread = threading.Thread(target=waiting)
    thread.start()
    assert app.entered.wait(5)
    other = open_session(http, server)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}}
    assert http.post(server.url, json=cancel, headers=other).status_code == 202
    assert not app.left.is_set(), "another session must not cancel"
    assert http.post(server.url, json=cancel, headers=session).status_code == 202
    assert app.left.wait(5)
    thread.join(5)
    assert (outcome[0].status_code, outcome[0].text) == (200, "")


def test_an_id_in_use_is_refused_within_a_session(app, http, server):
    session = open_session(http, server)
    app.entered.clear()
    message = legacy("tools/call", {"name": "wait", "arguments": {}}, id=1)
    thread = threading.Thread(target=lambda: httpx2.post(server.url, json=message, headers=session, timeout=10))
    thread.start()
    assert app.entered.wait(5)
    assert http.post(server.url, json=legacy("ping", id=1), headers=session).json()["error"]["code"] == -32600
    assert http.delete(server.url, headers=session).status_code == 200
    thread.join(5)
    assert not thread.is_alive(), "DELETE ends what the session runs"


# --- sessions of the handshake era -------------------------------------------------------------------------------


def test_a_session_serves_calls_until_it_is_deleted(http, server):
    session = open_session(http, server)
    assert (
        http.post(
            server.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session
        ).status_code
        == 202
    )
    answer = http.post(
        server.url, json=legacy("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}), headers=session
    )
    assert answer.json()["result"] == {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}}
    assert http.post(server.url, json=legacy("ping"), headers=session).json()["result"] == {}
    assert http.post(server.url, json=legacy("no/such"), headers=session).status_code == 200
    assert http.delete(server.url, headers=session).status_code == 200
    gone = http.post(server.url, json=legacy("ping"), headers=session)
    assert (gone.status_code, gone.json()["id"]) == (404, 1)
    assert http.delete(server.url, headers=session).status_code == 404


def test_session_ids_are_visible_ascii_short_and_never_twice_the_same(http, server):
    ids = {open_session(http, server)["mcp-session-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) <= 512 and all(0x21 <= ord(char) <= 0x7E for char in one) for one in ids)


def test_a_request_without_a_session_is_told_to_initialize(http, server):
    answer = http.post(server.url, json=legacy("tools/list"), headers=JSON_HEADERS)
    assert (answer.status_code, "initialize" in answer.text) == (400, True)


@pytest.mark.parametrize("forged", ["nonsense", "A" * 5000, "AXa4vH4HLgpDsQCEWZqho3hY6JdbfSN9"])
def test_a_forged_session_is_not_found(http, server, forged):
    session = {**JSON_HEADERS, "mcp-session-id": forged}
    assert http.post(server.url, json=legacy("ping"), headers=session).status_code == 404


def test_a_changed_session_id_is_not_found(http, server):
    session = open_session(http, server)
    sealed = session["mcp-session-id"]
    flipped = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    answer = http.post(server.url, json=legacy("ping"), headers={**session, "mcp-session-id": flipped})
    assert answer.status_code == 404


def test_replicas_with_one_key_answer_each_others_sessions_and_a_restart_loses_none(app, http):
    keys = {"sealing_keys": ("a shared secret of some length",)}
    with serving(app, **keys) as first:
        session = open_session(http, first)
    with serving(app, **keys) as second:
        assert http.post(second.url, json=legacy("ping"), headers=session).status_code == 200
    with serving(app) as stranger:
        assert http.post(stranger.url, json=legacy("ping"), headers=session).status_code == 404


def test_a_session_expires(app, http):
    with serving(app, session_ttl=0.001) as running:
        session = open_session(http, running)
        assert http.post(running.url, json=legacy("ping"), headers=session).status_code == 404


def test_the_log_level_of_a_session_is_remembered(http, server):
    session = open_session(http, server)
    assert (
        http.post(server.url, json=legacy("logging/setLevel", {"level": "debug"}), headers=session).json()["result"]
        == {}
    )


def test_an_unknown_version_header_in_a_session_is_refused(http, server):
    session = {**open_session(http, server), "mcp-protocol-version": "2024-01-01"}
    assert http.post(server.url, json=legacy("ping"), headers=session).json()["error"]["code"] == -32022


def test_a_session_without_version_header_is_served(http, server):
    session = open_session(http, server)
    del session["mcp-protocol-version"]
    assert http.post(server.url, json=legacy("ping"), headers=session).status_code == 200


def test_batches_are_answered_in_the_one_revision_that_has_them(http, server):
    batch = [
        legacy("ping", id=1),
        {"jsonrpc": "2.0", "method": "notifications/x"},
        legacy("tools/list", id=2),
        5,
        initialize(),
    ]
    answers = http.post(server.url, json=batch, headers=open_session(http, server, "2025-03-26")).json()
    assert sorted((answer.get("id", -1), "error" in answer) for answer in answers) == [
        (-1, True),
        (0, True),
        (1, False),
        (2, False),
    ]
    for version in ("2025-06-18", "2025-11-25"):
        refused = http.post(server.url, json=batch, headers=open_session(http, server, version))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
    modern = http.post(server.url, json=batch, headers={**JSON_HEADERS, "mcp-protocol-version": "2026-07-28"})
    assert modern.status_code == 400


def test_a_get_stream_stays_open_with_comments_until_the_server_stops(app):
    with httpx2.Client(timeout=10) as http, serving(app, keep_alive_interval=0.05) as running:
        session = open_session(http, running)
        with http.stream("GET", running.url, headers={**session, "accept": "text/event-stream"}) as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            comments = stream.iter_lines()
            assert [next(comments) for _ in range(6)].count(":") == 3
            running.server.should_exit = True
            for _ in comments:
                pass


def test_get_and_delete_without_a_session_are_not_allowed(http, server):
    for method in ("GET", "DELETE", "PUT"):
        answer = http.request(method, server.url, headers={"accept": ACCEPT})
        assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)


def test_open_streams_are_bounded(app):
    with httpx2.Client(timeout=10) as http, serving(app, max_streams=1) as running:
        session = {**open_session(http, running), "accept": "text/event-stream"}
        with http.stream("GET", running.url, headers=session) as first:
            lines = first.iter_lines()
            assert next(lines) == ":"
            assert http.get(running.url, headers=session).status_code == 503
            running.server.should_exit = True


# --- places ------------------------------------------------------------------------------------------------------


def test_health_is_exempt_from_the_host_check_and_needs_no_credentials(http, server):
    base = server.url.removesuffix("/mcp")
    for path in ("/health", "/healthz", "/readyz"):
        answer = http.get(base + path, headers={"host": "10.0.0.7"})
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_endpoint_is_at_its_path_and_at_the_root_and_nowhere_else(http, server):
    base = server.url.removesuffix("/mcp")
    message = call("add", {"a": 1, "b": 2})
    statuses = {
        path: http.post(base + path, json=message, headers=headers(message)).status_code
        for path in ("/", "/mcp", "/mcp/", "/x")
    }
    assert statuses == {"/": 200, "/mcp": 200, "/mcp/": 200, "/x": 404}


def test_handlers_see_the_requests_headers(http, server):
    seen = post(http, server, call("headers_seen"), **{"x-custom": "1"}).json()["result"]["structuredContent"]["result"]
    assert {"x-custom", "mcp-method"} <= set(seen)


def test_draining_turns_readiness_off_and_keeps_health():
    from bascule.serve import asgi

    async def ask(application, path):
        sent = []

        async def send(message):
            sent.append(message)

        await application({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
        return sent[0]["status"]

    application = asgi(Server("t"))
    assert asyncio.run(ask(application, "/readyz")) == 200
    application.drain()
    assert asyncio.run(ask(application, "/readyz")) == 503
    assert asyncio.run(ask(application, "/health")) == 200


@contextmanager
def uvicorn_thread(application):
    import uvicorn

    config = uvicorn.Config(application, log_config=None, ws="none")
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(config)
    ready = threading.Event()
    tick = running.on_tick

    async def on_tick(counter):
        ready.set()
        return await tick(counter)

    running.on_tick = on_tick
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([listener])), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(10)


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_it_mounts_in_starlette_and_fastapi_without_lifespan_wiring(framework, http):
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from starlette.applications import Starlette

    opened = []

    @asynccontextmanager
    async def lifespan(server):
        opened.append("pool")
        yield "pool"

    app = Server("mounted", lifespan=lifespan)

    @app.tool
    async def value(ctx: Context) -> str:
        return ctx.lifespan

    outer = Starlette() if framework == "starlette" else FastAPI()
    outer.mount("/tools", app.asgi())
    message = call("value")
    with uvicorn_thread(outer) as base:
        for path in ("/tools", "/tools/", "/tools/mcp"):
            answer = http.post(base + path, json=message, headers=headers(message), follow_redirects=True)
            assert (path, answer.status_code, [r.status_code for r in answer.history]) in [
                (path, 200, []),
                ("/tools", 200, [307]),  # the outer router's own rule for a mount without its slash
            ]
            assert answer.json()["result"]["structuredContent"] == {"result": "pool"}
    assert opened == ["pool"]


def test_a_lifespan_that_fails_is_told_without_its_details(http, caplog):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(server):
        raise OSError("secret-host refused")
        yield

    outer_less = Server("t", lifespan=lifespan).asgi()
    message = call("x")

    async def ask():
        sent = []

        async def send(item):
            sent.append(item)

        async def receive():
            return {"type": "http.request", "body": json.dumps(message).encode()}

        pairs = [(name.encode(), value.encode()) for name, value in {**headers(message), "host": "localhost"}.items()]
        await outer_less({"type": "http", "method": "POST", "path": "/mcp", "headers": pairs}, receive, send)
        return sent

    sent = asyncio.run(ask())
    assert sent[0]["status"] == 503
    assert b"secret-host" not in sent[1]["body"]
    assert "secret-host" in caplog.text


async def test_our_own_client_listens_after_a_handshake_and_lets_go_at_the_end(app):
    with serving(app) as running:
        async with Client(running.url, era="legacy", on_log=print) as client:
            async with asyncio.timeout(10):
                while not running.server.config.app._handshake._streams:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        async with Client(running.url, era="legacy") as quiet:
            await quiet.ping()


# --- what an attacker tried --------------------------------------------------------------------------------------


def chunked(server, head, tail):
    with socket.create_connection(server.address, timeout=10) as link:
        link.sendall("\r\n".join(["POST /mcp HTTP/1.1", "transfer-encoding: chunked", *head, "", ""]).encode())
        body = json.dumps(call("headers_seen")).encode()
        link.sendall(b"%x\r\n%b\r\n0\r\n" % (len(body), body))
        with suppress(ConnectionError):
            link.sendall(tail)
        return link.recv(65536)


def test_trailers_are_no_headers(server):
    lines = [f"{name}: {value}" for name, value in headers(call("headers_seen")).items()]
    trailers = "\r\n".join(["host: localhost", *lines, "", ""]).encode()
    assert chunked(server, ["content-type: application/json"], trailers).startswith(b"HTTP/1.1 421")
    answer = chunked(server, ["host: localhost", *lines], b"x-late: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"x-late" not in answer


@pytest.mark.parametrize("tail", [b"x: y\r\n" * 100_000, b"x: " + b"y" * 600_000])
def test_endless_trailers_are_cut_off(app, tail):
    with serving(app, max_header_bytes=2000) as running:
        lines = [f"{name}: {value}" for name, value in headers(call("headers_seen")).items()]
        assert chunked(running, ["host: localhost", *lines], tail).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("name", ["Upgrade", "UPGRADE", "upgrade"])
def test_a_body_behind_an_upgrade_is_never_taken_for_a_request(server, name):
    smuggled = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    lines = ["connection: Upgrade, HTTP2-Settings", f"{name}: h2c", "content-type: application/json"]
    with socket.create_connection(server.address, timeout=10) as link:
        head = ["POST /mcp HTTP/1.1", "host: localhost", f"content-length: {len(smuggled)}", *lines, "", ""]
        link.sendall("\r\n".join(head).encode() + smuggled)
        first = link.recv(65536)
        with suppress(ConnectionError):
            link.sendall(b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = first + ended(link)
    assert first.startswith(b"HTTP/1.1 400")
    assert b'"status":"ok"' not in answer


def test_a_client_that_offers_http2_is_served_all_the_same(server):
    body = json.dumps(call("add", {"a": 1, "b": 2})).encode()
    lines = [f"{name}: {value}" for name, value in headers(call("add")).items()]
    answer = raw(server, [*lines, "upgrade: h2c", "http2-settings: AAEA"], body)
    assert b'"structuredContent":{"result":3}' in answer


@pytest.mark.parametrize(
    "variant", [lambda sid: sid + "....", lambda sid: sid + "=", lambda sid: sid[:-1] + chr(ord(sid[-1]) ^ 1)]
)
def test_an_ended_session_has_no_second_spelling(http, server, variant):
    session = open_session(http, server)
    other = {**session, "mcp-session-id": variant(session["mcp-session-id"])}
    assert http.delete(server.url, headers=session).status_code == 200
    assert http.post(server.url, json=legacy("ping"), headers=other).status_code == 404


def test_marks_of_ended_sessions_are_never_forgotten_before_their_time(monkeypatch):
    from bascule.engine.exchange import ANONYMOUS, Peer
    from bascule.engine.settings import HttpSettings
    from bascule.transports import session_ids
    from bascule.wire.requests import ClientCapabilities

    monkeypatch.setattr(session_ids, "_MARKS", 10)
    now = [1000.0]
    ids = session_ids.SessionIds(HttpSettings(session_ttl=100), Sealer(()), clock=lambda: now[0])
    ended = []
    for _ in range(30):
        session = ids.mint(Peer("2025-11-25", None, ClientCapabilities()), ANONYMOUS)
        ids.open(session, ANONYMOUS)
        ids.end(session)
        ended.append(session)
        now[0] += 1
    assert len(ids._ended) == 10
    for session in ended:
        with pytest.raises(session_ids.SessionEnded):
            ids.open(session, ANONYMOUS)


def test_a_session_of_another_principal_is_not_found():
    from bascule.engine.exchange import ANONYMOUS, LOCAL, Peer
    from bascule.engine.settings import HttpSettings
    from bascule.transports.session_ids import SessionEnded, SessionIds
    from bascule.wire.requests import ClientCapabilities

    ids = SessionIds(HttpSettings(), Sealer(()))
    session = ids.mint(Peer("2025-11-25", None, ClientCapabilities()), LOCAL)
    assert ids.open(session, LOCAL)
    with pytest.raises(SessionEnded):
        ids.open(session, ANONYMOUS)


def test_session_ids_stay_short_whatever_the_client_declares(http, server):
    long = {"x" * 5000: {}, "form": {}}
    message = initialize()
    message["params"]["capabilities"] = {"elicitation": long, "extensions": {"é" * 64 + str(n): {} for n in range(50)}}
    message["params"]["clientInfo"] = {"name": "é" * 500, "version": "v" * 500}
    answer = http.post(server.url, json=message, headers=JSON_HEADERS)
    session = {**JSON_HEADERS, "mcp-session-id": answer.headers["mcp-session-id"]}
    assert len(session["mcp-session-id"]) <= 512
    assert http.post(server.url, json=legacy("ping"), headers=session).status_code == 200


def test_deleting_a_session_ends_its_stream(app):
    with httpx2.Client(timeout=10) as http, serving(app, keep_alive_interval=60) as running:
        session = open_session(http, running)
        with http.stream("GET", running.url, headers={**session, "accept": "text/event-stream"}) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ":"
            assert http.delete(running.url, headers=session).status_code == 200
            assert list(lines) == [""]


def test_the_parts_of_a_batch_can_be_cancelled_and_their_ids_are_one_each(app, http, server):
    session = open_session(http, server, "2025-03-26")
    app.entered.clear()
    app.left.clear()
    wait = legacy("tools/call", {"name": "wait", "arguments": {}}, id=7)
    outcome = []
    batch = [wait, wait, legacy("ping", id=8)]
    thread = threading.Thread(
        target=lambda: outcome.append(httpx2.post(server.url, json=batch, headers=session, timeout=10).json())
    )
    thread.start()
    assert app.entered.wait(5)
    assert http.post(server.url, json=legacy("ping", id=7), headers=session).json()["error"]["code"] == -32600
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    http.post(server.url, json=cancel, headers=session)
    assert app.left.wait(5)
    thread.join(5)
    assert sorted((answer["id"], "error" in answer) for answer in outcome[0]) == [(7, True), (8, False)]


def test_a_batch_of_very_many_parts_is_refused_quickly(http, server):
    session = open_session(http, server, "2025-03-26")
    answer = http.post(server.url, content=b"[" + b"1," * 40_000 + b"1]", headers=session)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)


def test_a_public_url_allows_what_its_clients_send_and_nothing_that_looks_like_it(app, http):
    message = call("add", {"a": 1, "b": 2})

    def statuses(public_url, hosts, origins):
        with serving(app, public_url=public_url) as running:
            return [post(http, running, message, host=host).status_code for host in hosts] + [
                post(http, running, message, origin=origin).status_code for origin in origins
            ]

    hosts = ["example.com", "example.com:443", "example.com:80"]
    origins = ["https://example.com", "https://example.com:443", "http://example.com"]
    assert statuses("https://example.com:443", hosts, origins) == [200, 200, 421, 200, 200, 403]
    origins = ["http://[fd00::1]:3000", "http://f:3000", "http://0:3000"]
    assert statuses("http://[fd00::1]:3000", ["[fd00::1]:3000", "f:3000"], origins) == [200, 421, 200, 403, 403]


def test_a_public_url_that_is_none_is_a_config_error(app):
    from bascule import ConfigError

    for wrong in ("example.com", "ftp://example.com", "https://"):
        with pytest.raises(ConfigError, match="public_url"), serving(app, public_url=wrong):
            pass


def test_one_asgi_application_may_be_started_and_stopped_again():
    from starlette.testclient import TestClient

    application = Server("t").asgi(allowed_hosts=["testserver"])
    for _ in range(2):
        with TestClient(application) as client:
            assert client.get("/readyz").status_code == 200
            answer = client.post("/mcp", json=request("server/discover"), headers=headers(request("server/discover")))
            assert answer.status_code == 200


async def test_two_runs_of_one_server_have_each_their_own_lifespan_value():
    from contextlib import asynccontextmanager
    from itertools import count

    numbers = count(1)

    @asynccontextmanager
    async def lifespan(server):
        yield next(numbers)

    app = Server("t", lifespan=lifespan)

    @app.tool
    async def value(ctx: Context) -> int:
        return ctx.lifespan

    async def asked(client):
        return (await client.call_tool("value")).structured_content["result"]

    async with Client(app) as first:
        async with Client(app) as second:
            assert (await asked(first), await asked(second)) == (1, 2)
        assert await asked(first) == 1


def test_a_get_stream_can_be_held_only_so_often_by_one_session(app):
    from contextlib import ExitStack

    with httpx2.Client(timeout=10) as http, serving(app) as running, ExitStack() as stack:
        session = {**open_session(http, running), "accept": "text/event-stream"}
        for _ in range(8):
            stream = stack.enter_context(http.stream("GET", running.url, headers=session))
            lines = stream.iter_lines()
            assert next(lines) == ":"
            stack.callback(lines.close)
        assert http.get(running.url, headers=session).status_code == 503
        running.server.should_exit = True


def test_a_process_whose_start_hangs_ends_at_a_signal(tmp_path):
    import signal
    import subprocess
    import sys

    script = """
import asyncio, sys
from contextlib import asynccontextmanager
from bascule import Server

@asynccontextmanager
async def lifespan(server):
    sys.stderr.write("starting\\n"); sys.stderr.flush()
    await asyncio.sleep(1000)
    yield

Server("t", lifespan=lifespan).run("http", port=0)
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as child:
        try:
            while child.stderr.readline() != "starting\n":
                pass
            child.send_signal(signal.SIGTERM)
            assert child.wait(8) == 0
        finally:
            child.kill()


def test_an_exit_in_a_task_of_a_handler_is_one_failed_call(tmp_path):
    import subprocess
    import sys

    script = """
import asyncio, sys
from bascule import Server
app = Server("t")

@app.tool
async def leave() -> str:
    async def inner():
        sys.exit(3)
    await asyncio.gather(inner())
    return "x"

@app.tool
async def add(a: int, b: int) -> int:
    return a + b

app.run("http", port=0)
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as child:
        try:
            url = child.stderr.readline().split()[-1]
            message = call("leave")
            assert httpx2.post(url, json=message, headers=headers(message), timeout=5).json()["result"]["isError"]
            message = call("add", {"a": 1, "b": 2})
            assert httpx2.post(url, json=message, headers=headers(message), timeout=5).status_code == 200
        finally:
            child.terminate()
            child.communicate(timeout=10)


def test_the_log_level_of_a_session_outlives_ten_thousand_others():
    from bascule.engine.exchange import ANONYMOUS, Peer
    from bascule.engine.settings import HttpSettings
    from bascule.transports.session_ids import SessionIds
    from bascule.wire.requests import ClientCapabilities

    ids = SessionIds(HttpSettings(), Sealer(()))
    peer = Peer("2025-11-25", None, ClientCapabilities())
    session = ids.mint(peer, ANONYMOUS)
    ids.open(session, ANONYMOUS).log_level = "error"
    for _ in range(1000):
        ids.open(ids.mint(peer, ANONYMOUS), ANONYMOUS)
    assert len(ids._opened) <= 256
    assert ids.open(session, ANONYMOUS).log_level == "error"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_answers_without_a_body_are_sent(http, server, method):
    answer = http.request(method, server.url, headers={"origin": "http://localhost:1"})
    assert (answer.status_code, answer.content) == (405 if method == "HEAD" else 204, b"")
    assert http.request(method, server.url.replace("/mcp", "/health")).status_code == 200


def test_a_client_that_waits_for_100_continue_gets_it(server):
    message = call("add", {"a": 1, "b": 2})
    body = json.dumps(message).encode()
    lines = [f"{name}: {value}" for name, value in headers(message).items()]
    head = ["POST /mcp HTTP/1.1", "host: localhost", f"content-length: {len(body)}", "expect: 100-continue", *lines]
    with socket.create_connection(server.address, timeout=10) as link:
        link.sendall("\r\n".join([*head, "", ""]).encode())
        assert link.recv(100).startswith(b"HTTP/1.1 100")
        link.sendall(body)
        assert link.recv(65536).startswith(b"HTTP/1.1 200")
