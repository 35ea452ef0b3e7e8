"""Every error that Bascule raises: whose fault it is, what to do, and its form on the wire.

    BasculeError
    ├── DeclarationError      the author wrote a tool, resource, prompt or setting that cannot work (raised at start)
    ├── ConfigError           a setting or command-line value is wrong
    ├── MCPError              travels as a JSON-RPC error: code, message, data, HTTP status
    │   ├── ParseError  InvalidRequest  MethodNotFound  InvalidParams  InternalError
    │   ├── ResourceNotFound  HeaderMismatch  MissingCapability  UnsupportedVersion
    │   ├── Unauthenticated  Forbidden  TooManyFailures  CredentialsUnavailable  TooManyRequests
    │   ├── NotAdmitted  SessionEnded  TooMany  Draining  BadRequest
    │   └── MissingScope  Overloaded  AuditUnavailable  Refused
    ├── ToolError             travels as a tool result with isError: the model sees the sentence
    │   ├── InvalidArguments  NotAnswered  Declined  PermissionDenied
    │   ├── RateLimited  TimedOut  Busy  RepeatedCall
    │   ├── ConfirmationRequired  ConfirmationDeclined  ResultTooLarge
    │   └── UpstreamTimeout  UpstreamFailed  Internal
    ├── ConnectionLost        the peer went away (client side)
    ├── CallTimedOut          the peer did not answer in time (client side)
    └── ServerUnavailable     of many servers, one that is not connected was asked for (client side)

Raise inside, translate once at the edge. Messages are one sentence for the reader, never a stack trace or a path.
Each class that a caller meets says the same of itself: the first sentence of its docstring is what it means, `advice`
what the caller can do, `retry` whether the same may succeed, `keys` what its details hold; docs/errors.md comes of it.
Codes: specification 2026-07-28, basic/index, "Error Codes"; JSON-RPC 2.0, section 5.1.
"""

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

log = logging.getLogger("bascule")

_SCOPE = re.compile(r"[!#-\[\]-~]+")
"""A scope as a header can spell it (RFC 6749, 3.3)."""
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
"""What may stand in a challenge as a description. Source: RFC 6750, section 3."""

ERROR_KEY = "dev.bascule/error"
"""The key in a failed tool result's `_meta` under which its code and details stand."""


Retry = Literal["no", "once mended", "later", "after retryAfter"]
"""Whether the same may succeed: never; when the caller has changed what was wrong; after a while; after the time that
the error names."""


