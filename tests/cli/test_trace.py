"""--trace: one line for each message, with its time and direction, and no secret."""

import io
import json
import re

import pytest

from bascule import Client, Server
from bascule.cli.aside import Aside
from bascule.cli.trace import Trace
from bascule.engine.connection import Head
from tests.serving import serving

LINE = re.compile(r" *\d+\.\d{3} (-->|<--) ")


def traced(*messages):
    stream = io.StringIO()
    trace = Trace(Aside(stream))
    for sent, data, head in messages:
        trace.show(sent, data if isinstance(data, bytes) else json.dumps(data).encode(), head)
    lines = stream.getvalue().splitlines()
    assert all(LINE.match(line) for line in lines)
    return [LINE.sub("", line) for line in lines]


def test_each_message_is_one_line():
    lines = traced(
        (True, {"id": 1, "text": "a\nb\u2028c"}, Head("POST http://h/mcp", {"mcp-method": "x", "authorization": "y"})),
        (False, b"", Head("202 Accepted", {})),
        (False, {"id": 1}, None),
    )
    assert lines == [
        'POST http://h/mcp mcp-method: x; authorization: ***; {"id":1,"text":"a\\nb\\u2028c"}',
        "202 Accepted",
        '{"id":1}',
    ]


def test_long_values_and_long_lines_are_cut():
    (line,) = traced((False, {"data": "x" * 1000}, None))
    assert line == f'{{"data":"{"x" * 160}...(+840)"}}'
    (line,) = traced((False, [{"n": "y" * 100}] * 100, None))
    assert len(line) < 2100
    assert re.search(r"\.\.\.\(\+\d+\)$", line)


def test_a_secret_that_is_cut_is_still_hidden():
    (line,) = traced((True, {"text": "x" * 150 + " Bearer abcdefghijklmnop"}, None))
    assert "abcd" not in line


@pytest.mark.parametrize("data", [b"no json", b'{"a":', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(data):
    (line,) = traced((False, data, None))
    assert line.startswith("(no JSON) ")


async def test_a_real_call_is_traced_without_its_secrets():
    app = Server("vault")

    @app.tool
    async def open(password: str) -> str:
        return f"opened with {password}"

    stream = io.StringIO()
    with serving(app) as running:
        headers = {"Authorization": "Bearer very-secret-token", "X-Plain": "seen"}
        async with Client(running.url, headers=headers, on_wire=Trace(Aside(stream)).show) as client:
            await client.list_tools()
            await client.call_tool("open", {"password": "hunter2"})
    said = stream.getvalue()
    assert "very-secret-token" not in said
    assert "hunter2" not in said
    assert "x-plain: seen" in said
    assert '"password":"***"' in said
    assert "tools/call" in said
