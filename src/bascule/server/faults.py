"""Faults: what an exception that escaped a handler means to its caller.

Known by the names of their classes, so that no library is loaded for it. The caller reads a sentence of ours and a
reference; the exception's own words, which may hold paths, queries or secrets, stand in the log alone.
"""

import logging
import os

from bascule.errors import Internal, PermissionDenied, ToolError, UpstreamFailed, UpstreamTimeout

log = logging.getLogger("bascule")

_LATE = "waited too long for something that it needs; try again later"
_AWAY = "could not reach something that it needs; try again later"
_CLOSED = "was not let by something that it needs; tell the operator"

_Meaning = tuple[type[ToolError], str]
_TIMEOUT: _Meaning = (UpstreamTimeout, _LATE)
_FAILED: _Meaning = (UpstreamFailed, _AWAY)
_DENIED: _Meaning = (PermissionDenied, _CLOSED)

_MEANINGS: dict[str, _Meaning] = {
    "builtins.TimeoutError": _TIMEOUT,
    "builtins.ConnectionError": _FAILED,
    "builtins.PermissionError": _DENIED,
    "socket.gaierror": _FAILED,
    "socket.herror": _FAILED,
    "ssl.SSLError": _FAILED,
    **{f"{library}.TimeoutException": _TIMEOUT for library in ("httpx2", "httpx")},
    **{f"{library}.TransportError": _FAILED for library in ("httpx2", "httpx")},
    **{f"{library}.HTTPStatusError": _FAILED for library in ("httpx2", "httpx")},
    "aiohttp.ServerTimeoutError": _TIMEOUT,
    "aiohttp.ClientConnectionError": _FAILED,
    "aiohttp.ClientResponseError": _FAILED,
    "requests.Timeout": _TIMEOUT,
    "requests.ConnectionError": _FAILED,
    "requests.HTTPError": _FAILED,
    "asyncpg.QueryCanceledError": _TIMEOUT,
    "asyncpg.PostgresConnectionError": _FAILED,
    "asyncpg.InterfaceError": _FAILED,
    "asyncpg.CannotConnectNowError": _FAILED,
    "asyncpg.TooManyConnectionsError": _FAILED,
    "asyncpg.InvalidAuthorizationSpecificationError": _DENIED,
    "asyncpg.InsufficientPrivilegeError": _DENIED,
    "psycopg.OperationalError": _FAILED,
    "redis.TimeoutError": _TIMEOUT,
    "redis.ConnectionError": _FAILED,
    "redis.AuthenticationError": _DENIED,
}


def meaning_of(error: BaseException, what: str) -> ToolError:
    """The error that a caller gets for one that escaped `what` (`tool 'add'`); the log gets the one that did."""
    reference = os.urandom(4).hex()
    kind, reason = next((_MEANINGS[name] for name in map(_name, type(error).__mro__) if name in _MEANINGS), _UNKNOWN)
    log.error("%s failed (reference %s)", what, reference, exc_info=error)
    return kind(f"The {what} {reason} (reference {reference})", details={"reference": reference})


_UNKNOWN: _Meaning = (Internal, "failed unexpectedly; the server's log has the details")


def _name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
