"""A connection as a client on a bare socket sees it: order, lengths, and what must not get through."""

import asyncio
import json
import socket

import pytest

from bascule import Server
from bascule.engine.settings import HttpSettings
from bascule.transports.http_reply import ANSWER
from bascule.transports.uvicorn_server import UvicornServer
from tests.messages import headers, request
from tests.serving import serving


def app_with_wait():
    app = Server("t")
    order = []

    @app.tool
    async def slow() -> str:
        await asyncio.sleep(0.1)
        order.append("slow")
        return "slow"

    @app.tool
    async def quick() -> str:
        order.append("quick")
        return "quick"

    return app, order


def post(tool, version="HTTP/1.1", path="/mcp", method="POST", extra=()):
    message = request("tools/call", {"name": tool, "arguments": {}})
    body = json.dumps(message).encode()
    head = [f"{method} {path} {version}", "host: localhost", f"content-length: {len(body)}", *extra]
    head += [f"{name}: {value}" for name, value in headers(message).items()]
    return "\r\n".join([*head, "", ""]).encode() + body


def read_all(link):
    link.settimeout(10)
    found = b""
    while data := link.recv(65536):
        found += data
    return found


def test_pipelined_requests_are_answered_in_order_each_with_its_length():
    app, order = app_with_wait()
    with serving(app) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(post("slow") + post("quick") + post("quick", extra=["connection: close"]))
        found = read_all(link)
    assert order == ["slow", "quick", "quick"]
    assert [part in found for part in (b'"slow"', b'"quick"')] == [True, True]
    assert found.count(b"HTTP/1.1 200 OK") == 3
    assert found.index(b'"slow"') < found.index(b'"quick"')
    assert found.count(b"connection: close") == 1, "only the last answer ends the connection"


def test_an_http_1_0_client_gets_one_answer_and_the_end():
    app, _ = app_with_wait()
    with serving(app) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(post("quick", version="HTTP/1.0"))
        found = read_all(link)
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert json.loads(body)["result"]["structuredContent"] == {"result": "quick"}
    assert b"content-length: %d" % len(body) in head


@pytest.mark.parametrize("path", ["/m%63p", "/mcp?x=1", "http://localhost/mcp"])
def test_a_path_means_the_same_however_it_is_spelled(path):
    app, _ = app_with_wait()
    with serving(app) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(post("quick", path=path, extra=["connection: close"]))
        assert read_all(link).startswith(b"HTTP/1.1 200 OK")


def test_an_answer_to_head_has_no_body():
    app, _ = app_with_wait()
    with serving(app) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(b"HEAD /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        head, _, body = read_all(link).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""


def test_too_many_connections_are_refused_and_the_others_served():
    app, _ = app_with_wait()
    with (
        serving(app, max_connections=2) as running,
        socket.create_connection(running.address, timeout=10) as first,
        socket.create_connection(running.address, timeout=10) as second,
    ):
        second.sendall(post("quick"))
        assert second.recv(100).startswith(b"HTTP/1.1 503")
        second.close()
        first.sendall(post("quick", extra=["connection: close"]))
        assert b"HTTP/1.1 " in read_all(first)


def test_expect_100_continue_is_answered_before_the_body_is_sent():
    app, _ = app_with_wait()
    whole = post("quick", extra=["expect: 100-continue", "connection: close"])
    head, _, body = whole.partition(b"\r\n\r\n")
    with serving(app) as running, socket.create_connection(running.address, timeout=10) as link:
        link.sendall(head + b"\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 100")
        link.sendall(body)
        assert b"HTTP/1.1 200 OK" in read_all(link)


def served_by(application, sent):
    """What a bare application answers to these bytes."""

    async def once():
        listener = socket.create_server(("127.0.0.1", 0))
        server = UvicornServer(application, HttpSettings())
        serve = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        found = await reader.read()
        writer.close()
        server.should_exit = True
        await serve
        return found

    return asyncio.run(once())


class Bare:
    """An application that answers by the extension."""

    def __init__(self, *headers):
        self.headers = list(headers)
        self.again = None

    def drain(self):
        pass

    async def start(self):
        pass

    async def stop(self, grace):
        pass

    async def __call__(self, scope, receive, send):
        answer = scope["extensions"][ANSWER]
        assert answer(200, self.headers, b"one")
        self.again = answer(200, [], b"two")


GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def test_a_header_cannot_break_out_of_its_line():
    found = served_by(Bare((b"x", b"a\r\nset-cookie: b")), GET)
    assert found.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in found


def test_a_request_is_answered_once():
    bare = Bare()
    found = served_by(bare, GET)
    assert found.count(b"HTTP/1.1") == 1
    assert found.endswith(b"content-length: 3\r\n\r\none")
    assert bare.again is False
