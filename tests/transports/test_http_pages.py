"""Pages beside the endpoint through a real server: the same edge, and every way to get at one wrongly."""

import asyncio
import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from bascule import HttpResponse, MCPError, RateLimited, Server, ToolError
from bascule.engine.settings import HttpSettings
from bascule.errors import Busy, TooManyRequests
from bascule.serve import asgi
from bascule.server.workers import MAX_THREADS
from tests.auth.keyring import Keyring
from tests.messages import ACCEPT, headers, initialize, request
from tests.serving import serving

SECRET = "s3cret-in-the-query"
LIMIT = 20_000
LARGE = b"x" * 3_000_000


async def seen(scope, receive, send):
    """Answers with what reached it."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "root_path": scope["root_path"],
        "headers": sorted(name.decode() for name, _ in scope["headers"]),
        "subject": scope["state"]["principal"].subject,
        "extensions": sorted(scope["extensions"]),
        "size": len(body),
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def answers(pairs):
    """An application that answers with these headers."""

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        await send({"type": "http.response.body", "body": b"body"})

    return application


def starlette():
    async def events(request):
        async def stream():
            for number in range(3):
                yield f"data: {number}\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def echo(request):
        return PlainTextResponse(f"{request.state.principal.subject} {len(await request.body())}")

    async def fails(request):
        raise ValueError(SECRET)

    routes = [Route("/events", events), Route("/echo", echo, methods=["POST"]), Route("/fails", fails)]
    return Starlette(routes=routes)


async def breaks_off(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise RuntimeError(SECRET)


async def says_nothing(scope, receive, send):
    await receive()


async def hangs(scope, receive, send):
    await asyncio.Event().wait()


async def hangs_and_lies(scope, receive, send):
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await answers([])(scope, receive, send)


async def large(asked):
    return LARGE


async def fails(asked):
    raise ValueError(SECRET)


async def times_out(asked):
    raise TimeoutError(SECRET)


async def nothing(asked):
    return None


async def no_json(asked):
    return {"a": object()}


async def surrogate(asked):
    return "\ud800"


async def refuses(asked):
    raise ToolError(SECRET)


async def fails_upstream(asked):
    raise MCPError(SECRET, status=403, data=SECRET)


async def reads_json(asked):
    return asked.json()


async def limited(asked):
    raise RateLimited("Too often; try again later", details={"retryAfter": 1.5})


def busy(asked):
    raise Busy("Busy; try again later", details={"retryAfter": 2})


async def injects(asked):
    return HttpResponse("x", headers={"x-a": asked.query["value"]})


async def injects_late(asked):
    given = {"x-a": "b"}
    response = HttpResponse(b"x", headers=given)
    given["x-a"] = "b\r\nset-cookie: evil=1"
    return response


async def gone(asked):
    return HttpResponse(status=204)


async def hanging(asked):
    await asyncio.Event().wait()


PAGES = {
    "/large": large,
    "/fails": fails,
    "/times-out": times_out,
    "/nothing": nothing,
    "/no-json": no_json,
    "/surrogate": surrogate,
    "/refuses": refuses,
    "/fails-upstream": fails_upstream,
    "/reads-json": reads_json,
    "/limited": limited,
    "/busy": busy,
    "/injects": injects,
    "/injects-late": injects_late,
    "/gone": gone,
    "/hangs": hanging,
}

APPLICATIONS = {
    "/seen": seen,
    "/star": starlette(),
    "/breaks-off": breaks_off,
    "/says-nothing": says_nothing,
    "/breaks-line": answers([(b"x-a", b"b\r\nset-cookie: evil=1")]),
    "/breaks-name": answers([(b"x-a\r\nx-b", b"c")]),
    "/any-origin": answers([(b"Access-Control-Allow-Origin", b"*"), (b"Vary", b"Cookie")]),
    "/hanging": hangs,
    "/lying": hangs_and_lies,
}


@pytest.fixture(scope="module")
def app():
    app = Server("t")
    app.calls = []

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @app.route("/page", methods=["GET", "POST"])
    async def page(asked):
        app.calls.append(asked.method)
        told = {"subject": asked.principal.subject, "address": asked.address, "size": len(asked.body)}
        return {**told, "method": asked.method, "query": asked.query, "headers": sorted(asked.headers)}

    @app.route("/open", public=True)
    def in_a_thread(asked):
        return HttpResponse(threading.current_thread().name, headers={"cache-control": "max-age=5"})

    app.route("/hook", page, methods=["POST"])
    for path, handler in {**PAGES, **APPLICATIONS}.items():
        app.route(path, handler)
    return app


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("keys") / "keys.db")


@pytest.fixture(scope="module")
def server(app):
    with serving(app, max_body_bytes=LIMIT, request_timeout=20) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(app):
    with serving(app, max_body_bytes=LIMIT, request_timeout=0.3) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(app, ring):
    with serving(app, door=ring.door()) as running:
        yield running


@pytest.fixture(scope="module")
def http():
    with httpx2.Client(timeout=20) as client:
        yield client


def at(server, path):
    return f"http://{server.address[0]}:{server.address[1]}{path}"


def raw(server, target, *lines, method="GET", body=b"", host="localhost"):
    """What comes back for a request that is written byte by byte: the head, and the body."""
    head = [f"{method} {target} HTTP/1.1", f"host: {host}", "connection: close", *lines]
    with closing(socket.create_connection(server.address, timeout=20)) as link:
        link.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        found = b""
        while data := link.recv(65536):
            found += data
    return found.partition(b"\r\n\r\n")[::2]


def status_of(head):
    return int(head.split(b" ", 2)[1])


def error_of(answer):
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["error"]["message"]


def test_a_page_is_asked_with_what_the_request_says(http, server):
    answer = http.post(at(server, "/page?a=1&b=%20"), content=b"12345", headers={"x-mine": "yes"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["query"] == {"a": "1", "b": " "}
    assert (told["method"], told["size"], told["subject"], told["address"]) == ("POST", 5, "", "127.0.0.1")
    assert "x-mine" in told["headers"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_synchronous_page_runs_in_a_thread_and_keeps_its_own_cache_header(http, server):
    answer = http.get(at(server, "/open"))
    assert answer.text.startswith("bascule-worker")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers.get_list("cache-control") == ["max-age=5"]


def test_the_endpoint_answers_as_before(http, server):
    message = request("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})
    assert http.post(server.url, json=message, headers=headers(message)).json()["result"]["structuredContent"]


def test_what_is_not_there_and_what_is_asked_wrongly_is_told_as_json(http, server):
    missing = http.get(at(server, f"/nowhere?token={SECRET}"))
    assert missing.status_code == 404
    assert "the MCP endpoint is /mcp" in error_of(missing)
    wrong = http.get(at(server, "/hook"))
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "OPTIONS, POST")
    assert "does not answer this method" in error_of(wrong)
    assert http.put(at(server, "/page")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert http.request("HEAD", at(server, "/hook")).status_code == 405


def test_a_query_or_a_body_that_cannot_be_read_is_400_and_not_logged(http, server, caplog):
    for target, why in (("/page?a=1&a=2", "is repeated"), ("/reads-json", "not JSON")):
        answer = http.get(at(server, target))
        assert answer.status_code == 400
        assert why in error_of(answer)
    assert not caplog.records


def test_head_has_the_head_of_a_page_and_no_body(http, server):
    head, body = raw(server, "/large", method="HEAD")
    assert status_of(head) == 200
    assert f"content-length: {len(LARGE)}".encode() in head.lower()
    assert body == b""
    assert http.get(at(server, "/large")).content == LARGE
    assert raw(server, "/gone")[0].lower().count(b"content-length") == 0


def test_head_sends_no_body_whatever_server_stands_in_front(app):
    async def asked():
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "HEAD", "path": "/large", "headers": [(b"host", b"localhost")]}
        await asgi(app, settings=HttpSettings())(scope, receive, send)
        return sent

    start, body = asyncio.run(asked())
    assert dict(start["headers"])[b"content-length"] == str(len(LARGE)).encode()
    assert body == {"type": "http.response.body", "body": b""}


@pytest.mark.parametrize(
    "target",
    [
        "/page/",
        "//page",
        "/./page",
        "/x/../page",
        "/x/%2e%2e/page",
        "/%2e/page",
        "/x%2f..%2fpage",
        "/page%2f",
        "/page%00",
        "/page%0a",
        "/page%09",
        "/page;a=b",
        "/PAGE",
        "\\page",
        "/\\page",
        "/%5cpage",
        "/page%5c",
        "/%2570age",
        "http://localhost//page",
    ],
)
def test_no_other_spelling_of_a_path_reaches_a_page(app, server, target):
    app.calls.clear()
    head, _ = raw(server, target)
    assert status_of(head) in (400, 404)
    assert app.calls == []


@pytest.mark.parametrize(
    "target",
    [
        "/seen/../page",
        "/seen/%2e%2e/etc/passwd",
        "/seen/..",
        "/seen/..;/x",
        "/seen/a//b",
        "/seen//",
        "/seen/a%2fb",
        "/seen/..%2f..%2fetc",
        "/seen/%252e%252e/x",
        "/seen/a%252fb",
        "/seen/a%5cb",
        "/seen/..%5c..",
        "/seen/%00",
        "/seen/a%0d%0ab",
        "/seen%2fa",
        "/seen/%c0%ae%c0%ae/%2e%2e/x",
    ],
)
def test_no_path_with_two_readings_reaches_an_application(server, target):
    head, body = raw(server, target)
    assert status_of(head) in (400, 404)
    assert b'"root_path"' not in body


def test_a_spelling_that_every_reader_reads_alike_is_the_same_page(server):
    assert status_of(raw(server, "/%70age")[0]) == 200
    assert status_of(raw(server, "http://localhost/page")[0]) == 200
    assert b'"/seen/a b"' in raw(server, "/seen/a%20b")[1]


def test_a_rebound_host_and_a_foreign_origin_stay_outside(app, http, server):
    app.calls.clear()
    for path in ("/page", "/open", "/seen", "/seen/x"):
        assert status_of(raw(server, path, host="evil.example.com")[0]) == 421
        assert status_of(raw(server, f"http://localhost{path}", host="evil.example.com")[0]) == 421
        assert status_of(raw(server, path, "host: evil.example.com")[0]) == 400
        for origin in ("https://evil.example.com", "null", "http://localhost.evil.example.com"):
            assert http.get(at(server, path), headers={"origin": origin}).status_code == 403
        foreign = {"origin": "https://evil.example.com", "access-control-request-method": "GET"}
        assert http.options(at(server, path), headers=foreign).status_code == 403
    assert app.calls == []


def test_browsers_on_allowed_origins_get_cors_for_the_methods_that_there_are(http, server):
    origin = {"origin": "http://localhost:5173"}
    for path, methods in (("/hook", "OPTIONS, POST"), ("/seen/x", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")):
        answer = http.options(at(server, path), headers={**origin, "access-control-request-method": "POST"})
        assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (204, methods)
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
    assert http.options(at(server, "/hook")).headers["allow"] == "OPTIONS, POST"
    assert http.options(at(server, "/seen")).json()["method"] == "OPTIONS"
    for path in ("/page", "/seen", "/fails"):
        answer = http.get(at(server, path), headers=origin)
        assert answer.headers.get("access-control-allow-origin") == origin["origin"]


def test_an_application_cannot_open_itself_to_other_origins(http, server):
    assert "access-control-allow-origin" not in http.get(at(server, "/any-origin")).headers
    answer = http.get(at(server, "/any-origin"), headers={"origin": "http://localhost:1"})
    assert answer.headers.get_list("access-control-allow-origin") == ["http://localhost:1"]
    assert answer.headers.get_list("vary") == ["Cookie", "Origin"]


def test_credentials_are_asked_for_as_at_the_endpoint(app, ring, http, guarded):
    record, key = ring.make()
    for path in ("/page", "/seen", "/seen/x", "/hook", "/large"):
        bare = http.get(at(guarded, path))
        assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
        assert http.get(at(guarded, path), headers={"x-api-key": "guess"}).status_code == 403
        assert http.get(at(guarded, f"{path}?api_key={key}&access_token={key}")).status_code == 401
    for shown in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        told = http.get(at(guarded, "/page"), headers=shown)
        assert told.json()["subject"] == record.subject
        assert not {"authorization", "x-api-key"} & {*told.json()["headers"]}
        assert told.headers["cache-control"] == "no-store"
        below = http.get(at(guarded, "/seen/x"), headers=shown)
        assert below.json()["subject"] == record.subject
        assert not {"authorization", "x-api-key"} & {*below.json()["headers"]}
        assert below.headers["cache-control"] == "no-store"
        assert http.post(at(guarded, "/star/echo"), headers=shown, content=b"1").text == f"{record.subject} 1"


def test_a_public_page_asks_for_none_and_its_neighbours_still_do(ring, http, guarded):
    assert http.get(at(guarded, "/open")).status_code == 200
    assert http.get(at(guarded, "/open"), headers={"x-api-key": "guess"}).status_code == 200
    assert http.post(at(guarded, "/open")).status_code == 405
    assert http.get(at(guarded, "/open/")).status_code == 404
    assert http.options(at(guarded, "/page")).status_code == 204


def test_a_public_method_opens_no_other_method_of_its_path(ring, http):
    app = Server("t")
    app.route("/both", lambda asked: "anybody", public=True)
    app.route("/both", lambda asked: "known", methods=["POST"])
    with serving(app, door=ring.door()) as server:
        assert http.get(at(server, "/both")).text == "anybody"
        assert http.head(at(server, "/both")).status_code == 200
        assert http.post(at(server, "/both")).status_code == 401
        assert http.put(at(server, "/both")).status_code == 401
        override = {"x-http-method-override": "POST", "x-http-method": "POST", "x-method-override": "POST"}
        assert http.get(at(server, "/both?_method=POST"), headers=override).text == "anybody"


@pytest.mark.parametrize(
    "method", ["get", "Get", "GET\t", "POST GET", "TRACE", "CONNECT", "PROPFIND", "QUERY", "M-SEARCH"]
)
def test_no_other_spelling_of_a_method_reaches_a_page(app, server, method):
    app.calls.clear()
    assert status_of(raw(server, "/page", method=method)[0]) in (400, 405)
    assert app.calls == []


def test_one_request_cannot_hide_another(app, server):
    app.calls.clear()
    hidden = b"0\r\n\r\nGET /page HTTP/1.1\r\nhost: localhost\r\n\r\n"
    lengths = ["transfer-encoding: chunked", f"content-length: {len(hidden)}"]
    head, rest = raw(server, "/hook", *lengths, method="POST", body=hidden)
    assert status_of(head) == 400
    head, rest = raw(server, "/hook", "content-length: 3", "content-length: 5", method="POST", body=b"12345")
    assert status_of(head) == 400
    assert b"HTTP/1.1 200" not in rest
    assert app.calls == []


def test_the_address_limit_counts_pages_too(app, http):
    asked = []

    async def per_address(principal, address):
        asked.append((principal.anonymous, address))
        if len(asked) > 1:
            raise TooManyRequests("Too many", data={"code": "rate_limited"}, retry_after=3)

    async def twice():
        served = asgi(app, settings=HttpSettings(), per_address=per_address)
        transport = httpx2.ASGITransport(served, client=("10.0.0.9", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get("/open") for _ in range(2)]

    first, second = asyncio.run(twice())
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.headers["retry-after"] == "3"
    assert asked == [(True, "10.0.0.9")] * 2


@pytest.mark.parametrize("path", ["/page", "/hook", "/seen", "/star/echo"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused(app, http, server, path, chunked):
    app.calls.clear()
    body = b"x" * (LIMIT + 1)
    answer = http.post(at(server, path), content=iter([body]) if chunked else body)
    assert answer.status_code == 413
    assert f"{LIMIT} bytes" in error_of(answer)
    assert app.calls == []
    assert http.post(at(server, path), content=body[1:]).status_code == 200


def test_a_slow_body_is_given_up(app, hasty):
    app.calls.clear()
    for path in ("/hook", "/seen"):
        head, _ = raw(hasty, path, "content-length: 10", method="POST", body=b"123")
        assert status_of(head) in (408, 503)
    assert app.calls == []


def test_a_slow_body_is_given_up_whatever_server_stands_in_front(app):
    app.calls.clear()
    sent = []

    async def asked():
        async def send(message):
            sent.append(message)

        async def receive():
            await asyncio.Event().wait()

        scope = {"type": "http", "method": "POST", "path": "/hook", "headers": [(b"host", b"localhost")]}
        await asgi(app, settings=HttpSettings(request_timeout=0.05))(scope, receive, send)

    asyncio.run(asked())
    assert sent[0]["status"] == 408
    assert app.calls == []


def test_a_huge_body_is_refused_though_the_application_would_not_read_it(server):
    head, _ = raw(server, "/any-origin", f"content-length: {LIMIT + 1}", method="POST")
    assert status_of(head) == 413


@pytest.mark.parametrize("path", ["/hangs", "/hanging", "/lying"])
def test_a_page_that_never_answers_is_given_up(http, hasty, path):
    answer = http.get(at(hasty, path))
    assert answer.status_code == 503
    assert "did not answer in time" in error_of(answer)


def test_a_page_runs_to_its_end_though_its_client_has_left():
    app, entered, goes_on, ended = Server("t"), threading.Event(), asyncio.Event(), threading.Event()

    @app.route("/works")
    async def works(asked):
        entered.set()
        await goes_on.wait()
        ended.set()
        return LARGE

    @app.route("/goes-on")
    async def release(asked):
        goes_on.set()
        return ""

    with serving(app) as server:
        with closing(socket.create_connection(server.address, timeout=20)) as link:
            link.sendall(b"GET /works HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert entered.wait(10)
        assert httpx2.get(at(server, "/goes-on"), timeout=20).status_code == 200
        assert ended.wait(10)


def test_synchronous_pages_that_hang_leave_threads_to_tools_and_other_pages(http):
    app, release, entered = Server("t"), threading.Event(), threading.Semaphore(0)

    @app.tool
    def add(a: int, b: int) -> int:
        return a + b

    @app.route("/blocks")
    def blocks(asked):
        entered.release()
        release.wait(20)
        return ""

    app.route("/quick", lambda asked: "quick")
    message = request("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})
    with serving(app) as server, ThreadPoolExecutor(MAX_THREADS + 8) as many:
        asked = [many.submit(httpx2.get, at(server, "/blocks"), timeout=30) for _ in range(MAX_THREADS + 8)]
        try:
            assert all(entered.acquire(timeout=10) for _ in range(MAX_THREADS // 2))
            assert http.get(at(server, "/quick")).text == "quick"
            assert http.post(server.url, json=message, headers=headers(message)).json()["result"]["structuredContent"]
        finally:
            release.set()
        assert {future.result().status_code for future in asked} == {200}


def test_a_stream_that_has_begun_is_not_cut_off(http):
    app, goes_on = Server("t"), asyncio.Event()

    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await goes_on.wait()
        await send({"type": "http.response.body", "body": b" and ended"})

    @app.route("/goes-on")
    async def release(asked):
        goes_on.set()
        return ""

    @app.route("/never")
    async def never(asked):
        await asyncio.Event().wait()

    app.route("/slow", slow)
    with serving(app, request_timeout=0.2) as server, http.stream("GET", at(server, "/slow")) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"begun"
        assert httpx2.get(at(server, "/never"), timeout=20).status_code == 503, "the time has passed"
        httpx2.get(at(server, "/goes-on"), timeout=20)
        assert b"".join(chunks) == b" and ended"


@pytest.mark.parametrize(
    "path",
    ["/fails", "/times-out", "/nothing", "/no-json", "/surrogate", "/refuses", "/fails-upstream", "/says-nothing"],
)
def test_a_failure_tells_a_reference_and_the_log_the_rest(http, server, caplog, path):
    with caplog.at_level(logging.ERROR, "bascule"):
        answer = http.get(at(server, f"{path}?token={SECRET}"))
    assert answer.status_code == 500
    message = error_of(answer)
    assert SECRET not in answer.text
    reference = message.partition("reference ")[2].rstrip(")")
    [record] = [record for record in caplog.records if reference in record.getMessage()]
    assert path in record.getMessage()
    assert record.exc_info is not None
    assert SECRET not in record.getMessage()


def test_what_a_starlette_application_fails_with_stays_inside(http, server, caplog):
    answer = http.get(at(server, "/star/fails"))
    assert answer.status_code == 500
    assert SECRET not in answer.text


def test_a_query_is_in_no_log(http, server, caplog):
    with caplog.at_level(logging.DEBUG):
        for path in ("/page", "/seen", "/fails", "/nowhere", "/hook", "/breaks-line", "/star/events", "/page/../x"):
            raw(server, f"{path}?token={SECRET}-of-the-asker")
    assert caplog.records
    assert f"{SECRET}-of-the-asker" not in caplog.text


@pytest.mark.parametrize(("path", "status", "wait"), [("/limited", 429, "2"), ("/busy", 503, "2")])
def test_a_limit_of_a_pages_own_is_told_as_http_tells_it(http, server, path, status, wait):
    answer = http.get(at(server, path))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, wait)
    assert "try again later" in error_of(answer)


@pytest.mark.parametrize(
    "target",
    [
        "/injects?value=b%0d%0aset-cookie:%20evil=1",
        "/injects?value=b%0aset-cookie:%20evil=1",
        "/injects?value=%00",
        "/injects-late",
        "/breaks-line",
        "/breaks-name",
    ],
)
def test_no_header_breaks_out_of_its_line(server, target):
    head, body = raw(server, target)
    assert status_of(head) == 500
    assert b"set-cookie" not in head.lower() + body.lower()
    assert b"x-b" not in head.lower()
    assert b"x-a: fine" in raw(server, "/injects?value=fine")[0].lower()


def test_an_answer_that_breaks_off_is_seen_to(server):
    head, body = raw(server, "/breaks-off")
    assert status_of(head) == 200
    assert b"begun" in body
    assert not body.endswith(b"0\r\n\r\n")
    assert SECRET.encode() not in body


def test_an_application_streams_and_knows_nothing_of_the_short_way_out(http, server):
    assert http.get(at(server, "/star/events")).text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    told = http.get(at(server, "/seen/deep/er")).json()
    assert (told["root_path"], told["path"], told["extensions"]) == ("/seen", "/seen/deep/er", [])


def test_a_session_id_means_nothing_to_a_page_and_ends_no_session(http, server):
    spoken = {"accept": ACCEPT, "content-type": "application/json"}
    opened = http.post(server.url, json=initialize(), headers=spoken)
    session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    assert http.get(at(server, "/page"), headers=session).status_code == 200
    assert http.get(at(server, "/page"), headers={"mcp-session-id": "of nobody"}).status_code == 200
    assert http.delete(at(server, "/page"), headers=session).status_code == 405
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    asked = http.post(server.url, json=ping, headers={**spoken, **session})
    assert asked.json()["result"] == {}


def test_pages_are_relative_to_where_the_server_is_mounted(app):
    outer = Starlette()
    outer.mount("/tools", app.asgi())

    async def asked():
        transport = httpx2.ASGITransport(outer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path) for path in ("/tools/open", "/open", "/tools/seen/x", "/tools/star/events")]

    page, outside, below, events = asyncio.run(asked())
    assert (page.status_code, outside.status_code, events.status_code) == (200, 404, 200)
    assert (below.json()["root_path"], below.json()["path"]) == ("/tools/seen", "/tools/seen/x")


def test_another_mcp_server_may_be_an_application_below_a_path(http, app):
    front = Server("front")
    front.route("/behind", app.asgi())
    message = request("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})
    with serving(front) as server:
        for path in ("/behind", "/behind/mcp"):
            answer = http.post(at(server, path), json=message, headers=headers(message))
            assert answer.json()["result"]["structuredContent"] == {"result": 3}
        assert http.get(at(server, "/behind/open")).status_code == 200
        assert http.get(at(server, "/open")).status_code == 404


def test_the_first_page_opens_the_lifespan_and_one_that_cannot_open_is_told():
    @asynccontextmanager
    async def lifespan(server):
        if server.info.name == "broken":
            raise RuntimeError(SECRET)
        yield "opened"

    async def asked(name):
        app = Server(name, lifespan=lifespan)
        app.route("/x", lambda asked: asked.lifespan)
        transport = httpx2.ASGITransport(app.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/x")

    assert asyncio.run(asked("whole")).text == "opened"
    broken = asyncio.run(asked("broken"))
    assert broken.status_code == 503
    assert SECRET not in broken.text
