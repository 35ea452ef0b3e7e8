"""The stateless era (2026-07-28), server side: every request says its version, its client and what that client can do.

Knows the protocol's dates and shapes; knows no transport beyond a mapping of headers that may be there.
Source: specification 2026-07-28, basic/index, basic/versioning, server/discover, server/utilities/caching.
"""

import os
import time
from collections.abc import Mapping

import msgspec
from msgspec import UNSET, Raw

from bascule.engine.application import Application
from bascule.engine.era import Inbound, Method
from bascule.engine.exchange import Exchange, Peer
from bascule.engine.ports import Clock, MakeSeal, Marks, Random
from bascule.eras import headers
from bascule.eras.methods import SHARED, ask_application, decoder
from bascule.eras.rounds import Rounds
from bascule.eras.said import said_version
from bascule.eras.versions import MODERN
from bascule.errors import InvalidParams, MCPError, MethodNotFound, UnsupportedVersion
from bascule.wire.inputs import InputParams
from bascule.wire.jsonrpc import ErrorObject, Frame, encode
from bascule.wire.lifecycle import DiscoverResult
from bascule.wire.notices import ListenParams
from bascule.wire.requests import (
    CAPABILITIES_KEY,
    SERVER_INFO_KEY,
    VERSION_KEY,
    RequestMeta,
    RequestParams,
)
from bascule.wire.results import CacheableResult, Result
from bascule.wire.tasks import TaskParams, UpdateTaskParams
from bascule.wire.tools import CallToolParams

DISCOVER = "server/discover"
LISTEN = "subscriptions/listen"


class Stateless:
    """Serves the stateless era for one application."""

    def __init__(
        self,
        application: Application,
        make_seal: MakeSeal,
        marks: Marks | None = None,
        clock: Clock = time.time,
        random: Random = os.urandom,
    ) -> None:
        self._application = application
        facts = application.facts
        self._ttl_ms = facts.ttl_ms
        self._cache_scope = facts.cache_scope
        self._server_info = msgspec.to_builtins(facts.info)
        self._meta = Raw(encode({SERVER_INFO_KEY: facts.info}))
        self._rounds = Rounds(make_seal, clock, random, marks)
        self.inquire = self._rounds.inquire
        self.pose = self._rounds.pose
        shared = {name: Method(method.decode, self._rounds.once(method.answer)) for name, method in SHARED.items()}
        self.methods: Mapping[str, Method] = {
            **shared,
            DISCOVER: Method(decoder(RequestParams), _discover),
            LISTEN: Method(decoder(ListenParams), ask_application),
            "tasks/get": Method(decoder(TaskParams), ask_application),
            "tasks/update": Method(decoder(UpdateTaskParams), ask_application),
            "tasks/cancel": Method(decoder(TaskParams), ask_application),
        }

    def open(self, frame: Frame, inbound: Inbound) -> Exchange:
        """The exchange of one request: its `_meta` is complete, its version served, its headers agree."""
        try:
            return self._open(frame, inbound)
        except (MethodNotFound, InvalidParams):
            said = said_version(frame)
            if said is not None and said not in MODERN:
                raise UnsupportedVersion(said, MODERN) from None
            raise

    def stamp(self, exchange: Exchange, result: Result) -> Result:
        """The result with its type, the server's name and, where it may be cached, for how long and by whom."""
        if result.result_type is UNSET:
            result.result_type = "complete"
        if result.meta is UNSET:
            result.meta = self._meta
        elif isinstance(result.meta, dict):
            result.meta = {SERVER_INFO_KEY: self._server_info, **result.meta}
        if isinstance(result, CacheableResult):
            if result.ttl_ms is UNSET:
                result.ttl_ms = self._ttl_ms
            if result.cache_scope is UNSET:
                result.cache_scope = self._cache_scope
        return result

    def _open(self, frame: Frame, inbound: Inbound) -> Exchange:
        name = frame.method
        method = self.methods.get(name) if isinstance(name, str) else None
        if method is None or not isinstance(name, str) or frame.id is UNSET or frame.id is None:
            raise MethodNotFound(f"Method not found: {_shown(name)}")
        params = method.decode(frame.params)
        meta = params.meta
        if meta is UNSET or meta.protocol_version is UNSET:
            raise InvalidParams(f"Invalid params: _meta must have {VERSION_KEY}", status=400)
        version = meta.protocol_version
        if inbound.headers is not None:
            headers.check(inbound.headers, name, params, version)
            if isinstance(params, CallToolParams) and (mirrored := self._application.mirrored(params.name)):
                headers.check_mirrored(inbound.headers, mirrored, params.arguments)
        if version not in MODERN:
            raise UnsupportedVersion(version, MODERN)
        exchange = self._exchange(name, frame, params, meta, inbound)
        if isinstance(params, InputParams) and not (params.input_responses is UNSET is params.request_state):
            self._rounds.resume(exchange, params)
        return exchange

    def _exchange(
        self, name: str, frame: Frame, params: RequestParams, meta: RequestMeta, inbound: Inbound
    ) -> Exchange:
        if meta.client_capabilities is UNSET:
            raise InvalidParams(f"Invalid params: _meta must have {CAPABILITIES_KEY}", status=400)
        info = meta.client_info
        return Exchange(
            method=name,
            request_id=frame.id,  # type: ignore[arg-type]  # `open` has refused requests without an id
            params=params,
            raw_params=frame.params if isinstance(frame.params, Raw) else None,
            peer=Peer(meta.protocol_version, None if info is UNSET else info, meta.client_capabilities),  # type: ignore[arg-type]
            principal=inbound.principal,
            channel=inbound.channel,
            inquire=self.inquire,
            headers=inbound.headers,
            address=inbound.address,
            state=inbound.state,
            progress_token=None if meta.progress_token is UNSET else meta.progress_token,
            log_level=None if meta.log_level is UNSET else meta.log_level,
        )

    def refuse(self, error: MCPError) -> tuple[ErrorObject, int]:
        """The error object and its HTTP status."""
        return ErrorObject(error.code, error.message, UNSET if error.data is None else error.data), error.status


def _shown(method: object) -> str:
    return method[:200] if isinstance(method, str) else "none"


async def _discover(application: Application, exchange: Exchange) -> Result:
    facts = application.facts
    return DiscoverResult(
        supported_versions=list(MODERN),
        capabilities=facts.capabilities,
        instructions=UNSET if facts.instructions is None else facts.instructions,
    )
