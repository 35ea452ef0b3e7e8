"""What revision 2025-11-25 requires of sessions and streams, over HTTP."""

import pytest

from tests.messages import ACCEPT, initialize, legacy

JSON = {"content-type": "application/json", "accept": ACCEPT}


@pytest.fixture
def session(door):
    answer = door.http.post(door.url, json=initialize(), headers=JSON)
    return {**JSON, "mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}


def post(door, session, message):
    return door.http.post(door.url, json=message, headers=session)


def speak(token, id=1):
    params = {"name": "speak", "arguments": {}, "_meta": {"progressToken": token}}
    return legacy("tools/call", params, id=id)


def test_the_handshake_tells_version_capabilities_and_identity(door):
    result = door.http.post(door.url, json=initialize(), headers=JSON).json()["result"]
    assert result["protocolVersion"] == "2025-11-25"
    assert {"tools", "prompts", "resources", "logging"} <= set(result["capabilities"])
    assert result["serverInfo"] == {"name": "every", "version": "1"}


def test_one_endpoint_takes_post_and_get(door, session):
    assert post(door, session, legacy("ping")).status_code == 200
    with door.http.stream("GET", door.url, headers={**session, "accept": "text/event-stream"}) as stream:
        assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream")


def test_a_notice_or_an_answer_in_a_session_is_accepted_without_a_body(door, session):
    notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    for message in (notice, {"jsonrpc": "2.0", "id": 99, "result": {}}):
        answer = post(door, session, message)
        assert (answer.status_code, answer.content) == (202, b"")


def test_a_get_stream_carries_no_answer_and_no_message_of_another_stream(door, session, messages):
    with door.http.stream("GET", door.url, headers={**session, "accept": "text/event-stream"}) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ":"
        assert len(messages(post(door, session, speak("p")))) >= 3
        assert post(door, session, legacy("ping", id=2)).json()["result"] == {}
        assert door.http.delete(door.url, headers=session).status_code == 200
        assert [line for line in lines if line.startswith("data")] == []


def test_progress_of_a_session_rises_with_the_token_of_its_request(door, session, messages):
    found = messages(post(door, session, speak("p")))
    told = [message["params"] for message in found if message.get("method") == "notifications/progress"]
    assert [(one["progressToken"], one["progress"]) for one in told] == [("p", 1), ("p", 2)]
    assert found[-1]["id"] == 1
    quiet = post(door, session, legacy("tools/call", {"name": "speak", "arguments": {}}))
    assert "notifications/progress" not in quiet.text


def test_a_progress_token_is_a_text_or_an_integer(door, session):
    assert post(door, session, speak(7)).status_code == 200
    for wrong in (1.5, [], True):
        assert post(door, session, speak(wrong)).json()["error"]["code"] == -32602


def test_a_version_header_that_is_not_served_is_refused_with_400(door, session):
    for wrong in ("2024-01-01", "nonsense"):
        refused = post(door, {**session, "mcp-protocol-version": wrong}, legacy("ping"))
        assert refused.status_code == 400


def test_a_ping_is_answered_with_an_empty_result(door, session):
    assert post(door, session, legacy("ping", id="p")).json() == {"jsonrpc": "2.0", "id": "p", "result": {}}
