"""A modern request is complete in itself, in body and headers."""

import msgspec

from bascule.engine.connection import Introduction
from bascule.eras.stateless_client import StatelessClient
from bascule.eras.versions import NEWEST
from bascule.wire.requests import ClientCapabilities, Implementation

ERA = StatelessClient(Introduction(Implementation("me", "1"), ClientCapabilities(roots={})), NEWEST)
SAID = {
    "io.modelcontextprotocol/protocolVersion": NEWEST,
    "io.modelcontextprotocol/clientInfo": {"name": "me", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"roots": {}},
}


def body(params: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(params))


def test_the_meta_says_version_client_and_capabilities() -> None:
    assert body(ERA.prepare("tools/list", {"cursor": "c"}).params) == {"cursor": "c", "_meta": SAID}


def test_the_log_level_is_said_where_there_is_one() -> None:
    params = ERA.prepare("tools/list", {}, "info").params
    assert body(params) == {"_meta": {**SAID, "io.modelcontextprotocol/logLevel": "info"}}


def test_the_callers_meta_is_kept_and_cannot_replace_the_protocols() -> None:
    own = {"progressToken": 1, "io.modelcontextprotocol/protocolVersion": "1"}
    assert body(ERA.prepare("tools/list", {"_meta": own}).params) == {"_meta": {**SAID, "progressToken": 1}}


def test_the_headers_repeat_what_the_body_says() -> None:
    headers = ERA.prepare("resources/read", {"uri": "a://ü"}).headers
    assert headers == {
        "MCP-Protocol-Version": NEWEST,
        "Mcp-Method": "resources/read",
        "Mcp-Name": "=?base64?YTovL8O8?=",
    }


def test_preparing_changes_nothing_that_it_was_given() -> None:
    params = {"name": "x"}
    ERA.prepare("tools/call", params)
    assert params == {"name": "x"}
