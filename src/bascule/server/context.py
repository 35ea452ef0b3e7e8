"""Context: what a handler may know of its request, and how it speaks to the client while it works.

Handed to the parameter annotated `Context`. Knows the Exchange and the server that owns the handler.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.asking import DEFAULT_KEY, Dialogue
from bascule.engine.exchange import Exchange, Peer, Principal, TaskHandle
from bascule.errors import DeclarationError, NotAnswered
from bascule.server.questions import FAULTS, Answer, Elicit, Roots, Sample, prepare_all
from bascule.server.values import encode
from bascule.wire.content import Meta, ResourceContents
from bascule.wire.inputs import CreateMessageResult, ModelPreferences, Root, SamplingMessage, ToolChoice
from bascule.wire.jsonrpc import Request, RequestId
from bascule.wire.meta import fault_in, trace_in
from bascule.wire.notices import MESSAGE, PROGRESS, LogMessageParams, ProgressParams
from bascule.wire.requests import LogLevel
from bascule.wire.tools import Tool

_SEVERITY: Final = {
    level: rank
    for rank, level in enumerate(("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"))
}

_TRIES = 3
"""How often a question is asked over the back channel until its answer fits."""

ReadResource = Callable[[str, Exchange], Awaitable[list[ResourceContents]]]


class Context:
    """One request, as its handler sees it."""

    __slots__ = ("_exchange", "_read", "lifespan")

    def __init__(self, exchange: Exchange, lifespan: Any, read: ReadResource) -> None:
        self._exchange = exchange
        self._read = read
        self.lifespan = lifespan
        """What the server's lifespan yielded (a connection pool, say), or None."""

    @property
    def request_id(self) -> RequestId:
        """The JSON-RPC id of the request."""
        return self._exchange.request_id

    @property
    def client(self) -> Peer:
        """The calling program: protocol version, self-reported name and version, capabilities."""
        return self._exchange.peer

    @property
    def protocol_version(self) -> str:
        """The protocol revision that this request speaks."""
        return self._exchange.peer.protocol_version

    @property
    def principal(self) -> Principal:
        """Who is calling, as far as the transport knows."""
        return self._exchange.principal

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP request's headers, names in lower case; empty on stdio."""
        return self._exchange.headers or {}

    @property
    def task(self) -> TaskHandle | None:
        """The task that this call has become, to report its status; None for a call that is none."""
        return self._exchange.task

    @property
    def _dialogue(self) -> Dialogue:
        exchange = self._exchange
        if exchange.dialogue is None:
            exchange.dialogue = Dialogue()
        return exchange.dialogue

    async def _ask(self, question: Elicit | Sample | Roots, key: str | None) -> Any:
        name = self._dialogue.next_key() if key is None else _own_key(key)
        return (await self._ask_all({name: question}))[name]

    @property
    def trace(self) -> dict[str, str]:
        """The trace context of the request, to be passed on: `traceparent`, `tracestate`, `baggage`, where valid.

        They travel in `_meta` (for calls of other MCP servers) and as HTTP headers of the same names.
        Source: specification 2026-07-28, basic/index, "OpenTelemetry trace context".
        """
        return trace_in(self._exchange.params.meta)

    @property
    def meta(self) -> dict[str, Any]:
        """The request's whole `_meta`, own keys of the client included; decoded when asked for."""
        raw = self._exchange.raw_params
        meta = msgspec.json.decode(raw, type=dict[str, Raw]).get("_meta") if raw is not None else None
        found = None if meta is None else msgspec.json.decode(meta)
        return found if isinstance(found, dict) else {}

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None, *, meta: Meta | None = None
    ) -> None:
        """Tell the client how far the work has come. Without effect where it did not ask, or where `progress` fell.

        `meta` goes along as `_meta`. Raises DeclarationError for a name in it that the protocol keeps or forbids.
        Source: specification 2026-07-28, basic/patterns/progress.
        """
        noted = UNSET if meta is None else _checked(meta)
        exchange = self._exchange
        token, last = exchange.progress_token, exchange.last_progress
        if (
            token is None
            or exchange.cancelled
            or not math.isfinite(progress)
            or (last is not None and progress <= last)
        ):
            return
        exchange.last_progress = progress
        await exchange.channel.notify(Request(PROGRESS, ProgressParams(token, progress, total, message, noted)))

    async def release_stream(self, retry: float = 1.0) -> None:
        """Let the client go, and come back for the answer after `retry` seconds, while this handler works on.

        Spares a connection that would be open for long. Without effect where the client could not come back: off HTTP,
        in the stateless era, and where it takes no event stream. Source: SEP-1699.
        """
        await self._exchange.channel.release(retry)

    async def log(self, level: LogLevel, data: Any, logger: str | None = None, *, meta: Meta | None = None) -> None:
        """Send the client a log message (any JSON value). Without effect below the level that it asked for.

        `meta` goes along as `_meta`. Raises DeclarationError for a name in it that the protocol keeps or forbids.
        """
        noted = UNSET if meta is None else _checked(meta)
        exchange = self._exchange
        wanted = exchange.log_level
        if wanted is None or exchange.cancelled or _SEVERITY[level] < _SEVERITY[wanted]:
            return
        await exchange.channel.notify(Request(MESSAGE, LogMessageParams(level, data, logger, noted)))

    async def debug(self, data: Any, logger: str | None = None, *, meta: Meta | None = None) -> None:
        """Log at level debug."""
        await self.log("debug", data, logger, meta=meta)

    async def info(self, data: Any, logger: str | None = None, *, meta: Meta | None = None) -> None:
        """Log at level info."""
        await self.log("info", data, logger, meta=meta)

    async def warning(self, data: Any, logger: str | None = None, *, meta: Meta | None = None) -> None:
        """Log at level warning."""
        await self.log("warning", data, logger, meta=meta)

    async def error(self, data: Any, logger: str | None = None, *, meta: Meta | None = None) -> None:
        """Log at level error."""
        await self.log("error", data, logger, meta=meta)

    async def elicit(
        self, message: str, schema: Any = None, *, url: str | None = None, key: str | None = None
    ) -> Answer[Any]:
        """Ask the user to fill in a form, or to visit a URL; returns what the user did.

        `schema` is a type (struct, dataclass, TypedDict, pydantic model, or a single text, number, boolean or choice)
        or a JSON Schema; an answer that does not fit is asked for again. In the stateless era the handler runs again
        from its start with the answer: ask first and act after, or keep values with `once`. `key` names the question;
        questions without one are told apart by their order.
        Raises MissingCapability, NotAnswered, DeclarationError.
        """
        answer: Answer[Any] = await self._ask(Elicit(message, schema, url), key)
        return answer

    async def sample(
        self,
        messages: str | Sequence[SamplingMessage],
        *,
        max_tokens: int = 1000,
        system_prompt: str | None = None,
        temperature: float | None = None,
        stop_sequences: list[str] | None = None,
        model_preferences: ModelPreferences | None = None,
        tools: list[Tool] | None = None,
        tool_choice: ToolChoice | None = None,
        key: str | None = None,
    ) -> CreateMessageResult:
        """Ask the client's model. Raises MissingCapability and NotAnswered; `key` as in `elicit`."""
        asked = Sample(
            messages,
            max_tokens=max_tokens,
            system_prompt=system_prompt,
            temperature=temperature,
            stop_sequences=stop_sequences,
            model_preferences=model_preferences,
            tools=tools,
            tool_choice=tool_choice,
        )
        answer: CreateMessageResult = await self._ask(asked, key)
        return answer

    async def roots(self, *, key: str | None = None) -> list[Root]:
        """Ask where the client lets this server work. Raises MissingCapability and NotAnswered."""
        answer: list[Root] = await self._ask(Roots(), key)
        return answer

    async def ask_all(self, questions: Mapping[str, Elicit | Sample | Roots]) -> dict[str, Any]:
        """Ask several questions in one round; the answers by key, each as its own method would return it."""
        return await self._ask_all({_own_key(key): question for key, question in questions.items()})

    async def _ask_all(self, questions: Mapping[str, Elicit | Sample | Roots]) -> dict[str, Any]:
        prepared = prepare_all(questions)
        exchange = self._exchange
        for _ in range(_TRIES):
            given = await exchange.inquire(exchange, {key: one.question for key, one in prepared.items()})
            answers: dict[str, Any] = {}
            for key, one in prepared.items():
                try:
                    answers[key] = one.read(given[key])
                except FAULTS:
                    self._dialogue.answers.pop(key, None)
            if len(answers) == len(prepared):
                return answers
        raise NotAnswered("The client's answer does not fit the question that it was asked")

    async def once(self, key: str, make: Callable[[], Any], *, type: Any = Any) -> Any:
        """What `make` returns, made once for the whole request, however often its handler runs for answers.

        `make` may be async. The value travels with the client, sealed, so it must be small and have a JSON form; it is
        read back as `type`.
        """
        kept = self._dialogue.kept
        if key not in kept:
            made = make()
            kept[key] = encode(await made if isawaitable(made) else made)
        return msgspec.json.decode(kept[key], type=type)

    async def read_resource(self, uri: str) -> list[ResourceContents]:
        """The contents of one of this server's own resources. Raises ResourceNotFound."""
        return await self._read(uri, self._exchange)


def _checked(meta: Meta) -> Meta:
    fault = fault_in(meta)
    if fault is not None:
        raise DeclarationError(f"This notification cannot be sent: {fault}")
    return meta


def _own_key(key: str) -> str:
    """The key that an author gave a question. Raises DeclarationError for one that questions without a key have."""
    if DEFAULT_KEY.fullmatch(key):
        raise DeclarationError(f"The key {key!r} belongs to questions without one; choose another")
    return key
