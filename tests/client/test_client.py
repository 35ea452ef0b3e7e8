"""The client over a scripted stream: what it sends, what it makes of answers, what it promises when they fail."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import bascule
from bascule.client import client as module
from bascule.client.client import Client
from bascule.client.connect import Openers
from bascule.engine.framing import TooLong
from bascule.errors import CallTimedOut, ConnectionLost, InvalidParams, MCPError, MethodNotFound
from bascule.runtime.caller import Caller
from bascule.wire.notices import LogMessageParams
from bascule.wire.tools import CallToolResult, ToolExecution
from tests.client.scripted import LEGACY, MODERN, Message, ScriptedStream, answer, error, legacy, modern, notice

TEXT = {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}}
Connect = Callable[..., Client]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Clients of a scripted stream."""

    def connected(stream: ScriptedStream, **options: Any) -> Client:
        monkeypatch.setattr(module, "opener", lambda *_, **__: Openers(lambda inbox: Caller(stream, inbox)))
        return Client("scripted", **options)

    return connected


def test_a_client_says_the_version_of_the_package() -> None:
    assert inspect.signature(Client).parameters["version"].default == bascule.__version__


@pytest.mark.parametrize("script", [modern, legacy])
async def test_what_the_server_said_of_itself_can_be_read(connect: Connect, script: Any) -> None:
    async with connect(ScriptedStream(script())) as client:
        assert client.era == script.__name__
        assert client.protocol_version == (MODERN if client.era == "modern" else LEGACY)
        assert client.server is not None
        assert client.server.name == "scripted"
        assert client.capabilities.tools == {}
        assert client.instructions == ("Be kind." if client.era == "modern" else None)


