"""What every request's parameters carry: `_meta` with the version, the client's facts, a progress token, trace context.

Source: specification 2026-07-28, basic/index, "General fields"; `RequestParams`, `RequestMetaObject`.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from bascule.wire.content import Icon

ProgressToken = str | int
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

PREFIX = "io.modelcontextprotocol/"
VERSION_KEY = PREFIX + "protocolVersion"
CLIENT_INFO_KEY = PREFIX + "clientInfo"
CAPABILITIES_KEY = PREFIX + "clientCapabilities"
LOG_LEVEL_KEY = PREFIX + "logLevel"
SERVER_INFO_KEY = PREFIX + "serverInfo"


class Implementation(Struct, rename="camel", omit_defaults=True):
    """A program's self-reported name and version: for display and logs, never for decisions."""

    name: str
    version: str = ""
    title: str | None = None
    description: str | None = None
    website_url: str | None = None
    icons: list[Icon] | None = None


class ClientCapabilities(Struct, rename="camel", omit_defaults=True):
    """What a client can do for a server; a capability that is None was not declared."""

    elicitation: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    roots: dict[str, Any] | None = None
    experimental: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class RequestMeta(Struct, omit_defaults=True):
    """The keys of a request's `_meta` that the protocol defines; unknown keys are left in the raw parameters.

    The last three are a trace context, of any kind here, because a wrong one is ignored and fails no request.
    """

    protocol_version: str | UnsetType = field(default=UNSET, name=VERSION_KEY)
    client_info: Implementation | UnsetType = field(default=UNSET, name=CLIENT_INFO_KEY)
    client_capabilities: ClientCapabilities | UnsetType = field(default=UNSET, name=CAPABILITIES_KEY)
    log_level: LogLevel | UnsetType = field(default=UNSET, name=LOG_LEVEL_KEY)
    progress_token: ProgressToken | UnsetType = field(default=UNSET, name="progressToken")
    traceparent: Any = UNSET
    tracestate: Any = UNSET
    baggage: Any = UNSET


class RequestParams(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """The base of all parameters, and the whole of those that have nothing else."""

    meta: RequestMeta | UnsetType = field(default=UNSET, name="_meta")


class PaginatedParams(RequestParams):
    """Parameters of a list request: `cursor` continues where an earlier page ended."""

    cursor: str | UnsetType = UNSET
