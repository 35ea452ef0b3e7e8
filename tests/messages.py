"""Messages as clients of both eras send them."""

import json

VERSION = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"
META = {
    PREFIX + "protocolVersion": VERSION,
    PREFIX + "clientInfo": {"name": "test", "version": "1"},
    PREFIX + "clientCapabilities": {},
}
ACCEPT = "application/json, text/event-stream"


def request(method, params=None, *, id=1, meta=None):
    """A stateless request."""
    return {
        "jsonrpc": "2.0",
        "id": id,
        "method": method,
        "params": {**(params or {}), "_meta": META if meta is None else meta},
    }


def legacy(method, params=None, *, id=1):
    """A handshake-era request."""
    message = {"jsonrpc": "2.0", "id": id, "method": method}
    return message if params is None else {**message, "params": params}


def initialize(version="2025-11-25", *, id=0):
    """The handshake."""
    return legacy(
        "initialize",
        {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        id=id,
    )


def headers(message):
    """The HTTP headers that go with a stateless request."""
    params = message.get("params", {})
    named = params.get("uri") if message["method"] == "resources/read" else params.get("name")
    return {
        "accept": ACCEPT,
        "content-type": "application/json",
        "mcp-protocol-version": VERSION,
        "mcp-method": message["method"],
        **({"mcp-name": named} if named else {}),
    }


def line(message):
    """The message as one line of JSON."""
    return json.dumps(message).encode()