async def test_every_modern_request_says_who_asks_and_in_which_version(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/list": {"tools": []}}))
    async with connect(stream, name="me", version="7") as client:
        await client.list_tools()
    for message in stream.sent:
        assert message["params"]["_meta"] == {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "me", "version": "7"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }


async def test_a_legacy_server_is_shaken_hands_with(connect: Connect) -> None:
    stream = ScriptedStream(legacy({"tools/list": {"tools": []}}))
    async with connect(stream, name="me", version="7") as client:
        await client.list_tools()
    assert stream.methods() == ["server/discover", "initialize", "notifications/initialized", "tools/list"]
    assert stream.sent[1]["params"] == {
        "protocolVersion": LEGACY,
        "capabilities": {},
        "clientInfo": {"name": "me", "version": "7"},
    }
    assert "params" not in stream.sent[3]


async def test_a_tool_is_called_and_its_result_decoded(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": TEXT}))
    async with connect(stream) as client:
        result = await client.call_tool("add", {"a": 1, "b": 2}, meta={"trace": "x"})
    assert isinstance(result, CallToolResult)
    assert (result.structured_content, result.is_error) == ({"result": 3}, False)
    sent = stream.sent[-1]["params"]
    assert (sent["name"], sent["arguments"], sent["_meta"]["trace"]) == ("add", {"a": 1, "b": 2}, "x")


async def test_a_failed_tool_is_a_result(connect: Connect) -> None:
    async with connect(ScriptedStream(modern({"tools/call": {"content": [], "isError": True}}))) as client:
        assert (await client.call_tool("add")).is_error


async def test_errors_of_the_server_are_raised_with_their_data(connect: Connect) -> None:
    refuse = {"tools/call": lambda message: [error(message, -32602, "Unknown tool", {"name": "x"})]}
    async with connect(ScriptedStream(modern(refuse))) as client:
        with pytest.raises(InvalidParams, match="Unknown tool") as caught:
            await client.call_tool("x")
        assert caught.value.data == {"name": "x"}
        with pytest.raises(MethodNotFound):
            await client.list_prompts()


async def test_lists_follow_their_cursors(connect: Connect) -> None:
    def pages(message: Message) -> list[Message]:
        cursor = message["params"].get("cursor")
        following = {None: "", "": "b", "b": None}[cursor]
        tool = {"name": f"tool {cursor}", "inputSchema": {"type": "object"}}
        return [answer(message, {"tools": [tool], "nextCursor": following})]

    async with connect(ScriptedStream(modern({"tools/list": pages}))) as client:
        assert [tool.name for tool in await client.list_tools()] == ["tool None", "tool ", "tool b"]


async def test_a_cursor_that_comes_twice_is_an_error(connect: Connect) -> None:
    async with connect(ScriptedStream(modern({"prompts/list": {"prompts": [], "nextCursor": "a"}}))) as client:
        with pytest.raises(MCPError, match="circle"):
            await client.list_prompts()


async def test_pages_without_end_are_an_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    endless = {"tools/list": lambda m: [answer(m, {"tools": [], "nextCursor": str(m["id"])})]}
    async with connect(ScriptedStream(modern(endless))) as client:
        with pytest.raises(MCPError, match="do not end"):
            await client.list_tools()


async def test_resources_templates_and_prompts(connect: Connect) -> None:
    results = {
        "resources/list": {"resources": [{"uri": "a://b", "name": "b"}]},
        "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "a://{b}", "name": "c"}]},
        "resources/read": {"contents": [{"uri": "a://b", "text": "t"}]},
        "prompts/list": {"prompts": [{"name": "p"}]},
        "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]},
    }
    stream = ScriptedStream(legacy(results))
    async with connect(stream) as client:
        assert (await client.list_resources())[0].uri == "a://b"
        assert (await client.list_resource_templates())[0].uri_template == "a://{b}"
        assert (await client.read_resource("a://b")).contents[0].text == "t"
        assert (await client.list_prompts())[0].name == "p"
        assert (await client.get_prompt("p", {"x": "y"})).messages[0].role == "user"
    assert stream.sent[-1]["params"] == {"name": "p", "arguments": {"x": "y"}}


@pytest.mark.parametrize(("script", "method"), [(modern, "server/discover"), (legacy, "ping")])
async def test_ping_asks_what_the_era_has(connect: Connect, script: Any, method: str) -> None:
    stream = ScriptedStream(script())
    async with connect(stream) as client:
        await client.ping()
    assert stream.methods()[-1] == method


async def test_the_log_level_travels_as_the_era_wants_it(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": TEXT}))
    async with connect(stream) as client:
        await client.set_log_level("info")
        await client.call_tool("add")
    assert stream.sent[-1]["params"]["_meta"]["io.modelcontextprotocol/logLevel"] == "info"
    assert stream.methods() == ["server/discover", "tools/call"]
    stream = ScriptedStream(legacy({"logging/setLevel": {}}))
    async with connect(stream) as client:
        await client.set_log_level("info")
    assert stream.sent[-1]["params"] == {"level": "info"}


async def test_progress_arrives_before_the_result_in_order_sync_or_async(connect: Connect) -> None:
    def work(message: Message) -> list[Message]:
        token = message["params"]["_meta"]["progressToken"]
        steps = [notice("notifications/progress", progressToken=token, progress=i, total=2.0) for i in range(3)]
        stray = notice("notifications/progress", progressToken="somebody else's", progress=1)
        return [*steps, stray, answer(message, TEXT)]

    seen: list[Any] = []

    async def slowly(progress: float, total: float | None, message: str | None) -> None:
        await asyncio.sleep(0)
        seen.append((progress, total, message))

    def broken(*_: Any) -> None:
        raise ValueError("my own fault")

    async with connect(ScriptedStream(modern({"tools/call": work}))) as client:
        await client.call_tool("add", on_progress=slowly)
        assert seen == [(0, 2.0, None), (1, 2.0, None), (2, 2.0, None)]
        await client.call_tool("add", on_progress=lambda *step: seen.append(step))
        assert len(seen) == 6
        assert not (await client.call_tool("add", on_progress=broken)).is_error


async def test_log_messages_and_other_notices_reach_their_callbacks(connect: Connect) -> None:
    logs: list[LogMessageParams] = []
    notices: list[Any] = []
    said = [
        notice("notifications/message", level="info", data={"a": 1}, logger="db"),
        notice("notifications/message", level="no such level", data=1),
        notice("notifications/tools/list_changed"),
    ]
    stream = ScriptedStream(modern({"tools/call": lambda m: [*said, answer(m, TEXT)]}))
    async with connect(stream, on_log=logs.append, on_notice=lambda *n: notices.append(n)) as client:
        await client.call_tool("add")
    assert [(log.level, log.data, log.logger) for log in logs] == [("info", {"a": 1}, "db")]
    assert notices == [("notifications/tools/list_changed", {})]


async def test_a_call_that_times_out_is_cancelled_at_the_server(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: []}))
    async with connect(stream) as client:
        with pytest.raises(CallTimedOut, match=r"tools/call within 0\.01 seconds"):
            await client.call_tool("slow", timeout=0.01)
        call, cancelled = stream.sent[-2:]
        assert cancelled["method"] == "notifications/cancelled"
        assert cancelled["params"]["requestId"] == call["id"]
        stream.say(answer(call, TEXT))
        await client.ping()


async def test_a_cancelled_task_cancels_its_call(connect: Connect) -> None:
    stream = ScriptedStream(legacy({"tools/call": lambda m: []}))
    async with connect(stream) as client:
        task = asyncio.create_task(client.call_tool("slow"))
        await stream.until_sent("tools/call")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert stream.methods()[-2:] == ["tools/call", "notifications/cancelled"]


async def listed(each: Any) -> None:
    async for _ in each:
        pass


@pytest.mark.parametrize(
    ("call", "method"),
    [
        (lambda c, s: c.list_tools(timeout=s), "tools/list"),
        (lambda c, s: c.list_resources(timeout=s), "resources/list"),
        (lambda c, s: c.list_resource_templates(timeout=s), "resources/templates/list"),
        (lambda c, s: c.list_prompts(timeout=s), "prompts/list"),
        (lambda c, s: listed(c.iter_tools(timeout=s)), "tools/list"),
        (lambda c, s: listed(c.iter_resources(timeout=s)), "resources/list"),
        (lambda c, s: listed(c.iter_resource_templates(timeout=s)), "resources/templates/list"),
        (lambda c, s: listed(c.iter_prompts(timeout=s)), "prompts/list"),
        (lambda c, s: c.list_page("tools/list", timeout=s), "tools/list"),
        (lambda c, s: c.read_resource("a://b", timeout=s), "resources/read"),
        (lambda c, s: c.get_prompt("p", timeout=s), "prompts/get"),
        (lambda c, s: c.complete("a", "", prompt="p", timeout=s), "completion/complete"),
        (lambda c, s: c.request("x/y", timeout=s), "x/y"),
        (lambda c, s: c.ping(timeout=s), "ping"),
    ],
)
async def test_every_call_takes_a_time_of_its_own(connect: Connect, call: Any, method: str) -> None:
    stream = ScriptedStream(lambda message: [] if message["method"] == method else legacy()(message))
    async with connect(stream, timeout=60) as client:
        with pytest.raises(CallTimedOut, match=rf"{method} within 0\.01 seconds"):
            await call(client, 0.01)
    assert stream.methods()[-2:] == [method, "notifications/cancelled"]


async def test_initialize_is_never_cancelled(connect: Connect) -> None:
    stream = ScriptedStream(legacy({"initialize": lambda m: []}))
    with pytest.raises(CallTimedOut):
        async with connect(stream, timeout=0.01):
            pass
    assert stream.methods() == ["server/discover", "initialize"]
    assert stream.closed


async def test_a_lost_connection_fails_the_calls_under_way_and_the_next_begins_anew(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: []}))
    async with connect(stream) as client:
        calls = [asyncio.create_task(client.call_tool("slow")) for _ in range(3)]
        await stream.until_sent("tools/call")
        stream.end(ConnectionLost("it died"))
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, ConnectionLost)
            assert str(outcome) == "it died"
        await client.ping()
        assert stream.methods().count("tools/call") == 3, "what may have been carried out is not repeated"


