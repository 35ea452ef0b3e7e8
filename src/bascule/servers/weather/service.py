"""Asking a weather service: a GET that may be repeated, with an end to its time, its size and its tries.

Raises ToolErrors that say whether the service or the question is at fault.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, TypeVar

import httpx2
import msgspec

from bascule import ToolError, UpstreamFailed, UpstreamTimeout

T = TypeVar("T")

MAX_BYTES = 512 * 1024
TRIES = 3
PAUSE = 0.3
"""Seconds before the second try; twice that before the third."""


class UnknownCity(ToolError):
    """The service knows no such city."""

    code: ClassVar[str] = "not_found"
    advice = "Spell the city as its own country does, or in English."
    retry = "once mended"


class Service:
    """A weather service behind HTTP. `sleep` passes the time between tries."""

    def __init__(self, client: httpx2.AsyncClient, name: str, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    async def get(self, url: str, parameters: Mapping[str, str], shape: type[T]) -> T:
        """What the service answers, decoded. Tries again what failed on its side.

        Raises UpstreamFailed, UpstreamTimeout, UnknownCity.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._decoded(await self._body(url, parameters), shape)
            except (UpstreamFailed, UpstreamTimeout):
                if attempt == TRIES:
                    raise
            await self._sleep(PAUSE * attempt)
        raise UpstreamFailed(f"{self._name} cannot be reached")

    async def _body(self, url: str, parameters: Mapping[str, str]) -> bytes:
        try:
            async with self._client.stream("GET", url, params=dict(parameters)) as response:
                if response.status_code == 404:
                    raise UnknownCity(f"{self._name} knows no such city; try its English name, or a larger one nearby")
                if response.status_code != 200:
                    raise UpstreamFailed(
                        f"{self._name} is out of order (HTTP status {response.status_code}); try again later"
                    )
                body = b""
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise UpstreamFailed(f"{self._name} answers with more than a forecast")
                return body
        except httpx2.TimeoutException:
            raise UpstreamTimeout(f"{self._name} did not answer in time; try again later") from None
        except httpx2.HTTPError:
            raise UpstreamFailed(f"{self._name} cannot be reached; try again later") from None

    def _decoded(self, body: bytes, shape: type[T]) -> T:
        try:
            return msgspec.convert(msgspec.json.decode(body), shape, strict=False)
        except (msgspec.DecodeError, RecursionError):
            raise UpstreamFailed(f"{self._name} answers with what is no forecast; try again later") from None
