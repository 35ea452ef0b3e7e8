"""Requests straight to one origin, over connections that are kept: the short way, where no proxy stands between.

Knows which connections are open; a Wire speaks over each. A request is repeated only where the server cannot have got
all of it. Cookies are httpx2's, and cost nothing where there are none.
Source: RFC 9112, 9.3; RFC 9110, 9.2.2; RFC 8305.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import httpx2

from bascule.transports.http_answer import Answer
from bascule.transports.http_heads import Heads
from bascule.transports.http_sender import KEEPALIVE_EXPIRY, MAX_CONNECTIONS, Asked, Peer
from bascule.transports.http_wire import Wire

_NEXT_ADDRESS = 0.25
"""Seconds before another address of a host is tried beside the first one."""


class Direct:
    """A Sender. Of patient requests at most MAX_CONNECTIONS are under way; the others, which may be the answers that
    those wait for, never wait for their turn."""

    def __init__(self, peer: Peer, url: httpx2.URL, headers: Mapping[str, str]) -> None:
        self._peer = peer
        self._heads = Heads(headers)
        self._cookies: httpx2.Cookies | None = None
        self._host = url.raw_host.decode("ascii")
        self._tls = _tls() if url.scheme == "https" else None
        self._port = url.port or (80 if self._tls is None else 443)
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._wires: set[Wire] = set()
        self._idle: list[Wire] = []
        self._closed = False
        self._emptied = asyncio.Event()

    async def send(self, asked: Asked) -> Answer:
        """As Sender promises."""
        headers = asked.headers if self._cookies is None else self._with_cookies(asked, self._cookies)
        body = asked.body
        head = self._heads.head(asked.method, asked.url, headers, None if body is None else len(body))
        if asked.patient:
            await self._turns.acquire()
            answer = Answer(self._peer, None, self._turns.release)
        else:
            answer = Answer(self._peer, self._peer.read_timeout, None)
        try:
            await self._ask(head if body is None else head + body, answer)
            await answer.begun()
        except BaseException:
            await answer.close()
            raise
        if answer.cookies:
            self._keep_cookies(asked, answer)
        return answer

    async def close(self) -> None:
        """Close all connections; answers that are still read fail with ConnectionLost."""
        self._closed = True
        for wire in tuple(self._wires):
            wire.break_off(self._peer.lost("the client was closed"))
        if self._wires:
            await self._emptied.wait()

    async def _ask(self, request: bytes, answer: Answer) -> None:
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).drop()
        while self._idle:
            wire = self._idle.pop()
            if not wire.usable():
                wire.drop()
            elif wire.ask(request, answer):
                return
        wire = await self._connected()
        if not wire.ask(request, answer):
            raise self._peer.lost("the server closed it at once")

    async def _connected(self) -> Wire:
        """A new connection. Raises ConnectionLost or CallTimedOut."""
        self._check_open()
        loop = asyncio.get_running_loop()
        # Other loops try the addresses one after the other.
        options: Any = {"happy_eyeballs_delay": _NEXT_ADDRESS} if isinstance(loop, asyncio.BaseEventLoop) else {}
        try:
            async with asyncio.timeout(self._peer.connect_timeout):
                _, wire = await loop.create_connection(
                    lambda: Wire(self._peer, self), self._host, self._port, ssl=self._tls, **options
                )
        except TimeoutError:
            raise self._peer.slow() from None
        except (OSError, UnicodeError) as wrong:
            raise self._peer.unreachable(str(wrong)) from wrong
        if self._closed:
            wire.drop()
        self._check_open()
        return wire

    def _check_open(self) -> None:
        if self._closed:
            raise self._peer.lost("the client was closed")

    def opened(self, wire: Wire) -> None:
        """As Owner promises; the rest too."""
        self._wires.add(wire)

    def freed(self, wire: Wire) -> None:
        """Keep it for the next request."""
        wire.idle_since = asyncio.get_running_loop().time()
        self._idle.append(wire)

    def gone(self, wire: Wire) -> None:
        """Forget it."""
        self._wires.discard(wire)
        if wire in self._idle:
            self._idle.remove(wire)
        if self._closed and not self._wires:
            self._emptied.set()

    def _with_cookies(self, asked: Asked, cookies: httpx2.Cookies) -> Mapping[str, str]:
        if self._heads.has("cookie"):
            return asked.headers
        request = httpx2.Request(asked.method, asked.url)
        cookies.set_cookie_header(request)
        cookie = request.headers.get("cookie")
        return asked.headers if cookie is None else {**asked.headers, "Cookie": cookie}

    def _keep_cookies(self, asked: Asked, answer: Answer) -> None:
        if self._cookies is None:
            self._cookies = httpx2.Cookies()
        request = httpx2.Request(asked.method, asked.url)
        headers = [("set-cookie", cookie) for cookie in answer.cookies]
        self._cookies.extract_cookies(httpx2.Response(answer.status, headers=headers, request=request))


_contexts: "WeakValueDictionary[tuple[str | None, ...], ssl.SSLContext]" = WeakValueDictionary()
"""What open clients trust, by what the environment says of that: a context takes a while to make, and half a MiB."""


def _tls() -> ssl.SSLContext:
    key = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    context = _contexts.get(key)
    if context is None:
        context = _contexts[key] = httpx2.create_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
    return context
