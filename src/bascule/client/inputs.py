"""Input handlers: who answers what a server asks while it works on a call. One table for both eras.

Knows the shapes of questions and answers; does not know how they travel. A handler that raises refuses the question.
Source: specification 2026-07-28, basic/patterns/mrtr; client/elicitation, client/sampling, client/roots.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, UnsetType

from bascule.errors import InvalidParams, MethodNotFound
from bascule.wire.inputs import (
    ELICIT,
    ROOTS,
    SAMPLE,
    CreateMessageParams,
    CreateMessageResult,
    ElicitParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsResult,
    Root,
)
from bascule.wire.requests import ClientCapabilities

T = TypeVar("T")

OnElicit = Callable[[ElicitParams], Awaitable[ElicitResult] | ElicitResult]
OnSample = Callable[[CreateMessageParams], Awaitable[CreateMessageResult] | CreateMessageResult]
OnRoots = Callable[[], Awaitable[Sequence[Root]] | Sequence[Root]] | Sequence[Root]

_decode_elicit = msgspec.json.Decoder(ElicitParams).decode
_decode_sample = msgspec.json.Decoder(CreateMessageParams).decode


class Inputs:
    """The handlers of one client, and what they let it declare."""

    def __init__(self, on_elicit: OnElicit | None, on_sample: OnSample | None, on_roots: OnRoots | None) -> None:
        self._on_elicit = on_elicit
        self._on_sample = on_sample
        self._on_roots = on_roots
        self._methods: dict[str, Callable[[Raw], Awaitable[Any]]] = {}
        if on_elicit is not None:
            self._methods[ELICIT] = self._elicit
        if on_sample is not None:
            self._methods[SAMPLE] = self._sample
        if on_roots is not None:
            self._methods[ROOTS] = self._roots

    def capabilities(self) -> ClientCapabilities:
        """What a client with these handlers can do."""
        return ClientCapabilities(
            elicitation=None if self._on_elicit is None else {"form": {}, "url": {}},
            sampling=None if self._on_sample is None else {"tools": {}},
            roots=None if self._on_roots is None else {},
        )

    @property
    def any(self) -> bool:
        """Whether anybody answers anything."""
        return bool(self._methods)

    def knows(self, method: str) -> bool:
        """Whether somebody answers this."""
        return method in self._methods

    async def answer(self, method: str, params: Raw | UnsetType) -> Any:
        """The answer to one question. Raises MethodNotFound, InvalidParams, and what the handler raises."""
        handler = self._methods.get(method)
        if handler is None:
            raise MethodNotFound(f"This client has no method {method}")
        try:
            return await handler(Raw(b"{}") if isinstance(params, UnsetType) else params)
        except msgspec.MsgspecError as wrong:
            raise InvalidParams(f"Invalid params: {wrong}") from None

    async def answer_round(self, asked: InputRequiredResult) -> dict[str, Any]:
        """What to add to the parameters of a request that was asked back: answers by key, and the state as it is."""
        added: dict[str, Any] = {}
        if not isinstance(asked.input_requests, UnsetType):
            requests: Mapping[str, Any] = asked.input_requests
            answers = await asyncio.gather(*(self.answer(one.method, _raw(one.params)) for one in requests.values()))
            added["inputResponses"] = dict(zip(requests, answers, strict=True))
        if not isinstance(asked.request_state, UnsetType):
            added["requestState"] = asked.request_state
        return added

    async def _elicit(self, params: Raw) -> Any:
        return await _called(self._on_elicit, _decode_elicit(params))

    async def _sample(self, params: Raw) -> Any:
        return await _called(self._on_sample, _decode_sample(params))

    async def _roots(self, params: Raw) -> ListRootsResult:
        given = self._on_roots
        return ListRootsResult(list(await _called(given) if callable(given) else given or ()))


def _raw(params: Any) -> Raw | UnsetType:
    return params if isinstance(params, UnsetType) else Raw(msgspec.json.encode(params))


async def _called(handler: Any, *arguments: Any) -> Any:
    given = handler(*arguments)
    return await given if isawaitable(given) else given
