"""The handshake era (2025-11-25 and earlier), server side: `initialize` opens a conversation, the rest leans on it.

What a stateless client repeats in every request is read from the Conversation that the transport kept or unsealed.
Source: specification 2025-11-25, basic/lifecycle, server/utilities/logging; 2025-06-18, 2025-03-26, 2024-11-05.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.application import Application
from bascule.engine.asking import Asking, Dialogue, Question
from bascule.engine.era import Inbound, Method
from bascule.engine.exchange import Channel, Conversation, Exchange, Peer, check_capabilities
from bascule.engine.hub import check_room
from bascule.eras.blocks import said_in
from bascule.eras.methods import SHARED, decoder
from bascule.eras.versions import LEGACY, NEWEST_LEGACY
from bascule.errors import (
    InternalError,
    InvalidParams,
    InvalidRequest,
    MCPError,
    MethodNotFound,
    NotAnswered,
    ResourceNotFound,
)
from bascule.wire.jsonrpc import ErrorObject, Frame
from bascule.wire.lifecycle import InitializeParams, InitializeResult, SetLevelParams
from bascule.wire.meta import trace_in
from bascule.wire.notices import SubscribeParams
from bascule.wire.requests import ClientCapabilities, RequestParams
from bascule.wire.results import CacheableResult, EmptyResult, Result

INITIALIZE = "initialize"
_RESOURCE_NOT_FOUND = -32002
_STRANGER = Peer("", None, ClientCapabilities())


class Handshake:
    """Serves the handshake era for one application."""

    def __init__(self) -> None:
        self.methods: Mapping[str, Method] = {
            **SHARED,
            INITIALIZE: Method(decoder(InitializeParams), _initialize),
            "ping": Method(decoder(RequestParams), _ping),
            "logging/setLevel": Method(decoder(SetLevelParams), _set_level),
            "resources/subscribe": Method(decoder(SubscribeParams), _subscribe),
            "resources/unsubscribe": Method(decoder(SubscribeParams), _unsubscribe),
        }

    def open(self, frame: Frame, inbound: Inbound) -> Exchange:
        """The exchange of one request, with the facts of its conversation."""
        name = frame.method
        method = self.methods.get(name) if isinstance(name, str) else None
        if method is None or not isinstance(name, str) or frame.id is UNSET or frame.id is None:
            raise MethodNotFound(f"Method not found: {str(name)[:200]}")
        params = method.decode(frame.params)
        conversation = inbound.conversation
        if isinstance(params, InitializeParams):
            peer = _greeted(params)
        elif conversation is not None:
            peer = conversation.peer
        elif name == "ping":
            peer = _STRANGER
        else:
            raise InvalidRequest("Invalid request: send initialize first")
        token = UNSET if params.meta is UNSET else params.meta.progress_token
        return Exchange(
            method=name,
            request_id=frame.id,
            params=params,
            raw_params=frame.params if isinstance(frame.params, Raw) else None,
            peer=peer,
            principal=inbound.principal,
            channel=inbound.channel,
            inquire=self.inquire,
            headers=inbound.headers,
            address=inbound.address,
            state=inbound.state,
            progress_token=None if token is UNSET else token,
            log_level=None if conversation is None else conversation.log_level,
            conversation=conversation,
        )

    async def inquire(self, exchange: Exchange, questions: Mapping[str, Question]) -> Mapping[str, Raw]:
        """The client's answers, asked for over the back channel side by side, each question once."""
        dialogue = exchange.dialogue
        if dialogue is None:
            dialogue = exchange.dialogue = Dialogue()
        asked = dialogue.open_questions(questions)
        if asked:
            check_capabilities(exchange, asked)
            channel = exchange.channel
            trace = trace_in(exchange.params.meta)
            answers = await asyncio.gather(*(_answer(channel, question, trace) for question in asked.values()))
            dialogue.answers |= zip(asked, answers, strict=True)
        return {key: dialogue.answers[key] for key in questions}

    def pose(self, exchange: Exchange, asking: Asking) -> Result:
        """Rounds do not exist in this era."""
        raise InternalError("A question could not be asked") from asking

    def stamp(self, exchange: Exchange, result: Result) -> Result:
        """The result, its content said in the blocks that the client's revision knows, and without caching hints."""
        if isinstance(result, CacheableResult):
            result.ttl_ms = result.cache_scope = UNSET
        said_in(exchange.peer.protocol_version, result)
        return result

    def refuse(self, error: MCPError) -> tuple[ErrorObject, int]:
        """The error object with this era's code; errors travel with HTTP 200, save those of the transport itself."""
        code = _RESOURCE_NOT_FOUND if isinstance(error, ResourceNotFound) else error.code
        status = error.status if error.of_transport else 200
        return ErrorObject(code, error.message, UNSET if error.data is None else error.data), status


