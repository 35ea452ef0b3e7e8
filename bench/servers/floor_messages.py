"""The floor: the least that a correct answer takes. One decode of the whole message into structs, one encode.

Answers exactly the bytes that Bascule's server of this folder answers, and checks nothing.
"""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

URI = "bench://greeting"
PREFIX = "io.modelcontextprotocol/"
OPTIONS = {"rename": "camel", "omit_defaults": True}


class Implementation(Struct, **OPTIONS):
    name: str
    version: str = ""


class Meta(Struct, frozen=True, **OPTIONS):
    progress_token: str | int | None = None
    version: str | None = field(default=None, name=PREFIX + "protocolVersion")
    client: Implementation | None = field(default=None, name=PREFIX + "clientInfo")
    capabilities: dict[str, Any] | None = field(default=None, name=PREFIX + "clientCapabilities")


class Arguments(Struct, frozen=True):
    a: int = 0
    b: int = 0
    text: str = ""
    n: int = 0


class Params(Struct, frozen=True):
    name: str = ""
    uri: str = ""
    arguments: Arguments = Arguments()
    meta: Meta = field(default=Meta(), name="_meta")


class Message(Struct):
    jsonrpc: str
    method: str
    id: str | int | None = None
    params: Params = Params()


class Text(Struct, tag_field="type", tag="text"):
    text: str


class Structured(Struct):
    result: int | str


class ServerMeta(Struct):
    server: Implementation = field(name=PREFIX + "serverInfo")


class CallResult(Struct, **OPTIONS):
    content: list[Text]
    structured_content: Structured
    result_type: str | None = None
    meta: ServerMeta | None = field(default=None, name="_meta")


class Response(Struct, tag_field="jsonrpc", tag="2.0"):
    id: str | int | None
    result: Any


class Progress(Struct, **OPTIONS):
    progress_token: str | int
    progress: int
    total: int


class Notice(Struct, tag_field="jsonrpc", tag="2.0"):
    method: str
    params: Progress


TOOLS = {
    "add": lambda given: given.a + given.b,
    "echo": lambda given: given.text,
    "big": lambda given: "x" * (given.n * 1024),
    "steps": lambda given: f"{given.n} steps",
}

SERVER = Implementation("bench", "1")
SERVER_META = ServerMeta(SERVER)

decode = msgspec.json.Decoder(Message).decode
encode = msgspec.json.Encoder().encode


def answer(message: Message) -> bytes:
    """The answer to one request."""
    return encode(Response(message.id, result(message)))


def result(message: Message) -> Any:
    params = message.params
    if message.method != "tools/call":
        modern = params.meta.version is not None
        return OTHERS[message.method, modern]
    value = TOOLS[params.name](params.arguments)
    if params.meta.version is None:
        return CallResult([Text(str(value))], Structured(value))
    return CallResult([Text(str(value))], Structured(value), "complete", SERVER_META)


def notices(message: Message) -> Iterator[bytes]:
    """The notices that precede the answer."""
    token = message.params.meta.progress_token
    if token is not None and message.params.name == "steps":
        total = message.params.arguments.n
        for step in range(1, total + 1):
            yield encode(Notice("notifications/progress", Progress(token, step, total)))


def _tool(name: str, description: str, kind: str, **properties: str) -> dict[str, Any]:
    return {
        "name": name,
        "inputSchema": {
            "type": "object",
            "properties": {key: {"type": value} for key, value in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        },
        "description": description,
        "outputSchema": {"type": "object", "properties": {"result": {"type": kind}}, "required": ["result"]},
    }


def _tools(count: int) -> list[dict[str, Any]]:
    return [
        _tool("add", "Add two numbers.", "integer", a="integer", b="integer"),
        _tool("echo", "Return the text.", "string", text="string"),
        _tool("big", "Return n kilobytes of text.", "string", n="integer"),
        _tool("steps", "Send n progress notices.", "string", n="integer"),
        *(
            _tool(f"add_{number}", "Add two numbers.", "integer", a="integer", b="integer")
            for number in range(4, count)
        ),
    ]


def _others() -> dict[tuple[str, bool], Raw]:
    """Answers that are the same every time, encoded once; by method, and whether the request is stateless."""
    contents = [{"uri": URI, "mimeType": "text/plain", "text": "Hello"}]
    listed = [{"uri": URI, "name": "greeting", "description": "A greeting.", "mimeType": "text/plain"}]
    changes = {"listChanged": True}
    resources = {"subscribe": True, **changes}
    capabilities: dict[str, Any] = {"tools": changes, "resources": resources, "logging": {}}
    complete = {"resultType": "complete", "_meta": SERVER_META}
    cached = {**complete, "ttlMs": 0, "cacheScope": "private"}
    results = {
        "tools/list": {"tools": _tools(int(os.environ.get("BENCH_TOOLS", "4")))},
        "resources/list": {"resources": listed},
        "resources/read": {"contents": contents},
    }
    found = {(method, False): found for method, found in results.items()}
    found |= {(method, True): {**found, **cached} for method, found in results.items()}
    found["server/discover", True] = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, **cached}
    found["initialize", False] = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": SERVER}
    found["ping", False] = {}
    return {key: Raw(encode(value)) for key, value in found.items()}


OTHERS = _others()
