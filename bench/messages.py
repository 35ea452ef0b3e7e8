"""What clients of both eras send, as templates that take a number, and how to tell that an answer is right.

A number is the request's id and part of what is asked, so no answer can be another request's or come from a cache.
All numbers have seven digits: every request of one kind is equally long.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

STATELESS = "2026-07-28"
HANDSHAKE = "2025-11-25"
PREFIX = "io.modelcontextprotocol/"
CLIENT = {"name": "bench", "version": "1"}
META: dict[str, Any] = {
    PREFIX + "protocolVersion": STATELESS,
    PREFIX + "clientInfo": CLIENT,
    PREFIX + "clientCapabilities": {},
}
FIRST = 1_000_000
LAST = 9_999_000

_NUMBER = 7_777_777

Right = Callable[[int, bytes], bool]


class Job(NamedTuple):
    """One kind of request. `right(number, reply)` looks at the whole HTTP reply, or at one line of stdio."""

    method: str
    params: dict[str, Any]
    right: Right
    name: str | None = None

    def template(self, era: str) -> bytes:
        """The message, to be filled with `%`: the number, as often as `slots` says."""
        message = {"jsonrpc": "2.0", "id": _NUMBER, "method": self.method, "params": self.params}
        if era == "stateless":
            message["params"] = {**self.params, "_meta": {**META, **self.params.get("_meta", {})}}
        text = json.dumps(message, separators=(",", ":")).encode().replace(b"%", b"%%")
        return text.replace(b"%d" % _NUMBER, b"%d")


def answered(number: int, reply: bytes) -> bool:
    """Whether a reply carries this number as its id."""
    return b'"id":%d' % number in reply


def _call(name: str, arguments: dict[str, Any], right: Right, **meta: Any) -> Job:
    params = {"name": name, "arguments": arguments, **({"_meta": meta} if meta else {})}
    return Job("tools/call", params, right, name)


def add(wrapped: bool = False) -> Job:
    """`add(number, 2)`; the sum stands alone in its text, or alone in an envelope."""
    text = rb">\n%d\n</untrusted-" if wrapped else b'"text":"%d"'
    return _call(
        "add",
        {"a": _NUMBER, "b": 2},
        lambda number, reply: text % (number + 2) in reply and answered(number, reply),
    )


def big(kilobytes: int) -> Job:
    """`big(kilobytes)`; the text is counted."""
    return _call(
        "big",
        {"n": kilobytes},
        lambda number, reply: reply.count(b"x") >= kilobytes * 1024 and answered(number, reply),
    )


def steps(count: int) -> Job:
    """`steps(count)` with a progress token; the notices are counted."""
    return _call(
        "steps",
        {"n": count},
        lambda number, reply: (
            reply.count(b"notifications/progress") == count
            and b'"text":"%d steps"' % count in reply
            and answered(number, reply)
        ),
        progressToken=_NUMBER,
    )


def listing(count: int) -> Job:
    """`tools/list`; the tools are counted."""
    return Job(
        "tools/list",
        {},
        lambda number, reply: reply.count(b'"inputSchema"') == count and answered(number, reply),
    )


def initialize() -> dict[str, Any]:
    """The handshake's first message."""
    params = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def headers(era: str, method: str, name: str | None, session: str | None, key: str = "") -> dict[str, str]:
    """The HTTP headers of one request; with an API key where there is one."""
    found = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if key:
        found["Authorization"] = f"Bearer {key}"
    if era == "stateless":
        found |= {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}
    elif method != "initialize":
        found |= {"MCP-Protocol-Version": HANDSHAKE, **({"Mcp-Session-Id": session} if session else {})}
    return found


def http_template(job: Job, era: str, port: int, session: str | None = None, key: str = "") -> bytes:
    """The whole HTTP request, to be filled with `%` like the message."""
    body = job.template(era)
    length = len(body % ((FIRST,) * slots(body)))
    lines = [f"{key}: {value}" for key, value in headers(era, job.method, job.name, session, key).items()]
    head = ["POST /mcp HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {length}", *lines, "", ""]
    return "\r\n".join(head).replace("%", "%%").encode() + body


def slots(template: bytes) -> int:
    """How often the number goes into a template."""
    return template.replace(b"%%", b"").count(b"%d")
