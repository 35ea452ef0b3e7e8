"""The stateless era (2026-07-28), client side: every request says its version, its client and what that client can do.

Knows the protocol's dates and shapes; knows no transport beyond a Connection and the headers that HTTP wants.
Source: specification 2026-07-28, basic/index, "_meta"; basic/versioning; basic/transports, "Backward Compatibility";
basic/transports/streamable-http, "Custom Headers".
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, UnsetType, field

from bascule.engine.answers import ToolsPage, decode_result
from bascule.engine.application import Mirrored
from bascule.engine.connection import Connection, Greeting, Introduction
from bascule.engine.era import Outbound
from bascule.engine.mirrored import mirrored_of
from bascule.eras.headers import encode_value, repeated
from bascule.eras.versions import LEGACY, MODERN
from bascule.errors import (
    CallTimedOut,
    DeclarationError,
    HeaderMismatch,
    MCPError,
    MissingCapability,
    UnsupportedVersion,
)
from bascule.wire.inputs import InputRequiredResult
from bascule.wire.jsonrpc import encode
from bascule.wire.lifecycle import DiscoverResult
from bascule.wire.requests import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    LOG_LEVEL_KEY,
    SERVER_INFO_KEY,
    VERSION_KEY,
    Implementation,
    LogLevel,
)
from bascule.wire.tools import Tool

DISCOVER = "server/discover"
CALL = "tools/call"

_NAMED_BY = {CALL: "name", "prompts/get": "name", "resources/read": "uri"}
_RECOGNISED = frozenset({HeaderMismatch.code, MissingCapability.code, UnsupportedVersion.code})
INPUT_REQUIRED = "input_required"
MAY_ASK = frozenset({CALL, "prompts/get", "resources/read"})
_FATAL_STATUSES = frozenset({401, 403, 407, 408, 429})
_MAX_GREETINGS = 3

log = logging.getLogger("bascule")


class NotStateless(Exception):
    """The server does not speak this era: shake hands instead. The message says how that showed."""


class _Typed(Struct, rename="camel"):
    result_type: str | None = None


class _ServerMeta(Struct):
    server_info: Implementation | None = field(default=None, name=SERVER_INFO_KEY)


class StatelessClient:
    """Speaks one revision of the stateless era. What every request repeats is encoded once per log level.

    Where the connection carries headers, calls repeat in them what the tools that were listed want mirrored.
    """

    def __init__(self, introduction: Introduction, protocol_version: str, carries_headers: bool = False) -> None:
        self.protocol_version = protocol_version
        self._carries_headers = carries_headers
        self._mirrored: dict[str, tuple[Mirrored, ...]] = {}
        self._said: dict[str, Any] = {
            VERSION_KEY: protocol_version,
            CLIENT_INFO_KEY: Raw(encode(introduction.info)),
            CAPABILITIES_KEY: Raw(encode(introduction.capabilities)),
        }
        self._metas: dict[LogLevel | None, Raw] = {}

    def prepare(self, method: str, params: Mapping[str, Any], log_level: LogLevel | None = None) -> Outbound:
        """The request with this era's keys in `_meta`, beside those that `params` has there, and its headers.

        Raises InvalidParams for an argument that a header cannot repeat.
        """
        headers = {"MCP-Protocol-Version": self.protocol_version, "Mcp-Method": method}
        name_key = _NAMED_BY.get(method)
        if name_key is not None:
            headers["Mcp-Name"] = encode_value(params[name_key])
            mirrored = self._mirrored.get(params[name_key]) if method == CALL else None
            if mirrored:
                headers.update(repeated(mirrored, params.get("arguments")))
        own = params.get("_meta")
        meta = {**own, **self._complete(log_level)} if own else self._encoded(log_level)
        return Outbound({**params, "_meta": meta}, headers)

    def conclude(self, method: str, result: Any) -> Any:
        """The result as its struct. Raises MCPError where it is malformed or not complete."""
        try:
            concluded = decode_result(method, Raw(result))
        except MCPError:
            kind = _decode_type(result)
            if kind == INPUT_REQUIRED and method in MAY_ASK:
                return _asked_back(method, result)
            _check_type(method, kind)
            raise
        if getattr(concluded, "result_type", None) == INPUT_REQUIRED and method in MAY_ASK:
            return _asked_back(method, result)
        _check_type(method, getattr(concluded, "result_type", None))
        if self._carries_headers and isinstance(concluded, ToolsPage):
            concluded.tools = [tool for tool in concluded.tools if self._learns(tool)]
        return concluded

    def _learns(self, tool: Tool) -> bool:
        """Whether a tool can be called: remembers what its calls must repeat, unless it says so in a forbidden way."""
        self._mirrored.pop(tool.name, None)
        try:
            mirrored = mirrored_of(tool.input_schema, f"tool {tool.name[:200]!r}")
        except DeclarationError as wrong:
            log.warning("left out a tool of the server: %s", wrong)
            return False
        if mirrored:
            self._mirrored[tool.name] = mirrored
        return True

    def _encoded(self, log_level: LogLevel | None) -> Raw:
        meta = self._metas.get(log_level)
        if meta is None:
            meta = self._metas[log_level] = Raw(encode(self._complete(log_level)))
        return meta

    def _complete(self, log_level: LogLevel | None) -> dict[str, Any]:
        return self._said if log_level is None else {**self._said, LOG_LEVEL_KEY: log_level}


async def greet(connection: Connection, introduction: Introduction, within: float | None) -> Greeting:
    """Discover the server, in the newest revision that both sides know.

    Raises NotStateless where the answer, or on a stream the silence, shows a server of the handshake era; the server's
    own error where it is of this era and refuses; what Connection.call raises where nothing can be said.
    """
    version: str = MODERN[0]
    for _ in range(_MAX_GREETINGS):
        era = StatelessClient(introduction, version, connection.carries_headers)
        try:
            raw = await connection.call(DISCOVER, era.prepare(DISCOVER, {}), within)
            found = _discovered(era, raw)
        except UnsupportedVersion as refused:
            version = _mutual(_supported(refused))
            continue
        except CallTimedOut as silent:
            if connection.probe_timeout is None:
                raise
            raise NotStateless("it did not answer server/discover") from silent
        except MCPError as error:
            _check_refusal(error)
            raise
        newest = _mutual(found.supported_versions)
        if newest != version:
            era = StatelessClient(introduction, newest, connection.carries_headers)
        instructions = None if isinstance(found.instructions, UnsetType) else found.instructions
        return Greeting("modern", era, _server_info(found), found.capabilities, instructions)
    raise MCPError("The server refuses every protocol version that it says it supports", code=UnsupportedVersion.code)


def _discovered(era: StatelessClient, raw: Raw) -> DiscoverResult:
    try:
        found: DiscoverResult = era.conclude(DISCOVER, raw)
    except MCPError as wrong:
        raise NotStateless(f"its answer to server/discover is none ({wrong})") from None
    return found


def _check_refusal(error: MCPError) -> None:
    """Raise NotStateless unless the error is one that only a server of this era, or no server at all, would give."""
    if error.code in _RECOGNISED or error.status in _FATAL_STATUSES or error.status >= 500 or 300 <= error.status < 400:
        return
    raise NotStateless(f"it answered server/discover with the error {error.code} ({error.message})") from error


def _supported(refused: UnsupportedVersion) -> list[str]:
    named = refused.data.get("supported") if isinstance(refused.data, dict) else None
    return [version for version in named if isinstance(version, str)] if isinstance(named, list) else []


def _mutual(supported: Iterable[str]) -> str:
    """The newest revision of this era that both sides know."""
    offered = set(supported)
    for version in MODERN:
        if version in offered:
            return version
    if offered.intersection(LEGACY):
        raise NotStateless("it supports only versions that begin with a handshake")
    raise UnsupportedVersion(MODERN[0], sorted(offered))


def _server_info(found: DiscoverResult) -> Implementation | None:
    meta = found.meta
    try:
        if isinstance(meta, Raw):
            return msgspec.json.decode(meta, type=_ServerMeta).server_info
        return msgspec.convert(meta, _ServerMeta).server_info if isinstance(meta, dict) else None
    except msgspec.MsgspecError:
        return None


def _asked_back(method: str, result: Any) -> InputRequiredResult:
    try:
        asked = msgspec.json.decode(result, type=InputRequiredResult)
    except (msgspec.MsgspecError, RecursionError, ValueError) as wrong:
        raise MCPError(f"The server's wish for input to go on with {method} is malformed: {wrong}") from None
    if asked.input_requests is asked.request_state:
        raise MCPError(f"The server wants input to go on with {method} and does not say which")
    return asked


def _decode_type(result: Any) -> str | None:
    try:
        return msgspec.json.decode(result, type=_Typed).result_type
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _check_type(method: str, result_type: str | UnsetType | None) -> None:
    """Absent counts as complete. What asks for input where that is not allowed, or is of an unknown type, is no result.

    Raises MCPError for it.
    """
    if result_type is None or isinstance(result_type, UnsetType) or result_type == "complete":
        return
    if result_type == "input_required":
        raise MCPError(f"The server asks for input to go on with {method}, where that is not allowed")
    raise MCPError(f"The server's result of {method} has the unknown type {result_type[:100]!r}")
