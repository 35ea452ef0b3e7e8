"""The page of the documentation about errors, made from the classes in `bascule.errors`.

    python scripts/errors.py > docs/errors.md

A test compares the page with what this makes.
"""

import re
from collections.abc import Iterable, Iterator

from bascule import errors
from bascule.checks import path_text, sql
from bascule.errors import BasculeError, ConfigError, DeclarationError, Forbidden, MCPError, Refused, ToolError
from bascule.servers.fetch import limits
from bascule.servers.weather import service

KEYS = {
    "action": "what the user did instead of accepting: `decline` or `cancel`",
    "approvalId": "by which id the approval is listed and given",
    "arguments": "what is wrong with each argument, by its name",
    "expiresAt": "when the approval is void unless it is given, RFC 3339",
    "limit": "how many, or how many bytes, are allowed",
    "missingScopes": "the scopes that the caller lacks",
    "per": "within how many seconds the limit holds",
    "reference": "under which the server's log has the details",
    "remaining": "how many more calls would be let through",
    "requested": "the protocol version that was asked for",
    "requiredCapabilities": "the capabilities that are needed, as a client declares them",
    "requiredScopes": "all scopes that the feature needs",
    "resetAt": "when the window begins to give back, seconds since the epoch",
    "retryAfter": "seconds after which the same may succeed",
    "size": "how large the result is, in bytes",
    "supported": "the protocol versions that are served",
    "timeout": "how many seconds the call may take",
    "uri": "the URI that was asked for",
}
"""What stands under the keys of details."""

HEAD = """\
# Errors

<!-- Made by `scripts/errors.py` from src/bascule/errors.py: change that file, not this one. -->

Every refusal and failure has one plain sentence for its reader, and for programs a stable word (`code`), which never
changes its meaning, and details.

**Retry** says whether the same may succeed: `no`; `once mended`, when what the sentence names is changed; `later`,
with growing pauses; `after retryAfter`, when the seconds that the error names are over (over HTTP they stand in
`Retry-After` too, and `MCPError.retry_after` has them in every case). `Client` repeats by itself only what is safe to
repeat.
"""
TOOLS = """\
## What the model reads

A failed or refused tool call is a result with `isError`: HTTP 200 in both eras, the sentence as its text, and the
word and the details in `_meta["dev.bascule/error"]`. The same failure of a resource, a prompt or a list is a JSON-RPC
error with the code 1000 and HTTP 200, whose `data` has the word as `code`, and the details.
"""
TRANSPORT = """\
## What is a status of HTTP

What the caller cannot mend by calling differently is an HTTP status in both eras, so that proxies and clients see it:
401 and 403 with the challenge in `WWW-Authenticate`, where there is one, 429 and 503 with `Retry-After`, where the
error names a time. The body is a JSON-RPC error whose `data` has the word as `code`, and the details. It is the
JSON-RPC error alone over stdio, in an event stream that has begun already, and in a batch.
"""
PROTOCOL = """\
## Errors of the protocol

JSON-RPC errors by the specification's codes. The HTTP status is that of the stateless era (2026-07-28); in the
handshake era a request with a legal session gets them with HTTP 200.
"""
CANCELLED = """\
## Calls that are cancelled

A call that its client cancels gets no answer, and so has no error. The audit log and telemetry have it with the outcome
`cancelled`; a task's status is `cancelled`.
"""
CLIENT = """\
## Raised in the client

`Client` raises an answer that is a JSON-RPC error as `MCPError` (`code`, `message`, `data`, `status`, `retry_after`),
and these:

| exception | what it means | what the caller can do | retry |
|---|---|---|---|"""
COLUMNS = """\
| `code` | JSON-RPC | HTTP | what it means | what the caller can do | retry | details |
|---|---|---|---|---|---|---|"""


MODULES = (errors, sql, path_text, limits, service)
"""Where errors that reach a caller are defined."""


def kinds(root: type[BasculeError]) -> list[type[BasculeError]]:
    """The classes below a root that stand in the modules named above, in the order of their definition."""
    found = [kind for module in MODULES for kind in vars(module).values() if isinstance(kind, type)]
    return [kind for kind in dict.fromkeys(found) if issubclass(kind, root) and kind is not MCPError]


def meaning(kind: type[BasculeError]) -> str:
    """The first sentence of the docstring."""
    text = " ".join((kind.__doc__ or "").split())
    return re.split(r"(?<=\.) ", text)[0].replace("|", "\\|")


def row(kind: type[BasculeError]) -> Iterator[str]:
    """The lines of a table about one class."""
    details = ", ".join(f"`{key}`" for key in kind.keys)
    rest = f"{kind.advice} | {kind.retry} | {details}"
    if issubclass(kind, ToolError):
        yield f"| `{kind.code}` | 1000 | 200 | {meaning(kind)} | {rest} |"
    elif issubclass(kind, MCPError):
        word = f"`{kind.word}`" if kind.word else ""
        yield f"| {word} | {kind.code} | {kind.status} | {meaning(kind)} | {rest} |"
        if kind is Forbidden:
            for reason, means in Forbidden.reasons.items():
                yield f"| `{reason}` | {kind.code} | {kind.status} | {means} | {rest} |"


def table(members: Iterable[type[BasculeError]]) -> str:
    """A table of classes."""
    return "\n".join([COLUMNS, *(line for kind in members for line in row(kind))]) + "\n"


def page() -> str:
    """The whole page."""
    protocol = [kind for kind in kinds(MCPError) if issubclass(kind, MCPError)]
    of_transport = [kind for kind in protocol if kind.of_transport]
    others = [kind for kind in protocol if not kind.of_transport and kind is not Refused]
    here = [
        kind
        for kind in kinds(BasculeError)
        if not issubclass(kind, (MCPError, ToolError)) and kind not in {BasculeError, ConfigError, DeclarationError}
    ]
    client = [f"| `{kind.__name__}` | {meaning(kind)} | {kind.advice} | {kind.retry} |" for kind in here]
    used = sorted({key for kind in kinds(BasculeError) for key in kind.keys})
    details = ["## Details\n\n| key | what it says |\n|---|---|", *(f"| `{key}` | {KEYS[key]} |" for key in used)]
    parts = [
        HEAD,
        TOOLS,
        table(kinds(ToolError)),
        TRANSPORT,
        table(of_transport),
        PROTOCOL,
        table(others),
        "\n".join(details) + "\n",
        CANCELLED,
        "\n".join([CLIENT, *client]) + "\n",
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
