"""Every error that Bascule raises: whose fault it is, what to do, and its form on the wire.

    BasculeError
    ├── DeclarationError      the author wrote a tool, resource, prompt or setting that cannot work (raised at start)
    ├── ConfigError           a setting or command-line value is wrong
    ├── MCPError              travels as a JSON-RPC error: code, message, data, HTTP status
    │   ├── ParseError  InvalidRequest  MethodNotFound  InvalidParams  InternalError
    │   ├── ResourceNotFound  HeaderMismatch  MissingCapability  UnsupportedVersion
    │   ├── Unauthenticated  Forbidden  TooManyFailures  CredentialsUnavailable  TooManyRequests
    │   └── MissingScope  Overloaded  AuditUnavailable  Refused  BadRequest
    ├── ToolError             travels as a tool result with isError: the model sees the sentence
    │   ├── InvalidArguments  NotAnswered  Declined  PermissionDenied
    │   ├── RateLimited  TimedOut  Busy  RepeatedCall
    │   ├── ConfirmationRequired  ConfirmationDeclined  ResultTooLarge
    │   └── UpstreamTimeout  UpstreamFailed  Internal
    ├── ConnectionLost        the peer went away (client side)
    ├── CallTimedOut          the peer did not answer in time (client side)
    └── ServerUnavailable     of many servers, one that is not connected was asked for (client side)

Raise inside, translate once at the edge. Messages are one sentence for the reader, never a stack trace or a path.
Codes: specification 2026-07-28, basic/index, "Error Codes"; JSON-RPC 2.0, section 5.1.
"""

import logging
import math
import os
from collections.abc import Sequence
from typing import Any, ClassVar

log = logging.getLogger("bascule")

ERROR_KEY = "dev.bascule/error"
"""The key in a failed tool result's `_meta` under which its code and details stand."""


class BasculeError(Exception):
    """The root of all errors raised by Bascule."""

    guard: str | None = None
    """The guard that refused the call, where one did."""


class DeclarationError(BasculeError, TypeError):
    """A declaration (tool, resource, prompt, server) cannot work as written; the sentence names what and where."""


class ConfigError(BasculeError, ValueError):
    """A setting, environment variable or command-line value is wrong; the sentence names it and what is allowed."""


