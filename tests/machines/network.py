"""A network of one process: ASGI scopes for an application, and what a client sees of the answers, byte by byte.

A connection holds the application to what ASGI allows: one start, then bodies, and nothing after the last. It may be
stalled (then `send` waits, as flow control does) and cut (then `send` raises, or drops, as servers do).
"""

import asyncio
import json
from collections import deque
from contextvars import ContextVar

from bascule.transports.http_reply import ANSWER

CURRENT = ContextVar("CURRENT")
"""The connection whose request runs."""


class Gone(OSError):
    """What `send` raises once the client has left."""


def events_of(text):
    """The events of a piece of an event stream, as (id, data); data is None where an event has none."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            found.append((fields.get("id"), fields.get("data")))
    return found


class Connection:
    """One request and its answer. Subclasses say what they make of it."""

    firm = False
    """Whether the network spares it."""

    def __init__(self, world, client, host, method, headers, body=b"", principal=None):
        self.world, self.client, self.host = world, client, host
        self.number = world.count()
        self.method = method
        self.request_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.principal = client.principal if principal is None else principal
        self.chunks = self._cut_up(body)
        self.status = None
        self.headers = {}
        self.started = self.complete = self.left = self.over = self.killed = False
        self.stalled = not (self.firm or world.calm) and world.random.random() < world.sluggish
        self.answered_at = None
        """When the application began to answer."""
        self.polite = world.random.random() < 0.5
        self.whole = world.random.random() < 0.5
        self.calls = {}
        self._waiting = deque()
        self._gone = asyncio.Event()
        self.task = world.loop.create_task(self._run())

    def heard(self, message, event_id):
        """A message has reached the client."""

    def handed(self, message):
        """The application has handed a message to the network."""

    def finished(self):
        """The answer is complete, and all of it has arrived."""

    @property
    def streams(self):
        return self.headers.get("content-type") == "text/event-stream"

    @property
    def open(self):
        return not (self.complete or self.left or self.over)

    def stall(self):
        self.stalled = True

    def flow(self):
        """Let go on what waits, in its order."""
        self.stalled = False
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def leave(self):
        """The client closes the connection."""
        self.left = True
        self._gone.set()
        self.flow()

    def kill(self):
        """The server ends the request."""
        self.killed = True
        self.task.cancel()

    async def _run(self):
        CURRENT.set(self)
        extensions = {ANSWER: self._answer} if self.whole else {}
        scope = {
            "type": "http",
            "method": self.method,
            "path": "/mcp",
            "headers": self.request_headers,
            "extensions": extensions,
        }
        try:
            await self.host.server(scope, self._receive, self._send)
        except asyncio.CancelledError:
            if not self.killed:
                self.fault("was cancelled by nobody")
        except Exception as escaped:
            self.fault(f"{escaped!r} escaped")
        else:
            if not self.complete and not self.left:
                self.fault("ended without a whole answer")
        self.over = True
        self.world.note(f"{self.number} over")

    def fault(self, text):
        self.world.fault(f"connection {self.number} ({type(self).__name__}) {text}")

    def _cut_up(self, body):
        random = self.world.random
        if self.firm or random.random() < 0.8:
            return deque([(0, body)])
        middle = random.randrange(len(body) + 1)
        return deque([(0, body[:middle]), (random.choice((0, 0, 0.5)), body[middle:])])

    async def _receive(self):
        if self.chunks and not self.left:
            delay, chunk = self.chunks.popleft()
            if self.chunks or delay:
                await asyncio.sleep(delay)
            if not self.left:
                return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def _answer(self, status, headers, body):
        if self.stalled or self.left or self._waiting:
            return False
        start = {"type": "http.response.start", "status": status, "headers": headers}
        for message in (start, {"type": "http.response.body", "body": body}):
            self._hand_over(message)
            self._write(message)
        return True

    async def _send(self, message):
        self._hand_over(message)
        if self.stalled or self._waiting:
            waiter = self.world.loop.create_future()
            self._waiting.append(waiter)
            await waiter
        if self.left:
            if self.polite:
                raise Gone(f"secret: {self.number} has left")
            return
        self._write(message)

    def _hand_over(self, message):
        if self.answered_at is None:
            self.answered_at = self.world.loop.time()
        if message["type"] == "http.response.body":
            for parsed, _ in self._parsed(message["body"]):
                self.handed(parsed)

    def _write(self, message):
        if message["type"] == "http.response.start":
            if self.started:
                self._illegal("a second start")
            self.started, self.status = True, message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.world.note(f"{self.number} {self.status}")
            return
        if not self.started or self.complete:
            self._illegal("a body before the start" if not self.started else "a body after the end")
        self.complete = not message.get("more_body", False)
        body = message["body"]
        self.world.note(f"{self.number} {body!r} {'' if self.complete else '...'}")
        self.world.inspect(self, body)
        for parsed, event_id in self._parsed(body):
            self.heard(parsed, event_id)
        if self.complete:
            self._gone.set()
            self.finished()

    def _illegal(self, what):
        self.fault(f"sends {what}")
        raise RuntimeError(what)

    def _parsed(self, body):
        """The messages in a piece of the answer, each with the id of its event; None for an event without data."""
        if body[:1] in b"{[":
            found = [(json.loads(body), None)] if body else []
        else:
            found = [(json.loads(data) if data else None, name) for name, data in events_of(body.decode())]
        for message, event_id in found:
            for one in message if isinstance(message, list) else [message]:
                yield one, event_id
