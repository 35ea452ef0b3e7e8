"""What a trace hides."""

import json

import pytest

from bascule.cli.masks import Masks

LISTED = {
    "result": {
        "tools": [
            {
                "name": "login",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "user": {"type": "string"},
                        "pin": {"type": "string", "format": "password"},
                        "inner": {"$ref": "#/$defs/Inner"},
                        "many": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"w": {"writeOnly": True}}},
                        },
                        "either": {"anyOf": [{"type": "null"}, {"type": "string", "writeOnly": True}]},
                    },
                    "$defs": {"Inner": {"properties": {"deep": {"writeOnly": True}, "open": {}}}},
                },
            },
            "no tool",
            {"name": 1},
        ]
    }
}


def called(**arguments):
    return {"method": "tools/call", "params": {"name": "login", "arguments": arguments}}


def test_arguments_that_a_schema_calls_secret_are_hidden_wherever_they_turn_up():
    masks = Masks()
    masks.learn(LISTED)
    sent = masks.masked(
        called(
            user="ada",
            pin="hunter2",
            inner={"deep": "down-there", "open": "door"},
            many=[{"w": "first-one", "x": 1}],
            either="or-this",
        )
    )
    assert sent["params"]["arguments"] == {
        "user": "ada",
        "pin": "***",
        "inner": {"deep": "***", "open": "door"},
        "many": [{"w": "***", "x": 1}],
        "either": "***",
    }
    echoed = json.dumps(masks.masked({"result": {"content": [{"text": "hunter2 down-there first-one or-this ada"}]}}))
    assert "*** *** *** *** ada" in echoed


def test_what_is_secret_of_one_tool_is_not_of_another():
    masks = Masks()
    masks.learn(LISTED)
    other = {"method": "tools/call", "params": {"name": "other", "arguments": {"pin": "1234"}}}
    assert masks.masked(other) == other


def test_answers_to_a_form_are_hidden_in_both_eras():
    form = {"message": "?", "requestedSchema": {"properties": {"code": {"type": "string", "writeOnly": True}}}}
    asked = {"result": {"inputRequests": {"k": {"method": "elicitation/create", "params": form}}}}
    for question in (asked, {"method": "elicitation/create", "id": 1, "params": form}):
        masks = Masks()
        masks.learn(question)
        accepted = {"action": "accept", "content": {"code": "12345678", "open": "x"}}
        hidden = {"action": "accept", "content": {"code": "***", "open": "x"}}
        answers = masks.masked({"params": {"inputResponses": {"k": accepted}}})
        assert answers["params"]["inputResponses"]["k"] == hidden
        assert masks.masked({"id": 1, "result": accepted})["result"] == hidden


def test_a_batch_is_masked_message_by_message():
    masks = Masks()
    masks.learn([LISTED])
    assert masks.masked([called(pin="12345")]) == [called(pin="***")]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abc", "***"),
        ("X-API-Key", "abc", "***"),
        ("Cookie", "a=b", "***"),
        ("mcp-session-id", "abcdef", "***"),
        ("Mcp-Method", "tools/call", "tools/call"),
        ("X-Note", "Bearer abcdefgh", "Bearer ***"),
    ],
)
def test_headers_that_speak_of_secrets_are_hidden(name, value, shown):
    assert Masks().headers({name: value}) == {name: shown}


def test_an_argument_that_a_header_repeats_is_hidden_there_too():
    masks = Masks()
    masks.learn(LISTED)
    masks.masked(called(pin="geheimnis-ä"))
    assert masks.headers({"Mcp-Param-Pin": "=?base64?Z2VoZWltbmlzLcOk?="}) == {"Mcp-Param-Pin": "***"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("say Bearer abc.def-ghi now", "say Bearer *** now"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"),
        ("key sk-abcdefghijklmnop1234", "key ***"),
        ("a bear's basic needs", "a bear's basic needs"),
    ],
)
def test_what_looks_like_a_token_is_hidden(text, shown):
    assert Masks().masked({"result": {"text": text}}) == {"result": {"text": shown}}


def test_fields_with_secret_names_are_hidden_but_schemas_of_them_are_not():
    masks = Masks()
    message = {
        "password": "x",
        "api_key": "y",
        "accessToken": 5,
        "progressToken": 7,
        "properties": {"password": {"type": "string"}},
        "secret": True,
    }
    assert masks.masked(message) == {**message, "password": "***", "api_key": "***", "accessToken": "***"}


def test_a_url_keeps_neither_user_nor_query():
    shown = Masks().url("POST https://ada:pw@example.com/mcp?key=abc&b=c")
    assert shown == "POST https://***@example.com/mcp?key=***&b=***"


@pytest.mark.parametrize("message", [None, 1, [], {"params": []}, {"result": {"tools": 1, "inputRequests": []}}])
def test_odd_messages_are_no_trouble(message):
    masks = Masks()
    masks.learn(message)
    assert masks.masked(message) == message
