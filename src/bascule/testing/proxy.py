"""Faults over HTTP: a small proxy on loopback, between a client and a server that is real.

It speaks HTTP/1.1 in the plain: one request a connection, both ways, so that no fault reaches a request that it is not
meant for. Streams pass event by event. It runs in a thread and event loop of its own.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from bascule.errors import ConfigError
from bascule.testing.clock import ManualClock
from bascule.testing.faults import Faults, Plan, Seen, envelope
from bascule.testing.http_messages import LIMIT, Head, body_of, read_head, without_framing

_STOPPING = 10.0


class FaultyHttp:
    """A running proxy: the URL for the client, and the requests that came."""

    def __init__(self, url: str, plan: Plan) -> None:
        self.url = url
        self._plan = plan

    @property
    def requests(self) -> list[Seen]:
        """Every HTTP request so far, in order; notifications, GET and DELETE among them."""
        return list(self._plan.requests)


@contextmanager
def faulty_http(url: str, *faults: Faults, clock: ManualClock | None = None) -> Iterator[FaultyHttp]:
    """Put faults before the server at `url` until the block ends; the first rule that applies to a request counts.

    A request without a fault passes unchanged, but for its Host and Connection. Raises ConfigError for a URL that is
    not http; what a rule's `when` has raised is raised at the end.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ConfigError(f"faulty_http stands before an http:// URL, not before {url!r}")
    plan = Plan(faults)
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = _Proxy(parts.hostname, parts.port or 80, plan, clock)
    thread = threading.Thread(target=proxy.run, args=(listener,), name="bascule-faulty-http", daemon=True)
    thread.start()
    stop = proxy.started.result(_STOPPING)
    try:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        yield FaultyHttp(parts._replace(netloc=address).geturl(), plan)
    finally:
        stop()
        thread.join(_STOPPING)
    if proxy.error is not None:
        raise proxy.error
    if thread.is_alive():
        raise RuntimeError("The proxy did not stop")


_CLOSING = 1.0
"""Seconds for a client to take what was written to it, once its connection is to be closed."""


class _Stop:
    """Ends the proxy, from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.asked = asyncio.Event()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self.asked.set)


class _Proxy:
    """Passes requests on to one server, and answers back, with the faults of a plan."""

    def __init__(self, host: str, port: int, plan: Plan, clock: ManualClock | None) -> None:
        self._host = host
        self._port = port
        self._plan = plan
        self._clock = clock
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.error: Exception | None = None
        self.started: Future[_Stop] = Future()

    def run(self, listener: socket.socket) -> None:
        """Serve on this socket until stopped."""
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._connected, sock=listener, limit=LIMIT)
        stop = _Stop()
        self.started.set_result(stop)
        await stop.asked.wait()
        server.close()
        tasks = dict(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for writer in tasks.values():
            writer.transport.abort()  # one whose task was cancelled before its first step is open still
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next turn

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection, unless the client leaves before."""
        answering: asyncio.Task[None] | None = None
        leaving: asyncio.Task[bytes] | None = None
        try:
            head = await read_head(reader)
            if head is None:
                return
            body = b"".join([part async for part in body_of(reader, head, request=True)])
            answering = asyncio.get_running_loop().create_task(self._answer(head, body, writer))
            leaving = asyncio.get_running_loop().create_task(reader.read(1))
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, EOFError, ValueError):
            pass  # what cannot be read has no answer
        finally:
            if leaving is not None:
                leaving.cancel()
            if answering is not None:
                answering.cancel()
                await asyncio.wait({answering})
                if not answering.cancelled():
                    answering.exception()  # a broken connection is told to the client by closing its own
            await _close(writer)

    async def _answer(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._fault(head, body)
        if fault.status is not None:
            await self._hold(fault)
            writer.write(_refusal(fault.status, fault.retry_after))
            await writer.drain()
            return
        if fault.duplicate:
            async with aclosing(self._exchange(head, body)) as first:
                async for _ in first:
                    pass
        async with aclosing(self._exchange(head, body)) as answer:
            await self._pass_on(answer, fault, writer)

    def _fault(self, head: Head, body: bytes) -> Faults:
        try:
            return self._plan.take(envelope(body).method, body, head.method, dict(head.headers))
        except Exception as error:
            self.error = error  # a rule of the test has failed: the test is told
            raise

    async def _pass_on(
        self, answer: AsyncGenerator[Head | bytes, None], fault: Faults, writer: asyncio.StreamWriter
    ) -> None:
        head = await anext(answer)
        assert isinstance(head, Head)
        if fault.close_before_answer or fault.garbage is not None:
            async for _ in answer:
                pass  # the server does its work
        await self._hold(fault)
        if fault.close_before_answer:
            return
        bodiless = head.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        framing = [] if bodiless else [("transfer-encoding", "chunked")]
        writer.write(head.encoded([*without_framing(head.headers), *framing, ("connection", "close")]))
        if bodiless:
            return
        limit = fault.truncate if fault.drop_after is None else fault.drop_after
        whole = await _write_chunks(writer, _body(answer, fault.garbage), limit)
        if whole or fault.drop_after is None:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _exchange(self, head: Head, body: bytes) -> AsyncGenerator[Head | bytes, None]:
        """Ask the server: first the head of its answer, then the body as it comes."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=LIMIT)
        try:
            kept = [(name, value) for name, value in without_framing(head.headers) if name != "host"]
            own = [("host", f"{self._host}:{self._port}"), ("connection", "close"), ("content-length", str(len(body)))]
            writer.write(head.encoded([*own, *kept]) + body)
            answer = await read_head(reader)
            if answer is None:
                raise EOFError
            yield answer
            async for part in body_of(reader, answer):
                yield part
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _hold(self, fault: Faults) -> None:
        if fault.delay:
            await (asyncio.sleep(fault.delay) if self._clock is None else self._clock.sleep(fault.delay))


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait for that; one whose client does not read is cut off after a while."""
    writer.close()
    try:
        async with asyncio.timeout(_CLOSING):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        pass  # it was broken already


async def _body(answer: AsyncGenerator[Head | bytes, None], garbage: bytes | None) -> AsyncIterator[bytes]:
    if garbage is not None:
        yield garbage
        return
    async for part in answer:
        assert isinstance(part, bytes)
        yield part


async def _write_chunks(writer: asyncio.StreamWriter, parts: AsyncIterator[bytes], limit: int | None) -> bool:
    """Write a body in chunks, up to a limit of bytes; False where the limit was reached."""
    left = limit
    if left == 0:
        return False
    async for part in parts:
        kept = part if left is None else part[:left]
        if kept:
            writer.write(b"%x\r\n%b\r\n" % (len(kept), kept))
            await writer.drain()
        if left is not None:
            left -= len(kept)
            if not left:
                return False
    return True


def _refusal(status: int, retry_after: float | str | None) -> bytes:
    phrase = next((known.phrase for known in HTTPStatus if known == status), "")
    retry = "" if retry_after is None else f"Retry-After: {_seconds(retry_after)}\r\n"
    return f"HTTP/1.1 {status} {phrase}\r\n{retry}Content-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1")


def _seconds(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