class BasculeError(Exception):
    """The root of all errors raised by Bascule."""

    guard: str | None = None
    """The guard that refused the call, where one did."""
    advice: ClassVar[str] = ""
    """What the caller can do, in a sentence."""
    retry: ClassVar[Retry] = "no"
    keys: ClassVar[tuple[str, ...]] = ()
    """What the details of the error hold besides its word."""


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
    word: ClassVar[str] = ""
    """What programs know the error by, as `code` in `data`; empty where the JSON-RPC code says enough."""
    of_transport: ClassVar[bool] = False
    """Whether `status` is the HTTP status in the handshake era too, whose errors otherwise travel with 200."""
    request_id: str | int | None = None
    retry_after: float | None = None
    """Seconds after which the same may succeed, where the server has said so."""
    challenge: str | None = None
    """What the caller must show, in the words of the WWW-Authenticate header (RFC 9110, 11.6.1)."""

    def __init__(self, message: str, *, code: int | None = None, data: Any = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = str(message)
        self.data = {"code": self.word} if data is None and self.word else data
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class ParseError(MCPError):
    """The bytes are not JSON that this server accepts."""

    code = -32700
    status = 400
    advice = "Send one JSON text in UTF-8, not nested too deeply."
    retry = "once mended"


class InvalidRequest(MCPError):
    """JSON, but not a JSON-RPC message that is legal here."""

    code = -32600
    status = 400
    advice = "Send a request that is legal here; the sentence says what is wrong."
    retry = "once mended"


class BadRequest(MCPError):
    """What a request to a page says cannot be read: its query, or its body as JSON."""

    code = 400
    status = 400
    word = "bad_request"
    advice = "Send what the page takes; the sentence says what cannot be read."
    retry = "once mended"


class MethodNotFound(MCPError):
    """The peer does not implement the method."""

    code = -32601
    status = 404
    advice = "Call only what the server declares in its capabilities."


class InvalidParams(MCPError):
    """The parameters do not fit the method."""

    code = -32602
    status = 200
    advice = "Mend the parameters; ask for the lists again where a name is unknown."
    retry: ClassVar[Retry] = "once mended"


class InternalError(MCPError):
    """Something failed that nobody foresaw; the log has the details under the reference."""

    code = -32603
    status = 200
    advice = "Tell the operator the reference in the sentence."


def unforeseen(what: str, error: BaseException) -> InternalError:
    """The error that stands for one that nobody foresaw: a reference, under which the log has the details."""
    reference = os.urandom(4).hex()
    log.error("%s failed (reference %s)", what, reference, exc_info=error)
    return InternalError(f"Internal error (reference {reference})")


class ResourceNotFound(InvalidParams):
    """No resource has this URI (-32602; -32002 for clients of 2025-11-25 and earlier)."""

    advice = "Ask for the lists of resources and templates again."
    retry = "no"
    keys = ("uri",)

    def __init__(self, uri: str) -> None:
        super().__init__("Resource not found", data={"uri": uri})


class HeaderMismatch(MCPError):
    """An HTTP header disagrees with the body, or is missing or malformed."""

    code = -32020
    status = 400
    advice = "Send headers that repeat the body, as the transport asks for."
    retry = "once mended"


class MissingCapability(MCPError):
    """The request needs a capability that the client did not declare."""

    code = -32021
    status = 400
    advice = "Use a client that can do it and declares so, or do without."
    retry = "no"
    keys = ("requiredCapabilities",)

    def __init__(self, capabilities: dict[str, Any], purpose: str = "") -> None:
        names = ", ".join(sorted(capabilities))
        super().__init__(
            f"This request needs the client capability {names}{purpose}", data={"requiredCapabilities": capabilities}
        )


class UnsupportedVersion(MCPError):
    """The protocol version asked for is not served."""

    code = -32022
    status = 400
    advice = "Speak one of the versions in `supported`."
    retry = "once mended"
    keys = ("requested", "supported")

    def __init__(self, requested: str, supported: Sequence[str]) -> None:
        super().__init__("Unsupported protocol version", data={"requested": requested, "supported": list(supported)})


class Unauthenticated(MCPError):
    """The request shows no credentials of a kind that is taken here. `challenge` says which kinds are."""

    code = 401
    status = 401
    word = "unauthenticated"
    of_transport = True
    advice = "Send the credentials that the WWW-Authenticate header names."
    retry = "once mended"

    def __init__(self, message: str, *, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class Forbidden(MCPError):
    """The request shows credentials that are not good for it. `reason` is the word for programs, of `reasons`."""

    code = 403
    status = 403
    word = "permission_denied"
    of_transport = True
    advice = "Ask the operator for credentials that are good; do not try these again."
    reasons: ClassVar[Mapping[str, str]] = {
        "unknown_key": "No such API key is known here.",
        "mistyped_key": "The API key is mistyped or cut short.",
        "revoked_key": "The API key was revoked.",
        "expired_key": "The API key has expired.",
    }

    def __init__(self, message: str, *, reason: str = word) -> None:
        super().__init__(message, data={"code": reason})


class TooManyFailures(MCPError):
    """Too many requests from one address showed credentials that are not good. `retry_after` in seconds."""

    code = 429
    status = 429
    word = "too_many_failures"
    of_transport = True
    advice = "Wait, and mend the credentials before the next request."
    retry = "after retryAfter"
    keys = ("retryAfter",)

    def __init__(self, retry_after: float) -> None:
        seconds = math.ceil(retry_after)
        super().__init__(
            f"Too many requests from this address were refused for their credentials; try again in {seconds} seconds",
            data={"code": self.word, "retryAfter": seconds},
        )
        self.retry_after = seconds


class CredentialsUnavailable(MCPError):
    """What credentials are checked against cannot be read now, so nobody is let in."""

    code = 503
    status = 503
    word = "credentials_unavailable"
    of_transport = True
    advice = "Try again in a moment."
    retry = "after retryAfter"
    keys = ("retryAfter",)
    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__(
            "The server cannot check credentials now; try again in a moment",
            data={"code": self.word, "retryAfter": 2},
        )


class TooManyRequests(MCPError):
    """Too many requests without credentials came from one address. `data` has the figures of RateLimited."""

    code = 429
    status = 429
    word = "rate_limited"
    of_transport = True
    advice = "Wait, then send fewer requests, or send credentials."
    retry = "after retryAfter"
    keys = ("limit", "remaining", "resetAt", "retryAfter")
    guard = "rate_limit"

    def __init__(self, message: str, *, data: dict[str, Any], retry_after: float) -> None:
        super().__init__(message, data={"code": self.word, **data})
        self.retry_after = retry_after


class NotAdmitted(MCPError):
    """The HTTP request is none that is taken here: its host (421), origin (403), path (404), method (405), form (406,
    415) or size (413) is wrong."""

    code = -32600
    status = 400
    advice = "Send the request as the sentence says; an operator may have to allow the host or origin."
    retry = "once mended"


class SessionEnded(MCPError):
    """The session id is unknown, expired, ended or another caller's."""

    code = -32600
    status = 404
    advice = "Send `initialize` again, without a session id."
    retry = "once mended"

    def __init__(self) -> None:
        super().__init__("The session has ended or was never opened here; send initialize again")


class TooMany(MCPError):
    """More streams, listeners or topics of one listener than are served."""

    code = -32600
    status = 503
    word = "too_many_streams"
    of_transport = True
    advice = "Close streams and subscriptions that nobody needs; try again later."
    retry = "later"


class Draining(MCPError):
    """The server is stopping: it answers what it has begun, and begins nothing new."""

    code = 503
    status = 503
    word = "draining"
    of_transport = True
    retry_after = 1.0
    advice = "Try again in a moment: another process, or the next one, takes the request."
    retry = "after retryAfter"
    keys = ("retryAfter",)

    def __init__(self) -> None:
        super().__init__(
            "The server is stopping and takes no new requests; try again in a moment",
            data={"code": self.word, "retryAfter": 1},
        )


class MissingScope(MCPError):
    """The caller is known, and does not hold the scopes that the feature needs; the challenge names all of them."""

    code = 403
    status = 403
    word = "missing_scope"
    of_transport = True
    advice = "Ask the operator for credentials that grant the scopes named."
    retry = "once mended"
    keys = ("requiredScopes", "missingScopes")
    guard = "scopes"

    def __init__(self, what: str, lacking: Sequence[str], needed: Sequence[str]) -> None:
        super().__init__(
            f"The {what} needs {' and '.join(lacking)}, which your credentials do not grant; ask the operator for it",
            data={"code": self.word, "requiredScopes": list(needed), "missingScopes": list(lacking)},
        )
        self.scopes = tuple(needed)
        self.challenge = 'Bearer error="insufficient_scope"'
        if all(_SCOPE.fullmatch(scope) for scope in needed):
            self.challenge += f', scope="{" ".join(needed)}"'
        if _DESCRIPTION.fullmatch(self.message):
            self.challenge += f', error_description="{self.message}"'


class Refused(MCPError):
    """A guard refused a read, a prompt or a list, or its author's function did. What becomes of a ToolError where there
    is no tool: `data` has what a tool's result would have in `_meta`, a stable word as `code`, and details."""

    code = 1000
    advice = "What is said of the word in `code`; the details are the same."
    retry = "no"

    def __init__(self, error: "ToolError") -> None:
        super().__init__(error.message, data={"code": type(error).code, **error.details})
        self.guard = error.guard


class Overloaded(MCPError):
    """The server has as much to do as it bears; a call made a little later may be served."""

    code = 503
    status = 503
    word = "overloaded"
    of_transport = True
    advice = "Call again after the pause; call less at once."
    retry = "after retryAfter"
    keys = ("retryAfter",)

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, data={"code": self.word, "retryAfter": retry_after})
        self.retry_after = retry_after


class AuditUnavailable(MCPError):
    """The audit log, which must have every call, cannot be written: nothing was done."""

    code = 503
    status = 503
    word = "audit_unavailable"
    of_transport = True
    advice = "Try again later, and tell the operator if it lasts."
    retry = "after retryAfter"
    keys = ("retryAfter",)
    guard = "audit"
    retry_after = 1.0

    def __init__(self) -> None:
        super().__init__(
            "The server cannot record calls at the moment and therefore takes none; try again later",
            data={"code": self.word, "retryAfter": self.retry_after},
        )


class ToolError(BasculeError):
    """The feature's author says that it could not do what was asked.

    `code` is a stable machine-readable word, sent in `_meta["dev.bascule/error"]` with `details`.
    """

    code: ClassVar[str] = "tool_failed"
    advice = "Read the sentence; it says whether another call makes sense."
    retry: ClassVar[Retry] = "once mended"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}


