"""The network as the fetch server sees it: resolving a name, dialing an address, TLS, a clock.

The one place to put another network in, for tests; no setting and no argument of a command reaches it. What stands here
decides nothing: addresses come from the resolver unchecked, and are dialed only after `transport` has checked them.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import httpcore2
import httpx2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream


async def resolve(host: str, port: int) -> list[str]:
    """All addresses that the system's resolver has for a name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


async def dial(address: str, port: int, seconds: float) -> AsyncNetworkStream:
    """A connection to an address, which is not a name: nothing is resolved. Raises httpcore2's errors."""
    return await AnyIOBackend().connect_tcp(address, port, timeout=seconds)


class Network(NamedTuple):
    """What the server does to the world outside; the defaults are the real one."""

    resolve: Callable[[str, int], Awaitable[list[str]]] = resolve
    dial: Callable[[str, int, float], Awaitable[AsyncNetworkStream]] = dial
    tls: Callable[[], ssl.SSLContext] = httpx2.create_ssl_context
    clock: Callable[[], float] = time.monotonic


class Pinned(AsyncNetworkBackend):
    """The backend of one connection: whatever name is asked for, it dials the addresses that were checked."""

    def __init__(self, network: Network, addresses: list[str], timeout: float) -> None:
        self._network = network
        self._addresses = addresses
        self._timeout = timeout

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[object] | None = None,
    ) -> AsyncNetworkStream:
        for address in self._addresses[:-1]:
            try:
                return await self._network.dial(address, port, self._timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.dial(self._addresses[-1], port, self._timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[object] | None = None,
    ) -> AsyncNetworkStream:
        raise httpcore2.ConnectError("no socket of this machine is dialed")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
