"""Input handlers: who answers what a server asks while it works on a call. One table for both eras.

Knows the shapes of questions and answers; does not know how they travel. A handler that raises refuses the question.
One that takes an argument more than the question is told where that comes from; which it is, is seen once, when given.
Source: specification 2026-07-28, basic/patterns/mrtr; client/elicitation, client/sampling, client/roots.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import Parameter, isawaitable, signature
from typing import Any

import msgspec
from msgspec import Raw, Struct, UnsetType
from msgspec.structs import replace

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


class Asked(Struct, frozen=True):
    """Where a question comes from.

    `server`: the server's name; its name in the list, where it is one of many. `key`: what the server calls the
    question. `method` and `name`: the request that cannot go on without an answer, such as `tools/call`, and the tool
    or prompt or the URI in it. In the handshake era questions have no key and belong to no request: there the last
    three are None.
    """

    server: str | None = None
    key: str | None = None
    method: str | None = None
    name: str | None = None


OnElicit = (
    Callable[[ElicitParams], Awaitable[ElicitResult] | ElicitResult]
    | Callable[[ElicitParams, Asked], Awaitable[ElicitResult] | ElicitResult]
)
OnSample = (
    Callable[[CreateMessageParams], Awaitable[CreateMessageResult] | CreateMessageResult]
    | Callable[[CreateMessageParams, Asked], Awaitable[CreateMessageResult] | CreateMessageResult]
)
OnRoots = (
    Callable[[], Awaitable[Sequence[Root]] | Sequence[Root]]
    | Callable[[Asked], Awaitable[Sequence[Root]] | Sequence[Root]]
    | Sequence[Root]
)

Handler = Callable[..., Any]
"""A handler that takes the question, where there is one, and Asked."""

_decode_elicit = msgspec.json.Decoder(ElicitParams).decode
_decode_sample = msgspec.json.Decoder(CreateMessageParams).decode


class Inputs:
    """The handlers of one client, and what they let it declare. `server` tells its name, once that is known."""

    def __init__(
        self,
        on_elicit: OnElicit | None,
        on_sample: OnSample | None,
        on_roots: OnRoots | None,
        server: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._server = server
        self._methods: dict[str, Callable[[Raw, Asked], Awaitable[Any]]] = {}
        if on_elicit is not None:
            self._methods[ELICIT] = _asking(_decode_elicit, told(on_elicit, 1))
        if on_sample is not None:
            self._methods[SAMPLE] = _asking(_decode_sample, told(on_sample, 1))
        if on_roots is not None:
            self._methods[ROOTS] = _listing(on_roots)

    def capabilities(self) -> ClientCapabilities:
        """What a client with these handlers can do."""
        return ClientCapabilities(
            elicitation={"form": {}, "url": {}} if self.knows(ELICIT) else None,
            sampling={"tools": {}} if self.knows(SAMPLE) else None,
            roots={} if self.knows(ROOTS) else None,
        )

    @property
    def any(self) -> bool:
        """Whether anybody answers anything."""
        return bool(self._methods)

    def knows(self, method: str) -> bool:
        """Whether somebody answers this."""
        return method in self._methods

    async def answer(self, method: str, params: Raw | UnsetType, asked: Asked | None = None) -> Any:
        """The answer to one question. Raises MethodNotFound, InvalidParams, and what the handler raises."""
        handler = self._methods.get(method)
        if handler is None:
            raise MethodNotFound(f"This client has no method {method}")
        try:
            given = Raw(b"{}") if isinstance(params, UnsetType) else params
            return await handler(given, asked or Asked(self._server()))
        except msgspec.MsgspecError as wrong:
            raise InvalidParams(f"Invalid params: {wrong}") from None

    async def answer_round(self, wanted: InputRequiredResult, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What to add to the parameters of a request that was asked back: answers by key, and the state as it is."""
        added: dict[str, Any] = {}
        if not isinstance(wanted.input_requests, UnsetType):
            requests: Mapping[str, Any] = wanted.input_requests
            server, name = self._server(), params.get("name", params.get("uri"))
            answers = await asyncio.gather(
                *(
                    self.answer(one.method, _raw(one.params), Asked(server, key, method, name))
                    for key, one in requests.items()
                )
            )
            added["inputResponses"] = dict(zip(requests, answers, strict=True))
        if not isinstance(wanted.request_state, UnsetType):
            added["requestState"] = wanted.request_state
        return added


def told(handler: Callable[..., Any], questions: int) -> Handler:
    """The handler as one that takes Asked after its `questions` arguments, whether it wants that or not.

    It is wanted where one more positional argument has no default.
    """
    try:
        taken = signature(handler).parameters.values()
    except (TypeError, ValueError):  # some of those written in C do not say
        taken = ()  # type: ignore[assignment]
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if sum(one.kind in places and one.default is Parameter.empty for one in taken) > questions:
        return handler
    return lambda *arguments: handler(*arguments[:questions])


def of_server(handler: Any, questions: int, server: str) -> Any:
    """The handler, told another name of the server; what is no function stays as it is."""
    if not callable(handler):
        return handler
    full = told(handler, questions)
    if questions:
        return lambda question, asked: full(question, replace(asked, server=server))
    return lambda asked: full(replace(asked, server=server))


def _asking(decode: Callable[[Raw], Any], handler: Handler) -> Callable[[Raw, Asked], Awaitable[Any]]:
    async def answer(params: Raw, asked: Asked) -> Any:
        return await _given(handler(decode(params), asked))

    return answer


def _listing(on_roots: OnRoots) -> Callable[[Raw, Asked], Awaitable[ListRootsResult]]:
    handler = told(on_roots, 0) if callable(on_roots) else lambda asked: on_roots

    async def answer(params: Raw, asked: Asked) -> ListRootsResult:
        return ListRootsResult(list(await _given(handler(asked)) or ()))

    return answer


def _raw(params: Any) -> Raw | UnsetType:
    return params if isinstance(params, UnsetType) else Raw(msgspec.json.encode(params))


async def _given(answer: Any) -> Any:
    return await answer if isawaitable(answer) else answer