class MCPError(BasculeError):
    """A protocol error: becomes (or came as) a JSON-RPC error object.

    `code` is the JSON-RPC code, `data` any JSON value or None, `status` the HTTP status that the stateless era uses,
    `request_id` the id to answer with where the message it came in could be read only in part.
    """

    code: int = -32603
    status: int = 200
    request_id: str | int | None = None
    retry_after: float | None = None
    """Seconds after which the same may succeed, where the server has said so."""
    challenge: str | None = None
    """What the caller must show, in the words of the WWW-Authenticate header (RFC 9110, 11.6.1)."""

    def __init__(self, message: str, *, code: int | None = None, data: Any = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = str(message)
        self.data = data
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class ParseError(MCPError):
    """The bytes are not JSON that this server accepts (JSON-RPC -32700)."""

    code = -32700
    status = 400


class InvalidRequest(MCPError):
    """JSON, but not a JSON-RPC message that is legal here (-32600)."""

    code = -32600
    status = 400


class BadRequest(MCPError):
    """What a request to a page says cannot be read (HTTP 400): its query, or its body as JSON."""

    code = 400
    status = 400


class MethodNotFound(MCPError):
    """The peer does not implement the method (-32601)."""

    code = -32601
    status = 404


class InvalidParams(MCPError):
    """The parameters do not fit the method (-32602)."""

    code = -32602
    status = 200


class InternalError(MCPError):
    """Something failed that the caller cannot mend (-32603); details stand in the server's log only."""

    code = -32603
    status = 200


def unforeseen(what: str, error: BaseException) -> InternalError:
    """The error that stands for one that nobody foresaw: a reference, under which the log has the details."""
    reference = os.urandom(4).hex()
    log.error("%s failed (reference %s)", what, reference, exc_info=error)
    return InternalError(f"Internal error (reference {reference})")


class ResourceNotFound(InvalidParams):
    """No resource has this URI (-32602; -32002 for clients of 2025-11-25 and earlier)."""

    def __init__(self, uri: str) -> None:
        super().__init__("Resource not found", data={"uri": uri})


class HeaderMismatch(MCPError):
    """An HTTP header disagrees with the body, or is missing or malformed (-32020)."""

    code = -32020
    status = 400


class MissingCapability(MCPError):
    """The request needs a capability that the client did not declare (-32021)."""

    code = -32021
    status = 400

    def __init__(self, capabilities: dict[str, Any], purpose: str = "") -> None:
        names = ", ".join(sorted(capabilities))
        super().__init__(
            f"This request needs the client capability {names}{purpose}", data={"requiredCapabilities": capabilities}
        )


class UnsupportedVersion(MCPError):
    """The protocol version asked for is not served (-32022)."""

    code = -32022
    status = 400

    def __init__(self, requested: str, supported: Sequence[str]) -> None:
        super().__init__("Unsupported protocol version", data={"requested": requested, "supported": list(supported)})


class Unauthenticated(MCPError):
    """The request shows no credentials of a kind that is taken here (HTTP 401); `challenge` says which kinds are."""

    code = 401
    status = 401

    def __init__(self, message: str, *, challenge: str = "Bearer") -> None:
        super().__init__(message, data={"code": "unauthenticated"})
        self.challenge = challenge


class Forbidden(MCPError):
    """The request shows credentials that are not good for it (HTTP 403); `reason` is a stable word for programs."""

    code = 403
    status = 403

    def __init__(self, message: str, *, reason: str = "permission_denied") -> None:
        super().__init__(message, data={"code": reason})


class TooManyFailures(MCPError):
    """Too many requests from one address showed credentials that are not good (HTTP 429). `retry_after` in seconds."""

    code = 429
    status = 429

    def __init__(self, retry_after: float) -> None:
        seconds = math.ceil(retry_after)
        super().__init__(
            f"Too many requests from this address were refused for their credentials; try again in {seconds} seconds",
            data={"code": "too_many_failures", "retryAfter": seconds},
        )
        self.retry_after = seconds


class CredentialsUnavailable(MCPError):
    """What credentials are checked against cannot be read now, so nobody is let in (HTTP 503)."""

    code = 503
    status = 503
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__(
            "The server cannot check credentials now; try again in a moment",
            data={"code": "credentials_unavailable", "retryAfter": 2},
        )


class TooManyRequests(MCPError):
    """Too many requests came from one address (HTTP 429, with Retry-After); `data` has the figures of RateLimited."""

    code = 429
    status = 429
    guard = "rate_limit"

    def __init__(self, message: str, *, data: dict[str, Any], retry_after: float) -> None:
        super().__init__(message, data=data)
        self.retry_after = retry_after


class MissingScope(MCPError):
    """The caller is known, and does not hold what the feature needs (HTTP 403, with a challenge that names it)."""

    code = 403
    status = 403
    guard = "scopes"

    def __init__(self, what: str, lacking: Sequence[str], needed: Sequence[str]) -> None:
        super().__init__(
            f"The {what} needs {' and '.join(lacking)}, which your credentials do not grant; ask the operator for it",
            data={"code": "missing_scope", "requiredScopes": list(needed), "missingScopes": list(lacking)},
        )
        self.scopes = tuple(needed)


class Refused(MCPError):
    """What becomes of a ToolError where there is no tool: a guard refused a read or a prompt, or its author's function
    did. `data` has what a tool's result would have in `_meta`: a stable word as `code`, and details."""

    code = 1000

    def __init__(self, error: "ToolError") -> None:
        super().__init__(error.message, data={"code": type(error).code, **error.details})
        self.guard = error.guard


class Overloaded(MCPError):
    """The server has as much to do as it bears (503); a call made a little later may be served."""

    code = 503
    status = 503

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, data={"code": "overloaded", "retryAfter": retry_after})
        self.retry_after = retry_after