async def test_leaving_fails_the_calls_under_way(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: []}))
    async with connect(stream) as client:
        call = asyncio.create_task(client.call_tool("slow"))
        await stream.until_sent("tools/call")
    with pytest.raises(ConnectionLost, match="closed"):
        await call


async def test_a_body_that_raises_still_closes(connect: Connect) -> None:
    stream = ScriptedStream(modern())
    with pytest.raises(KeyError):
        async with connect(stream):
            raise KeyError
    assert stream.closed


async def test_a_server_may_ping_and_is_refused_the_rest(connect: Connect) -> None:
    stream = ScriptedStream(legacy())
    async with connect(stream) as client:
        stream.say({"jsonrpc": "2.0", "id": "s1", "method": "ping"})
        stream.say({"jsonrpc": "2.0", "id": "s2", "method": "roots/list"})
        await client.ping()
        await client.ping()
    answers = {message["id"]: message for message in stream.sent if "method" not in message}
    assert answers["s1"]["result"] == {}
    assert answers["s2"]["error"]["code"] == -32601


@pytest.mark.parametrize(
    "garbage", [b"not json", b"\xff\xfe", b"[]", b"[1]", b"17", b'{"jsonrpc": "1.0"}', b"[" * 5000, b'{"id": 5}']
)
async def test_what_cannot_be_read_is_skipped(
    connect: Connect, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def noisy(message: Message) -> list[Any]:
        other = {"jsonrpc": "2.0", "method": "notifications/message", "params": []}
        return [other, answer(message, TEXT)]

    stream = ScriptedStream(modern({"tools/call": noisy}))
    async with connect(stream) as client:
        stream.say(garbage)
        assert not (await client.call_tool("add")).is_error
    assert "skipped" in caplog.text


@pytest.mark.parametrize(
    "result",
    [{"content": "no list"}, [], 17, None, {"content": [{"type": "hologram"}]}, {"tools": 1}],
)
async def test_a_result_of_the_wrong_shape_fails_that_call(connect: Connect, result: Any) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: [answer(m, result)]}))
    async with connect(stream) as client:
        with pytest.raises(MCPError, match=r"malformed|cannot be read"):
            await client.call_tool("add")
        await client.ping()


