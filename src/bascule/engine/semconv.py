"""The names of OpenTelemetry's semantic conventions for MCP, in one place: they still change.

Knows names, values and what counts as an error; does not know OpenTelemetry's library.
Source: open-telemetry/semantic-conventions-genai, docs/gen-ai/mcp.md (status: development).
"""

from asyncio import CancelledError
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bascule.engine.asking import asking_in
from bascule.engine.policy import Kind
from bascule.errors import CallTimedOut, MCPError, ToolError

METHOD: Final = "mcp.method.name"
ERROR_TYPE: Final = "error.type"
TOOL: Final = "gen_ai.tool.name"
PROMPT: Final = "gen_ai.prompt.name"
OPERATION: Final = "gen_ai.operation.name"
EXECUTE_TOOL: Final = "execute_tool"
REQUEST_ID: Final = "jsonrpc.request.id"
RESOURCE_URI: Final = "mcp.resource.uri"
STATUS_CODE: Final = "rpc.response.status_code"
VERSION: Final = "mcp.protocol.version"
SESSION_ID: Final = "mcp.session.id"
TRANSPORT: Final = "network.transport"
PROTOCOL: Final = "network.protocol.name"

SERVER_OPERATION: Final = "mcp.server.operation.duration"
SERVER_SESSION: Final = "mcp.server.session.duration"
CLIENT_OPERATION: Final = "mcp.client.operation.duration"
CLIENT_SESSION: Final = "mcp.client.session.duration"
SCOPE = "bascule"
"""The name under which spans and durations are told."""

UNIT: Final = "s"
BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

OUTCOME: Final = "dev.bascule.outcome"
"""Our own: `asked` and `cancelled` are no errors, and no results."""

PIPE: Final = {TRANSPORT: "pipe"}
HTTP: Final = {TRANSPORT: "tcp", PROTOCOL: "http"}
"""What is said of the two kinds of transport."""

TOOL_ERROR: Final = "tool_error"
CALLER_FAULTS: Final = frozenset({-32700, -32600, -32601, -32602, -32002})
"""Codes of errors that are the caller's, and none of the server's."""

LONGEST: Final = 1024
"""How much of what a peer sends stands in an attribute, in characters."""


class Failure(NamedTuple):
    """How an operation ended that did not end well: the attributes that say so, whether it is an error, and the
    sentence that the peer reads, where there is one."""

    attributes: Mapping[str, str]
    is_error: bool = True
    sentence: str | None = None


TOOL_FAILED: Final = Failure({ERROR_TYPE: TOOL_ERROR})


def about(kind: Kind | None, name: str) -> dict[str, str]:
    """The attributes of what is called."""
    if kind == "tool":
        return {TOOL: name, OPERATION: EXECUTE_TOOL}
    return {PROMPT: name} if kind == "prompt" else {}


def span_name(method: str, attributes: Mapping[str, Any]) -> str:
    """What a span is called: the method, and the tool or prompt, never a URI."""
    target = attributes.get(TOOL) or attributes.get(PROMPT)
    return method if target is None else f"{method} {target}"


def server_failure(error: BaseException, *, in_tool: bool) -> Failure:
    """How a server sees an error; one raised `in_tool` becomes a result that says it failed."""
    if isinstance(error, MCPError):
        code = str(error.code)
        if error.code in CALLER_FAULTS:
            return Failure({STATUS_CODE: code}, is_error=False)
        return Failure({ERROR_TYPE: code, STATUS_CODE: code}, sentence=error.message)
    if isinstance(error, ToolError):
        return TOOL_FAILED if in_tool else Failure({ERROR_TYPE: _timely(error.code)}, sentence=error.message)
    if isinstance(error, CancelledError):
        return Failure({OUTCOME: "cancelled"}, is_error=False)
    if asking_in(error) is not None:
        return Failure({OUTCOME: "asked"}, is_error=False)
    return Failure({ERROR_TYPE: _class(error)})


def client_failure(error: BaseException) -> Failure:
    """How a client sees an error: every one that the server names is one."""
    if isinstance(error, MCPError):
        code = str(error.code)
        return Failure({ERROR_TYPE: code, STATUS_CODE: code}, sentence=error.message)
    if isinstance(error, CancelledError):
        return Failure({OUTCOME: "cancelled"}, is_error=False)
    return Failure({ERROR_TYPE: "timeout" if isinstance(error, CallTimedOut) else _class(error)})


def _timely(code: str) -> str:
    return "timeout" if code == "timed_out" else code


def _class(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
