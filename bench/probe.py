"""Is every answer right? Asked before and after each timing, by a slow and plain client that reads JSON as JSON."""

import http.client
import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from bench import stdio_load
from bench.child import Child, Failed
from bench.messages import INITIALIZED, META, headers, initialize

URI = "bench://greeting"

_ENVELOPE = re.compile(r"[^\n]+\n<(?P<mark>untrusted-\w+) [^\n]+>\n(?P<inner>.*)\n</(?P=mark)>", re.DOTALL)

_ids = count(1)


class HttpSpeaker:
    """Speaks one era to one port, with an API key where it has one."""

    def __init__(self, port: int, era: str, key: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._era = era
        self._key = key
        self.session: str | None = None

    def open(self) -> None:
        """The handshake, where the era has one."""
        if self._era == "handshake":
            self.session = None
            answer = self._post(initialize())
            _require(answer["result"]["serverInfo"]["name"] == "bench", answer)
            self._post(INITIALIZED)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        given = {**params, "_meta": META} if self._era == "stateless" else params
        return self._post({"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": given})

    def close(self) -> None:
        self._connection.close()

    def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params", {})
        named = params.get("name") or params.get("uri")
        head = headers(self._era, message["method"], named, self.session, self._key)
        self._connection.request("POST", "/mcp", json.dumps(message), head)
        response = self._connection.getresponse()
        body = response.read()
        _require(response.status == (200 if "id" in message else 202), (response.status, body[:500]))
        self.session = response.headers.get("mcp-session-id") or self.session
        return _answer(body, message["id"]) if "id" in message else {}


class StdioSpeaker:
    """Speaks one era to a child."""

    def __init__(self, child: Child, era: str) -> None:
        self._child = child
        self._era = era
        self._lines = stdio_load.lines(child)

    def open(self) -> None:
        """The handshake, where the era has one."""
        if self._era == "handshake":
            answer = self._exchange(initialize())
            _require(answer["result"]["serverInfo"]["name"] == "bench", answer)
            self._send(INITIALIZED)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        given = {**params, "_meta": META} if self._era == "stateless" else params
        return self._exchange({"jsonrpc": "2.0", "id": next(_ids), "method": method, "params": given})

    def _send(self, message: dict[str, Any]) -> None:
        self._child.stdin.write(json.dumps(message).encode() + b"\n")

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        self._send(message)
        for lines in self._lines:
            for line in lines:
                found: dict[str, Any] = json.loads(line) if line.strip() else {}
                if found.get("id") == message["id"]:
                    return found
        raise Failed("the server has closed its output")


def check(speaker: HttpSpeaker | StdioSpeaker, tools: int = 4, wrapped: bool = False) -> None:
    """Ask everything that is timed, and what shows a wrong answer best. `wrapped` texts must come in envelopes.

    Raises Failed.
    """
    text_of = _unwrapped if wrapped else str
    for name, arguments, expected in (
        ("add", {"a": -3, "b": 45}, "42"),
        ("echo", {"text": 'grüß "🌍"\n'}, 'grüß "🌍"\n'),
        ("big", {"n": 3}, "x" * 3072),
        ("steps", {"n": 2}, "2 steps"),
    ):
        result = speaker.ask("tools/call", {"name": name, "arguments": arguments}).get("result", {})
        _require(not result.get("isError"), result)
        _require([text_of(block["text"]) for block in result.get("content", [])] == [expected], result)
    listed = speaker.ask("tools/list", {}).get("result", {}).get("tools", [])
    names = ["add", "echo", "big", "steps", *(f"add_{number}" for number in range(4, tools))]
    _require([tool["name"] for tool in listed] == names, listed)
    _require(all(tool["inputSchema"]["type"] == "object" and tool["description"] for tool in listed), listed)
    (read,) = speaker.ask("resources/read", {"uri": URI})["result"]["contents"]
    _require((read["uri"], read["mimeType"], text_of(read["text"])) == (URI, "text/plain", "Hello"), read)


def _unwrapped(text: str) -> str:
    """What stands in an envelope for untrusted texts; a word that is no answer where there is none."""
    found = _ENVELOPE.fullmatch(text)
    return found["inner"] if found else "no envelope"


def _answer(body: bytes, request_id: int) -> dict[str, Any]:
    for message in _messages(body):
        if message.get("id") == request_id:
            return message
    raise Failed(f"there is no answer to request {request_id} in {body[:500]!r}")


def _messages(body: bytes) -> Iterator[dict[str, Any]]:
    """The messages of a JSON document or of an event stream."""
    if body.startswith(b"{"):
        yield json.loads(body)
        return
    for line in body.decode().replace("\r\n", "\n").split("\n"):
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data:
            yield json.loads(data)


def _require(right: bool, shown: object) -> None:
    if not right:
        raise Failed(f"the answer is wrong: {str(shown)[:800]}")
