"""How the two sides learn what the other can do: `initialize` (handshake era) and `server/discover` (stateless era).

Source: specification 2025-11-25, basic/lifecycle; 2026-07-28, server/discover.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from bascule.wire.requests import ClientCapabilities, Implementation, LogLevel, RequestParams
from bascule.wire.results import CacheableResult, Result


class ServerCapabilities(Struct, rename="camel", omit_defaults=True):
    """What a server offers; a family that is None is not offered."""

    tools: dict[str, Any] | None = None
    resources: dict[str, Any] | None = None
    prompts: dict[str, Any] | None = None
    logging: dict[str, Any] | None = None
    completions: dict[str, Any] | None = None
    experimental: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class InitializeParams(RequestParams):
    """What a handshake client says of itself."""

    protocol_version: str
    capabilities: ClientCapabilities
    client_info: Implementation


class InitializeResult(Result):
    """What a server answers: the version that will be spoken, and what it offers."""

    protocol_version: str
    capabilities: ServerCapabilities
    server_info: Implementation
    instructions: str | UnsetType = UNSET


class DiscoverResult(CacheableResult):
    """What a stateless server is and offers."""

    supported_versions: list[str]
    capabilities: ServerCapabilities
    instructions: str | UnsetType = UNSET


class SetLevelParams(RequestParams):
    """The least severe level of log message that the client wants (handshake era)."""

    level: LogLevel