async def test_an_answer_that_is_no_message_fails_its_call(connect: Connect) -> None:
    odd = {"tools/call": lambda m: [{"jsonrpc": "2.0", "id": m["id"], "error": "not an object"}]}
    async with connect(ScriptedStream(modern(odd))) as client:
        with pytest.raises(MCPError, match="cannot be read"):
            await client.call_tool("add")


async def test_a_message_that_is_too_large_fails_the_only_call_under_way(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: [TooLong(b'{"result":{"content":[')]}))
    async with connect(stream) as client:
        with pytest.raises(MCPError, match="larger than allowed"):
            await client.call_tool("add")
        await client.ping()


def broken(message: Message) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"structuredContent":{"id":%d,"x":NaN}}}' % (
        message["id"],
        message["id"] - 1,
    )


def cut(message: Message) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"{\\"id\\":%d,' % (
        message["id"],
        message["id"] - 1,
    )


def too_large(message: Message) -> bytes:
    return TooLong(cut(message))


@pytest.mark.parametrize("unreadable", [broken, cut, too_large])
async def test_an_answer_that_cannot_be_read_fails_its_call_at_once_and_no_other(
    connect: Connect, unreadable: Callable[[Message], bytes]
) -> None:
    def script(message: Message) -> list[Any]:
        return [unreadable(message)] if message["params"]["name"] == "odd" else []

    stream = ScriptedStream(modern({"tools/call": script}))
    async with connect(stream, timeout=None) as client:
        before = asyncio.create_task(client.call_tool("slow"))
        asked = await stream.until_sent("tools/call")
        with pytest.raises(MCPError, match="The server's answer cannot be read"):
            await client.call_tool("odd")
        assert not before.done(), "though the answer carries its id as data"
        stream.say(answer(asked, TEXT))
        assert not (await before).is_error


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":%d,"method":"elicitation/create","params":{"x":NaN}}',
        b'{"jsonrpc":"1.0","id":%d,"method":"ping"}',
        TooLong(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%d'),
        b'user said {"id": %d}',
        b'[{"jsonrpc":"2.0","id":%d,"result":NaN}]',
    ],
)
async def test_a_question_or_a_stray_print_that_cannot_be_read_fails_nobody(
    connect: Connect, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stream = ScriptedStream(modern({"tools/call": lambda m: []}))
    async with connect(stream, timeout=None) as client:
        call = asyncio.create_task(client.call_tool("slow"))
        asked = await stream.until_sent("tools/call")
        stream.say(type(line)(line % asked["id"]))
        await client.request("server/discover")
        assert not call.done()
        assert "skipped a message of the server that cannot be read" in caplog.text
        assert ("it does not say which call it may answer" in caplog.text) == (b"method" not in line)
        stream.say(answer(asked, TEXT))
        await call


async def test_a_server_fails_only_calls_that_wait_and_each_once(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(ScriptedStream(modern({"tools/call": lambda m: [broken(m), broken(m)]}))) as client:
        with pytest.raises(MCPError, match="cannot be read"):
            await client.call_tool("odd")
        await client.request("server/discover")
    assert "nobody waits for the request '2' that it answers" in caplog.text


async def test_nulls_count_as_nothing_but_in_values_of_others(connect: Connect) -> None:
    nulls = {
        "content": [{"type": "text", "text": "x", "annotations": None}],
        "isError": None,
        "structuredContent": {"a": None},
    }
    async with connect(ScriptedStream(legacy({"tools/call": nulls}))) as client:
        assert (await client.call_tool("add")).structured_content == {"a": None}


async def test_a_result_without_a_type_is_complete_and_one_of_an_unknown_type_an_error(connect: Connect) -> None:
    types = iter([None, "complete", "input_required", "hologram"])
    typed = {"tools/call": lambda m: [answer(m, {**TEXT, **({"resultType": t} if (t := next(types)) else {})})]}
    async with connect(ScriptedStream(modern(typed))) as client:
        await client.call_tool("add")
        await client.call_tool("add")
        with pytest.raises(MCPError, match="input"):
            await client.call_tool("add")
        with pytest.raises(MCPError, match="hologram"):
            await client.call_tool("add")


async def test_an_unconnected_client_says_so() -> None:
    client = Client(["true"])
    with pytest.raises(RuntimeError, match="async with"):
        await client.ping()


async def test_a_connected_client_is_not_connected_twice(connect: Connect) -> None:
    async with connect(ScriptedStream(modern())) as client:
        with pytest.raises(RuntimeError, match="already"):
            await client.__aenter__()
        await client.ping()


async def test_arguments_that_are_no_json_harm_nobody(connect: Connect) -> None:
    stream = ScriptedStream(modern({"tools/call": TEXT}))
    async with connect(stream) as client:
        with pytest.raises(TypeError):
            await client.call_tool("add", {"a": object()})
        await client.call_tool("add", {"a": "\ud800"})
    assert stream.methods() == ["server/discover", "tools/call"]


async def test_what_a_peer_says_of_a_tools_execution_is_kept(connect: Connect) -> None:
    forms: list[Any] = [{"taskSupport": "required"}, {}, None]
    tools = [{"name": f"t{at}", "inputSchema": {}, "execution": form} for at, form in enumerate(forms)]
    tools.append({"name": "t3", "inputSchema": {}})
    async with connect(ScriptedStream(legacy({"tools/list": {"tools": tools}}))) as client:
        found = await client.list_tools()
    assert [tool.execution for tool in found] == [ToolExecution("required"), ToolExecution(), None, None]


async def test_the_meta_of_a_log_message_reaches_its_callback(connect: Connect) -> None:
    logs: list[LogMessageParams] = []
    said = notice("notifications/message", level="info", data=1, _meta={"com.example/a": 2})
    async with connect(
        ScriptedStream(modern({"tools/call": lambda m: [said, answer(m, TEXT)]})), on_log=logs.append
    ) as c:
        await c.call_tool("add")
    assert [log.meta for log in logs] == [{"com.example/a": 2}]
