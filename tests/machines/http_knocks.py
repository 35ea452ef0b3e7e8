"""Requests that no server may take, and a few that it takes without effect: each with the status and code it must get.

Source: specification 2026-07-28, basic/transports/streamable-http; 2025-11-25, basic/transports; JSON-RPC 2.0.
"""

from tests.messages import ACCEPT, META, PREFIX, headers, legacy, line, request

JSON = {"host": "localhost", "content-type": "application/json", "accept": ACCEPT}
LIST = request("tools/list")
HEADERS = {**headers(LIST), "host": "localhost"}
OTHER = {**META, PREFIX + "protocolVersion": "2099-01-01"}
UNKNOWN = request("tools/never")
NO_TOOL = request("tools/call", {"name": "none", "arguments": {}})

KNOCKS = (
    ("POST", HEADERS, line(LIST), (200, None)),
    ("POST", {**HEADERS, "host": "evil.example"}, line(LIST), (421, -32600)),
    ("POST", {**HEADERS, "origin": "https://evil.example"}, line(LIST), (403, -32600)),
    ("POST", {**HEADERS, "content-type": "text/plain"}, line(LIST), (415, -32600)),
    ("POST", {**HEADERS, "accept": "text/html"}, line(LIST), (406, -32600)),
    ("POST", {**HEADERS, "mcp-method": "tools/call"}, line(LIST), (400, -32020)),
    ("POST", {**HEADERS, "content-length": "99999999"}, line(LIST), (413, -32600)),
    ("POST", {**HEADERS, "mcp-protocol-version": "2099-01-01"}, line(request("tools/list", meta=OTHER)), (400, -32022)),
    ("POST", {**HEADERS, "mcp-method": "tools/never"}, line(UNKNOWN), (404, -32601)),
    ("POST", {**headers(NO_TOOL), "host": "localhost"}, line(NO_TOOL), (200, -32602)),
    ("POST", HEADERS, line({"jsonrpc": "2.0", "method": "notifications/x"}), (202, None)),
    ("POST", HEADERS, b"{", (400, -32700)),
    ("POST", HEADERS, b"[" + line(LIST) + b"]", (400, -32600)),
    ("POST", JSON, line(legacy("tools/list")), (400, -32600)),
    ("POST", {**JSON, "mcp-session-id": "AAAA"}, line(legacy("tools/list")), (404, -32600)),
    ("POST", {**JSON, "mcp-session-id": "x" * 600}, line(legacy("tools/list")), (404, -32600)),
    ("GET", {"host": "localhost", "accept": ACCEPT}, b"", (405, -32600)),
    ("GET", {"host": "localhost", "accept": ACCEPT, "mcp-session-id": "AAAA"}, b"", (404, -32600)),
    ("GET", {"host": "localhost", "accept": "application/json", "mcp-session-id": "AAAA"}, b"", (406, -32600)),
    ("DELETE", {"host": "localhost"}, b"", (405, -32600)),
    ("DELETE", {"host": "localhost", "mcp-session-id": "AAAA"}, b"", (404, -32600)),
    ("PUT", {"host": "localhost", "mcp-session-id": "AAAA"}, b"", (405, -32600)),
)