async def _answer(channel: Channel, question: Question, trace: dict[str, str]) -> Raw:
    try:
        return await channel.ask(question.method, _params_of(question, trace))
    except MCPError as refused:
        raise NotAnswered(f"The client refused to answer: {refused.message}") from refused


def _params_of(question: Question, trace: dict[str, str]) -> Any:
    """A question's parameters as this era spells them: a URL to visit has an id, and the call's trace goes on."""
    visit = question.capability == "elicitation.url"
    if not visit and not trace:
        return UNSET if question.params is None else Raw(question.params)
    params = {} if question.params is None else msgspec.json.decode(question.params)
    if visit:
        params["elicitationId"] = question.digest.hex()
    if trace:
        params["_meta"] = {**params.get("_meta", {}), **trace}
    return params


def _greeted(params: InitializeParams) -> Peer:
    """The client as it introduced itself, at the version that will be spoken: its own, or our newest."""
    version = params.protocol_version if params.protocol_version in LEGACY else NEWEST_LEGACY
    return Peer(version, params.client_info, params.capabilities)


async def _initialize(application: Application, exchange: Exchange) -> Result:
    facts = application.facts
    return InitializeResult(
        protocol_version=exchange.peer.protocol_version,
        capabilities=facts.capabilities,
        server_info=facts.info,
        instructions=UNSET if facts.instructions is None else facts.instructions,
    )


async def _ping(application: Application, exchange: Exchange) -> Result:
    return EmptyResult()


async def _set_level(application: Application, exchange: Exchange) -> Result:
    params = exchange.params
    if not isinstance(params, SetLevelParams) or exchange.conversation is None:
        raise InvalidParams("Invalid params: the level is missing")
    exchange.conversation.log_level = params.level
    return EmptyResult()


async def _subscribe(application: Application, exchange: Exchange) -> Result:
    conversation, uri = _subscriber(application, exchange)
    if not application.hub.may_hear(exchange.principal.scopes, uri):
        raise ResourceNotFound(uri)  # the lists do not show it either
    check_room(len(conversation.subscriptions), sum(map(len, conversation.subscriptions)) + len(uri))
    conversation.subscriptions |= {uri}
    if conversation.listener is not None:
        conversation.listener.add(uri)
    return EmptyResult()


async def _unsubscribe(application: Application, exchange: Exchange) -> Result:
    conversation, uri = _subscriber(application, exchange)
    conversation.subscriptions -= {uri}
    if conversation.listener is not None:
        conversation.listener.drop(uri)
    return EmptyResult()


def _subscriber(application: Application, exchange: Exchange) -> tuple[Conversation, str]:
    """Who wants to hear of what. Raises MethodNotFound where there are no resources."""
    params, conversation = exchange.params, exchange.conversation
    if application.facts.capabilities.resources is None:
        raise MethodNotFound(f"Method not found: {exchange.method}")
    if not isinstance(params, SubscribeParams) or conversation is None:
        raise InvalidParams("Invalid params: the uri is missing")
    return conversation, params.uri
