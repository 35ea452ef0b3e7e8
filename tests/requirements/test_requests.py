"""What every request and every answer must be, in the stateless era, over HTTP."""

import re

import pytest

from bascule import errors
from tests.messages import META, PREFIX, VERSION, headers, request

DEFINED = {-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022}


def test_every_answer_repeats_the_id_and_has_either_a_result_or_an_error(door):
    for id in (7, "seven"):
        good = door.call("add", {"a": 1, "b": 2}, id=id).json()
        assert (good["jsonrpc"], good["id"], set(good)) == ("2.0", id, {"jsonrpc", "id", "result"})
        for bad in (door.ask("no/such", id=id), door.call("nobody", id=id), door.ask("tools/list", meta={}, id=id)):
            body = bad.json()
            assert (body["jsonrpc"], body["id"], set(body)) == ("2.0", id, {"jsonrpc", "id", "error"})
            assert type(body["error"]["code"]) is int
            assert isinstance(body["error"]["message"], str)
    for method in ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        assert door.ask(method).json()["result"]["resultType"] == "complete"
    assert door.call("fails").json()["result"]["resultType"] == "complete"
    assert door.ask("prompts/get", {"name": "brief", "arguments": {"city": "x"}}).json()["result"]["resultType"]


def test_every_error_has_a_code_of_the_specification_or_one_outside_the_range_that_it_keeps():
    kinds = [errors.MCPError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    ours = {kind.code for kind in kinds if kind.__module__.startswith("bascule.")}
    assert all(code in DEFINED or not -32768 <= code <= -32000 for code in ours)
    assert (errors.MissingCapability.status, errors.HeaderMismatch.status, errors.UnsupportedVersion.status) == (
        400,
        400,
        400,
    )


@pytest.mark.parametrize("field", ["protocolVersion", "clientCapabilities"])
def test_a_request_without_a_required_meta_field_is_refused_with_400(door, field):
    meta = {key: value for key, value in META.items() if key != PREFIX + field}
    for answer in (door.ask("tools/list", meta=meta), door.call("add", {"a": 1, "b": 2}, meta=meta)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)
    no_client = {key: value for key, value in META.items() if key != PREFIX + "clientInfo"}
    assert door.ask("tools/list", meta=no_client).status_code == 200


@pytest.mark.parametrize("header", ["mcp-protocol-version", "mcp-method", "mcp-name"])
def test_a_request_without_a_standard_header_is_refused(door, header):
    answer = door.call("add", {"a": 1, "b": 2}, without={header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


def test_header_names_may_be_written_in_any_case(door):
    standard = {"mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": "add"}
    for spelled in (str.upper, str.title):
        extra = {spelled(name): value for name, value in standard.items()}
        answer = door.call("add", {"a": 1, "b": 2}, without=set(standard), **extra)
        assert answer.json()["result"]["structuredContent"] == {"result": 3}


def test_nothing_said_in_an_earlier_request_counts_in_the_next(door):
    loud = {**META, PREFIX + "logLevel": "debug", "progressToken": "p"}
    assert door.call("speak", meta=loud).headers["content-type"] == "text/event-stream"
    assert door.call("speak").headers["content-type"] == "application/json"
    bare = door.ask("tools/list", meta={PREFIX + "protocolVersion": VERSION})
    assert bare.json()["error"]["code"] == -32602, "capabilities of an earlier request must not stand in"


def test_what_a_stream_carries_before_its_result_are_notifications_of_that_request(door, messages):
    meta = {**META, PREFIX + "logLevel": "debug", "progressToken": "mine"}
    *notices, last = messages(door.call("speak", meta=meta, id="it"))
    assert last["id"] == "it"
    assert [notice["method"] for notice in notices] == [
        "notifications/progress",
        "notifications/message",
        "notifications/progress",
    ]
    assert all("id" not in notice for notice in notices)
    assert {notice["params"].get("progressToken", "mine") for notice in notices} == {"mine"}


def test_unknown_keys_in_meta_may_have_any_value(door):
    for value in (None, 1, "x", [1], {"a": 1}):
        meta = {**META, PREFIX + "unheard": value, "com.example/own": value}
        assert door.ask("tools/list", meta=meta).status_code == 200


def test_keys_of_the_servers_own_meta_follow_the_naming_rules(door):
    label = "[a-z]([a-z0-9-]*[a-z0-9])?"
    rule = re.compile(rf"({label}(\.{label})*/)?([a-z0-9]([a-z0-9._-]*[a-z0-9])?)?", re.IGNORECASE)
    found = set()
    for answer in (door.call("fails"), door.call("add"), door.ask("tools/list"), door.ask("server/discover")):
        found.update(answer.json()["result"]["_meta"])
    assert found >= {PREFIX + "serverInfo", "dev.bascule/error"}
    assert all(rule.fullmatch(key) for key in found)


def test_discovery_tells_versions_capabilities_and_identity(door):
    result = door.ask("server/discover").json()["result"]
    assert result["supportedVersions"] == [VERSION]
    assert {"tools", "resources", "prompts", "logging"} <= set(result["capabilities"])
    assert result["_meta"][PREFIX + "serverInfo"] == {"name": "every", "version": "1"}
    assert result["instructions"] == "Ask."


def test_everything_that_is_said_is_json_rpc_2_0_and_nothing_else_is_heard(door, messages):
    loud = {**META, PREFIX + "logLevel": "debug", "progressToken": "p"}
    said = messages(door.call("speak", meta=loud))
    said += [answer.json() for answer in (door.call("fails"), door.call("nobody"), door.ask("no/such"))]
    kinds = [{"method", "params"}, {"id", "result"}, {"id", "error"}]
    for message in said:
        assert message.pop("jsonrpc") == "2.0"
        assert set(message) in kinds
        assert set(message.get("error", {})) <= {"code", "message", "data"}
    assert [kind for kind in kinds if kind not in [set(message) for message in said]] == []
    good = request("tools/list")
    for wrong, code in (
        ({**good, "jsonrpc": "1.0"}, -32600),
        ({key: value for key, value in good.items() if key != "jsonrpc"}, -32600),
        ({**good, "method": 5}, -32600),
        ({**good, "id": [1]}, -32600),
        ({**good, "params": "none"}, -32602),
    ):
        answer = door.http.post(door.url, json=wrong, headers=headers(good))
        assert (answer.status_code, answer.json()["jsonrpc"], answer.json()["error"]["code"]) == (400, "2.0", code)
