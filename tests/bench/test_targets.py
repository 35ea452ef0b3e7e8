"""The targets file, and the floor that everything is compared with."""

import json
import re

import pytest

from bench import messages, targets
from bench.environments import ROOT
from bench.servers.bascule_server import app
from bench.servers.floor_messages import answer, decode, notices

LINE = (
    'target = [{ name = "one", title = "One", environment = "own", package = "one", eras = ["stateless"], '
    'http = "one.py {port}" }]'
)


def test_the_targets_file_is_valid():
    known = targets.load()
    assert {"floor", "bascule"} <= {target.name for target in known}
    for target in known:
        assert target.title
        assert any(target.has(part) for part in targets.PARTS)


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_every_program_exists(transport):
    for target in targets.load():
        line = target.http if transport == "http" else target.stdio
        if line is not None:
            program = line.split()[-1] if line.startswith("-m bascule serve") else line.split()[0]
            assert (ROOT / program.replace(".bench/", "bench/")).is_file(), program


def test_a_command_gets_its_port(tmp_path):
    (tmp_path / "targets.toml").write_text(LINE)
    (target,) = targets.load(tmp_path / "targets.toml")
    assert target.command("http", 1234)[1:] == ["one.py", "1234"]
    assert target.command("stdio") is None
    assert target.has("calls")
    assert not target.has("cold")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"stateless"', '"stateles"'),
        ('"own"', '"owns"'),
        ("{port}", "3000"),
        ('eras = ["stateless"]', "eras = []"),
        ('title = "One"', 'titel = "One"'),
        (" }]", ', parts = ["all"] }]'),
        ("}]", "}, " + LINE.partition("[")[2]),
    ],
)
def test_a_wrong_line_is_found(tmp_path, old, new):
    (tmp_path / "targets.toml").write_text(LINE.replace(old, new))
    with pytest.raises(ValueError):  # noqa: PT011
        targets.load(tmp_path / "targets.toml")


ASKED = [
    ("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}),
    ("tools/call", {"name": "echo", "arguments": {"text": 'grüß "🌍"'}}),
    ("tools/call", {"name": "big", "arguments": {"n": 2}}),
    ("tools/call", {"name": "steps", "arguments": {"n": 3}, "_meta": {"progressToken": "t"}}),
    ("tools/list", {}),
    ("resources/list", {}),
    ("resources/read", {"uri": "bench://greeting"}),
]


@pytest.mark.parametrize(("method", "params"), ASKED, ids=lambda value: str(value)[:40])
async def test_the_floor_answers_byte_for_byte_what_bascule_answers(method, params):
    bascule, session = app.asgi(), None
    try:
        for era in targets.ERAS:
            if era == "handshake":
                opened, body = await post(bascule, era, messages.initialize(), None)
                session = dict(opened["headers"])[b"mcp-session-id"].decode()
                assert body == answer(decode(json.dumps(messages.initialize()).encode()))
            meta = {**messages.META, **params.get("_meta", {})}
            given = {**params, "_meta": meta} if era == "stateless" else params
            message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": given}
            _, body = await post(bascule, era, message, session)
            floor = decode(json.dumps(message).encode())
            sent = [*notices(floor), answer(floor)]
            streamed = "progressToken" in params.get("_meta", {})
            said = re.sub(rb"id: \S+\n(data: \n\n)?", b"", body)  # what lets a handshake-era client come back
            assert said == (b"".join(b"data: %b\n\n" % part for part in sent) if streamed else sent[0])
    finally:
        await stop(bascule)


async def post(bascule, era, message, session):
    """The start and the whole body of the answer."""
    sent = []
    params = message["params"]
    named = params.get("name") or params.get("uri")
    head = {"host": "127.0.0.1", **messages.headers(era, message["method"], named, session)}

    async def receive():
        return {"type": "http.request", "body": json.dumps(message).encode()}

    async def send(part):
        sent.append(part)

    pairs = [(key.lower().encode(), value.encode()) for key, value in head.items()]
    await bascule({"type": "http", "path": "/mcp", "method": "POST", "headers": pairs}, receive, send)
    assert sent[0]["status"] == 200
    return sent[0], b"".join(part["body"] for part in sent[1:])


async def stop(bascule):
    async def receive():
        return {"type": "lifespan.shutdown"}

    async def send(message):
        pass

    await bascule({"type": "lifespan"}, receive, send)
