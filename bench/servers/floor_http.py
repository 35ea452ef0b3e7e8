"""The floor over HTTP: `floor_http.py http PORT`. Bare ASGI on uvicorn with the settings of Bascule's own server."""

import sys

import uvicorn
from floor_messages import answer, decode, notices

JSON = (b"content-type", b"application/json")
STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
SESSION = (b"mcp-session-id", b"x" * 115)


async def app(scope, receive, send):
    """One POST: one message, one answer."""
    received = await receive()
    body = received["body"]
    while received.get("more_body"):
        received = await receive()
        body += received["body"]
    message = decode(body)
    if message.id is None:
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    if message.params.meta.progress_token is not None:
        await stream(message, send)
        return
    data = answer(message)
    headers = [JSON, (b"content-length", b"%d" % len(data))]
    if message.method == "initialize":
        headers.append(SESSION)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def stream(message, send):
    """Notices and answer as an event stream."""
    await send({"type": "http.response.start", "status": 200, "headers": STREAM})
    for notice in notices(message):
        await send({"type": "http.response.body", "body": b"data: %b\n\n" % notice, "more_body": True})
    await send({"type": "http.response.body", "body": b"data: %b\n\n" % answer(message)})


def main():
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=10_000,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=10,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