class InvalidArguments(ToolError):
    """The arguments do not fit the tool's schema; the sentence lists every wrong one and why."""

    code: ClassVar[str] = "invalid_arguments"
    advice = "Mend the arguments that the sentence names, and call again."
    retry = "once mended"
    keys = ("arguments",)


class NotAnswered(ToolError):
    """The client could not be asked, did not answer in time, or gave no answer that fits the question."""

    code: ClassVar[str] = "not_answered"
    advice = "Call again when a user is there, from a client that can be asked."
    retry = "later"


class Declined(ToolError):
    """The user declined, or dismissed, a question without whose answer the call cannot go on."""

    code: ClassVar[str] = "declined"
    advice = "Go on without; do not ask again unless the user wants it."
    retry = "no"
    keys = ("action",)


class PermissionDenied(ToolError):
    """The operator's policy lets nobody call this, or something that the tool needs does not let the tool."""

    code: ClassVar[str] = "permission_denied"
    advice = "Do without it, or ask the operator."
    retry = "no"
    keys = ("reference",)


class UpstreamTimeout(ToolError):
    """Something that the tool needs (a database, another service) did not answer in time."""

    code: ClassVar[str] = "upstream_timeout"
    advice = "Call again later, or ask for less."
    retry = "later"
    keys = ("reference",)


