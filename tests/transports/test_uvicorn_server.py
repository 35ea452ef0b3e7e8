"""What the HTTP server adds to uvicorn: believed proxies, and an end to clients that do not read."""

import asyncio
import socket
import threading

import pytest

from bascule import Server
from bascule.engine.settings import HttpSettings
from bascule.transports.uvicorn_server import UvicornServer
from tests.messages import headers, request
from tests.serving import serving


class Seen:
    """An ASGI application that keeps the client address of its last request."""

    def __init__(self):
        self.client = None

    def drain(self):
        pass

    async def start(self):
        pass

    async def stop(self, grace):
        pass

    async def __call__(self, scope, receive, send):
        self.client = scope["client"][0]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("trusted", "expected"), [((), "127.0.0.1"), (("127.0.0.1",), "9.9.9.9"), (("8.8.8.8",), "127.0.0.1")]
)
def test_a_forwarded_address_is_believed_from_a_trusted_proxy_only(trusted, expected):
    seen = Seen()

    async def once():
        listener = socket.create_server(("127.0.0.1", 0))
        server = UvicornServer(seen, HttpSettings(trusted_proxies=trusted))
        serve = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 9.9.9.9\r\nconnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        server.should_exit = True
        await serve

    asyncio.run(once())
    assert seen.client == expected


def test_a_client_that_does_not_take_its_answer_is_let_go():
    app = Server("t")
    done = threading.Event()

    @app.tool(max_result_bytes=100_000_000)
    async def big() -> str:
        return "x" * 30_000_000

    with serving(app, request_timeout=0.3) as running, socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(running.address)
        message = request("tools/call", {"name": "big", "arguments": {}})
        import json

        body = json.dumps(message).encode()
        head = ["POST /mcp HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers(message).items()]
        link.sendall("\r\n".join([*head, "", ""]).encode() + body)
        link.settimeout(10)
        assert link.recv(100).startswith(b"HTTP/1.1 200")
        poll = threading.Event()
        for _ in range(100):
            if not running.server.server_state.connections:
                done.set()
                break
            poll.wait(0.05)
        assert done.is_set(), "the connection is still held"