class AuditUnavailable(MCPError):
    """What would happen cannot be written to the audit log, which must not be without it: nothing was done (503)."""

    code = 503
    status = 503
    guard = "audit"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__(
            "The server cannot record calls at the moment and therefore takes none; try again later",
            data={"code": "audit_unavailable", "retryAfter": self.retry_after},
        )


class ToolError(BasculeError):
    """A tool could not do what was asked; the model reads the sentence and may try again.

    `code` is a stable machine-readable word, sent in `_meta["dev.bascule/error"]` with `details`.
    """

    code: ClassVar[str] = "tool_failed"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}


class InvalidArguments(ToolError):
    """The arguments do not fit the tool's schema; the sentence lists every wrong one and why."""

    code: ClassVar[str] = "invalid_arguments"


class NotAnswered(ToolError):
    """The client could not be asked, did not answer in time, or gave no answer that fits the question."""

    code: ClassVar[str] = "not_answered"


class Declined(ToolError):
    """The user declined, or dismissed, a question without whose answer the call cannot go on."""

    code: ClassVar[str] = "declined"


class PermissionDenied(ToolError):
    """The operator's policy lets nobody call this, or something that the tool needs does not let the tool."""

    code: ClassVar[str] = "permission_denied"


class UpstreamTimeout(ToolError):
    """Something that the tool needs (a database, another service) did not answer in time; the same call may succeed
    later."""

    code: ClassVar[str] = "upstream_timeout"


class UpstreamFailed(ToolError):
    """Something that the tool needs (a database, another service) cannot be reached or refuses; the same call may
    succeed later."""

    code: ClassVar[str] = "upstream_failed"


class Internal(ToolError):
    """The tool failed in a way that its author did not foresee; the log has the details under the reference."""

    code: ClassVar[str] = "internal"


class RateLimited(ToolError):
    """The caller has called too often; `details` has `limit, remaining, resetAt` (seconds since the epoch) and
    `retryAfter` (seconds), after which the same call may succeed."""

    code: ClassVar[str] = "rate_limited"
    guard = "rate_limit"


class TimedOut(ToolError):
    """The call took longer than it may, and was stopped; `details` has the `timeout` in seconds."""

    code: ClassVar[str] = "timed_out"


class Busy(ToolError):
    """As many calls of this feature run as may run at once; `details` has `retryAfter`, in seconds."""

    code: ClassVar[str] = "overloaded"


class RepeatedCall(ToolError):
    """The caller has made this very call too often; `details` has `limit`, `per` and `retryAfter`, in seconds."""

    code: ClassVar[str] = "repeated_call"


class ConfirmationRequired(ToolError):
    """A person must approve the call, who is not at the client; details tell which approval, and until when.

    The same call by the same caller passes once it is approved: `approvalId`, `expiresAt` (RFC 3339).
    """

    code: ClassVar[str] = "confirmation_required"


class ConfirmationDeclined(ToolError):
    """The person who was asked to confirm the call refused, or dismissed the question; `action` tells which."""

    code: ClassVar[str] = "confirmation_declined"


class ResultTooLarge(ToolError):
    """The result is larger than the policy allows, and cannot be cut; `details` are `limit` and `size` in bytes."""

    code: ClassVar[str] = "result_too_large"


class ConnectionLost(BasculeError, ConnectionError):
    """The connection to the peer ended before it answered."""


class CallTimedOut(BasculeError, TimeoutError):
    """The peer did not answer within the time allowed; the call was cancelled."""


class ServerUnavailable(BasculeError, KeyError):
    """None of the connected servers has this name: it is unknown, disabled, or failed; the sentence says which, why."""

    __str__ = Exception.__str__  # that of KeyError would quote the sentence