class UpstreamFailed(ToolError):
    """Something that the tool needs (a database, another service) cannot be reached or refuses."""

    code: ClassVar[str] = "upstream_failed"
    advice = "Call again later; tell the operator the reference if it lasts."
    retry = "later"
    keys = ("reference",)


class Internal(ToolError):
    """The tool failed in a way that its author did not foresee; the log has the details under the reference."""

    code: ClassVar[str] = "internal"
    advice = "Tell the operator the reference; another call with other arguments may work."
    retry = "no"
    keys = ("reference",)


class RateLimited(ToolError):
    """The caller has called too often. `details` has `limit, remaining, resetAt` (seconds since the epoch) and
    `retryAfter` (seconds), after which the same call may succeed."""

    code: ClassVar[str] = "rate_limited"
    advice = "Wait, then call less often."
    retry = "after retryAfter"
    keys = ("limit", "remaining", "resetAt", "retryAfter")
    guard = "rate_limit"


class TimedOut(ToolError):
    """The call took longer than it may, and was stopped. `details` has the `timeout` in seconds."""

    code: ClassVar[str] = "timed_out"
    advice = "Ask for less in one call."
    retry = "once mended"
    keys = ("timeout",)


class Busy(ToolError):
    """As many calls of this feature run as may run at once. `details` has `retryAfter`, in seconds."""

    code: ClassVar[str] = "overloaded"
    advice = "Call again after the pause, with fewer calls at once."
    retry = "after retryAfter"
    keys = ("limit", "retryAfter")


class RepeatedCall(ToolError):
    """The caller has made this very call too often. `details` has `limit`, `per` and `retryAfter`, in seconds."""

    code: ClassVar[str] = "repeated_call"
    advice = "Use the answer that you have; do something else than this very call."
    retry = "after retryAfter"
    keys = ("limit", "per", "retryAfter")


class ConfirmationRequired(ToolError):
    """A person must approve the call, who is not at the client. Details tell which approval, and until when.

    The same call by the same caller passes once it is approved: `approvalId`, `expiresAt` (RFC 3339).
    """

    code: ClassVar[str] = "confirmation_required"
    advice = "Have the operator approve it (`bascule approvals`), then make the same call again."
    retry = "later"
    keys = ("approvalId", "expiresAt")


class ConfirmationDeclined(ToolError):
    """The person who was asked to confirm the call refused, or dismissed the question. `action` tells which."""

    code: ClassVar[str] = "confirmation_declined"
    advice = "Do without it; do not call again unless the user wants it."
    retry = "no"
    keys = ("action", "approvalId")


class ResultTooLarge(ToolError):
    """The result is larger than the policy allows, and cannot be cut. `details` are `limit` and `size` in bytes."""

    code: ClassVar[str] = "result_too_large"
    advice = "Ask for a smaller part: fewer rows, a narrower search, one page."
    retry = "once mended"
    keys = ("limit", "size")


class ConnectionLost(BasculeError, ConnectionError):
    """The connection to the peer ended before it answered."""

    advice = "Call again; look first whether the call has had its effect, unless it is safe to repeat."
    retry = "later"


class CallTimedOut(BasculeError, TimeoutError):
    """The peer did not answer within the time allowed; the call was cancelled."""

    advice = "Allow more time, or ask for less; look first whether the call has had its effect."
    retry = "later"


class ServerUnavailable(BasculeError, KeyError):
    """None of the connected servers has this name: it is unknown, disabled, or failed; the sentence says which, why."""

    advice = "Ask for a server that is connected, or mend the configuration."
    retry = "once mended"

    __str__ = Exception.__str__  # that of KeyError would quote the sentence
