"""One HTTP connection: uvicorn's protocol with limits on heads and slow clients, and a short way for whole answers.

The parser, the order of pipelined requests and flow control stay uvicorn's. A request that arrives whole costs no
timer: times are noted here, and the server's sweep compares them. An application that has all of its answer may hand it
over at once through the scope's extension ANSWER, which writes head and body together; the standard `send` works too.
"""

import asyncio
import re
import sys
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from bascule.transports.corked import CorkedTransport
from bascule.transports.http_headers import RawHeaders
from bascule.transports.http_reply import ANSWER

_BREAK = re.compile(rb"[\r\n\0]")
_UPGRADE = re.compile(rb"\r\n[Uu]pgrade:")


class Cycle(RequestResponseCycle):
    """One request and its answer. `running` are the tasks of all connections; `task` is its own among them."""

    running: "set[asyncio.Task[None]]"
    task: "asyncio.Task[None]"

    async def run_asgi(self, app: Any) -> None:
        """As uvicorn's; at the end its task is known no more, without a callback that costs a turn of the loop."""
        try:
            await super().run_asgi(app)
        finally:
            self.running.discard(self.task)

    async def receive(self) -> Any:
        """As uvicorn's; a body that is there already is handed over without waiting."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return await super().receive()
        self.more_body = True  # what comes next is the end of the connection, or nothing
        self.message_event.clear()
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    def answer(self, status: int, headers: RawHeaders, body: bytes) -> bool:
        """Write a whole answer; False where that must wait, or was begun already, so that `send` has to do it.

        Raises ValueError for a header that would break out of its line.
        """
        if self.flow.write_paused or self.disconnected or self.response_started or self.scope["method"] == "HEAD":
            return False
        head = _head(status, (*self.default_headers, *headers), self.keep_alive)
        self.response_started = self.response_complete = True
        self.scope.pop("extensions", None)  # it names this method: without it, the garbage collector has nothing to do
        transport = cast(CorkedTransport, self.transport)
        transport.answer(b"%bcontent-length: %d\r\n\r\n" % (head, len(body)), body)
        self.message_event.set()
        if not self.keep_alive:
            transport.close()
        self.on_response()
        return True


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `slow_since`, `stalled_since` and `idle_since` are loop times, 0 where they do not apply."""

    max_header_bytes = 64 * 1024

    def connection_made(self, transport: Any) -> None:
        transport.set_write_buffer_limits(high=0)  # uvloop then writes at once, and not after another look for events
        self._corked = CorkedTransport(transport, self.loop, self.tasks)
        super().connection_made(cast("asyncio.Transport", self._corked))
        self._receiving = self._in_head = True
        self._deaf = False
        self._idle_bytes = 0
        """Bytes that came since the last head or piece of a body was complete: of heads, trailers, chunk extensions."""
        self.slow_since = self.loop.time()
        self.stalled_since = 0.0
        self.idle_since = 0.0

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self.idle_since = 0.0
        if self._in_head and b"pgrade:" in data:
            data = _without_upgrade(data)
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > self.max_header_bytes and self._receiving:
            self.refuse(b"431 Request Header Fields Too Large")
        elif not self._receiving:
            self.slow_since = 0.0
        elif not self.slow_since:
            self.slow_since = self.loop.time()

    def eof_received(self) -> None:
        """The client sends no more: what was answered so far leaves before the connection is closed."""
        self._corked.flush()

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._receiving = self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but a trailer is no header: it is dropped (RFC 9110, 6.5.1)."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._idle_bytes > self.max_header_bytes:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self.max_header_bytes:
                return  # still in the head: `data_received` refuses
        self._in_head = False
        self._idle_bytes = 0
        self._begin()

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if self._in_head or cycle.response_complete:
            return
        self._idle_bytes = 0
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._in_head:
            return
        self._receiving = False
        self._in_head = True
        self._idle_bytes = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """As uvicorn's, but an idle connection is ended by the sweep and not by a timer of its own."""
        self._corked.complete()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.loop.time()

    def pause_writing(self) -> None:
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since = 0.0
        super().resume_writing()

    def sweep(self, now: float, patience: float) -> None:
        """End this connection where its client is too slow, or has been idle for too long. Times in seconds."""
        if 0 < self.stalled_since < now - patience:
            self.transport.abort()
        elif 0 < self.slow_since < now - patience:
            self.refuse(b"408 Request Timeout")
        elif 0 < self.idle_since < now - self.timeout_keep_alive:
            self.transport.close()

    def refuse(self, status: bytes) -> None:
        """Answer with a bare status and close; just close where an answer is being written."""
        self._deaf = True
        cycle = cast("Cycle | None", self.cycle)
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def _begin(self) -> None:
        """Start what answers the request whose head is complete, or queue it behind an earlier one."""
        parser = self.parser
        version = parser.get_http_version()
        path, raw_path, query = _target(self.url)
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "server": self.server,
            "client": self.client,
        }
        self.scope = scope
        earlier = cast("Cycle | None", self.cycle)
        cycle = self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope["extensions"] = {ANSWER: cycle.answer}
        application: Any = service_unavailable if self._overloaded() else self.app
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(cycle, application)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, application))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """As uvicorn's, without a callback for the task's end."""
        cycle.running = self.tasks
        cycle.task = task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)

    def _overloaded(self) -> bool:
        limit = self.limit_concurrency or sys.maxsize
        return len(self.connections) >= limit or len(self.tasks) >= limit

    def _unsupported_upgrade_warning(self) -> None:
        """The parser takes the body for another protocol: nothing more of this connection is read."""
        self._deaf = True
        cycle = cast("Cycle | None", self.cycle)
        if cycle is not None:
            cycle.keep_alive = False


@lru_cache(maxsize=64)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...], keep_alive: bool) -> bytes:
    """The head of an answer but for its length. Raises ValueError for a header that would break out of its line."""
    if any(_BREAK.search(value) for _, value in headers):
        raise ValueError("An HTTP header must not hold a line break")
    close = b"" if keep_alive else b"connection: close\r\n"
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), close])


@lru_cache(maxsize=64)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """The path of a request's target, as text and as it came, and its query. Raises HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


def _without_upgrade(data: bytes) -> bytes:
    """A head without its offer to change the protocol, which a server may ignore (RFC 9110, 7.8).

    Left to the parser, it would end the request before its body.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade-ignored:", head) + separator + rest
