"""Streamable HTTP from the client's end, against a scripted server on loopback."""

import asyncio
import gzip
import json
import math
from typing import Any

import pytest

from bascule.client.client import Client
from bascule.engine.connection import Introduction
from bascule.engine.era import Outbound
from bascule.engine.framing import encode_event
from bascule.eras import stateless_client
from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, MCPError, ParseError
from bascule.runtime.inbox import Inbox
from bascule.transports import http_client
from bascule.transports.http_client import HttpConnection
from bascule.wire.requests import ClientCapabilities, Implementation
from tests.client.scripted import (
    LEGACY,
    MODERN,
    Handler,
    Posted,
    answer,
    error,
    http,
    legacy,
    modern,
    notice,
    speaking,
)

TEXT = {"content": [{"type": "text", "text": "3"}]}


def calling(then: Handler, greeting: Any = None) -> Handler:
    """A modern server whose answer to `tools/call` is up to the test."""
    greet = speaking(greeting or modern())

    async def handler(posted: Posted) -> None:
        await (then if posted.message.get("method") == "tools/call" else greet)(posted)

    return handler


def only(message: Any) -> Handler:
    async def handler(posted: Posted) -> None:
        await posted.json(message)

    return handler


class TestModern:
    async def test_every_request_names_what_it_is_in_its_headers(self) -> None:
        results = {
            "tools/call": TEXT,
            "resources/read": {"contents": []},
            "prompts/get": {"messages": []},
            "tools/list": {"tools": []},
        }
        async with (
            http(speaking(modern(results))) as server,
            Client(server.url, headers={"Authorization": "Bearer x"}) as client,
        ):
            await client.list_tools()
            await client.call_tool("add")
            await client.read_resource("file:///a%20b")
            await client.get_prompt("größe")
        named = [(p.headers["mcp-method"], p.headers.get("mcp-name")) for p in server.posted]
        assert named == [
            ("server/discover", None),
            ("tools/list", None),
            ("tools/call", "add"),
            ("resources/read", "file:///a%20b"),
            ("prompts/get", "=?base64?Z3LDtsOfZQ==?="),
        ]
        for posted in server.posted:
            assert posted.headers["mcp-protocol-version"] == MODERN
            assert posted.headers["accept"] == "application/json, text/event-stream"
            assert posted.headers["content-type"] == "application/json"
            assert posted.headers["authorization"] == "Bearer x"
            assert "mcp-session-id" not in posted.headers
        assert server.connections == 1

    async def test_what_a_tool_wants_mirrored_goes_in_headers(self) -> None:
        named = {"type": "string", "x-mcp-header": "Region"}
        deep = {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}
        tool = {"name": "add", "inputSchema": {"type": "object", "properties": {"region": named, "deep": deep}}}
        results = {"tools/call": TEXT, "tools/list": {"tools": [tool, {"name": "bare", "inputSchema": {}}]}}
        async with http(speaking(modern(results))) as server, Client(server.url) as client:
            await client.list_tools()
            await client.call_tool("add", {"region": "Zürich", "deep": {"n": 5}, "other": 1})
            await client.call_tool("add", {"region": None, "deep": 5})
            await client.call_tool("bare", {"region": "eu"})
        sent = [{k: v for k, v in posted.headers.items() if k.startswith("mcp-param-")} for posted in server.posted]
        assert sent[-3:] == [{"mcp-param-region": "=?base64?WsO8cmljaA==?=", "mcp-param-n": "5"}, {}, {}]

    async def test_a_tool_that_cannot_be_mirrored_is_left_out_with_a_warning(self, caplog: Any) -> None:
        def tool(name: str, **form: Any) -> dict[str, Any]:
            return {"name": name, "inputSchema": {"type": "object", "properties": {"p": form}}}

        tools = [tool("good", type="string"), tool("bad", **{"type": "number", "x-mcp-header": "P"})]
        async with http(speaking(modern({"tools/list": {"tools": tools}}))) as server, Client(server.url) as client:
            assert [one.name for one in await client.list_tools()] == ["good"]
        assert "'bad'" in caplog.text
        assert "'p' cannot be mirrored" in caplog.text

    async def test_headers_that_a_server_misses_are_learnt_and_sent_once(self) -> None:
        form = {"type": "string", "x-mcp-header": "P"}
        tool = {"name": "add", "inputSchema": {"type": "object", "properties": {"p": form}}}
        refuse = [True, False, True, True]

        async def work(posted: Posted) -> None:
            refused = error(posted.message, -32020, "Header mismatch")
            await posted.json(refused if refuse.pop(0) else answer(posted.message, TEXT))

        handler = calling(work, modern({"tools/list": {"tools": [tool]}}))
        async with http(handler) as server, Client(server.url) as client:
            await client.call_tool("add", {"p": "eu"})
            with pytest.raises(MCPError) as caught:
                await client.call_tool("add", {"p": "eu"})
        assert caught.value.code == -32020
        methods = ["tools/call", "tools/list", "tools/call"]
        assert server.methods()[1:] == methods * 2
        assert [p.headers.get("mcp-param-p") for p in server.posted[1:]] == [None, None, "eu", "eu", None, "eu"]

    async def test_the_first_post_refused_for_its_version_is_repeated(self) -> None:
        refused: list[Posted] = []

        async def handler(posted: Posted) -> None:
            if refused:
                await speaking(modern())(posted)
            else:
                refused.append(posted)
                await posted.json(error(posted.message, -32022, data={"supported": [MODERN]}), 400)

        async with http(handler) as server, Client(server.url) as client:
            assert client.era == "modern"
        assert server.methods() == ["server/discover", "server/discover"]

    async def test_events_carry_notices_and_the_answer(self) -> None:
        async def work(posted: Posted) -> None:
            token = posted.message["params"]["_meta"]["progressToken"]
            await posted.events(
                b": hello\r\n\r\n",
                b"id: 1\ndata:\n\n",
                notice("notifications/progress", progressToken=token, progress=1),
                notice("notifications/message", level="info", data="x"),
                b"data: garbage\n\n",
                answer(posted.message, TEXT),
            )

        seen: list[Any] = []
        async with (
            http(calling(work)) as server,
            Client(server.url, on_log=lambda log: seen.append(log.data)) as client,
        ):
            result = await client.call_tool("add", on_progress=lambda *step: seen.append(step))
            assert not result.is_error
            await client.ping()
        assert seen == [(1.0, None, None), "x"]
        assert server.connections <= 2

    async def test_a_stream_that_stays_open_after_the_answer_is_not_waited_for(self) -> None:
        async def work(posted: Posted) -> None:
            await posted.events(answer(posted.message, TEXT), end=False)
            await asyncio.Event().wait()

        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with asyncio.timeout(5), http(calling(work)) as server:
            async with Client(server.url) as client:
                assert not (await client.call_tool("add")).is_error
            await asyncio.wait_for(server.posted[-1].gone.wait(), 5)
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert complaints == []

    async def test_a_stream_that_ends_without_an_answer_is_a_lost_connection(self) -> None:
        async def work(posted: Posted) -> None:
            await posted.events(notice("notifications/message", level="info", data="x"))

        async with http(calling(work)) as server, Client(server.url) as client:
            with pytest.raises(ConnectionLost, match="before it answered"):
                await client.call_tool("add")

    async def test_a_cut_connection_is_a_lost_one(self) -> None:
        async def work(posted: Posted) -> None:
            posted.hang_up()

        async with http(calling(work)) as server, Client(server.url) as client:
            with pytest.raises(ConnectionLost):
                await client.call_tool("add")
            await client.ping()

    @pytest.mark.parametrize("streaming", [True, False])
    async def test_giving_up_closes_the_response_and_says_nothing_else(self, streaming: bool) -> None:
        async def work(posted: Posted) -> None:
            if streaming:
                await posted.events(notice("notifications/message", level="info", data="x"), end=False)
            await asyncio.Event().wait()

        async with http(calling(work)) as server, Client(server.url) as client:
            with pytest.raises(CallTimedOut, match="tools/call"):
                await client.call_tool("slow", timeout=0.2)
            await asyncio.wait_for(server.posted[1].gone.wait(), 5)
            task = asyncio.create_task(client.call_tool("slow", timeout=math.inf))
            server.posted.clear()
            second = await server.until_posted("tools/call")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(second.gone.wait(), 5)
            assert server.methods() == ["tools/call"]

    async def test_leaving_fails_the_calls_under_way(self) -> None:
        async def work(posted: Posted) -> None:
            await asyncio.Event().wait()

        async with http(calling(work)) as server:
            async with Client(server.url) as client:
                call = asyncio.create_task(client.call_tool("slow"))
                await server.until_posted("tools/call")
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(call, 5)

    async def test_many_calls_run_side_by_side(self) -> None:
        async with (
            http(calling(lambda posted: posted.json(answer(posted.message, TEXT)))) as server,
            Client(server.url) as client,
        ):
            results = await asyncio.gather(*(client.call_tool("add", {"n": n}) for n in range(50)))
        assert len(results) == 50
        assert len({posted.message["id"] for posted in server.posted}) == 51

    async def test_errors_come_with_their_status(self) -> None:
        async def refuse(posted: Posted) -> None:
            await posted.json(
                error(posted.message, -32021, "needs roots", {"requiredCapabilities": {"roots": {}}}), 400
            )

        async with http(calling(refuse)) as server, Client(server.url) as client:
            with pytest.raises(MCPError, match="needs roots") as caught:
                await client.call_tool("add")
        assert (caught.value.code, caught.value.status) == (-32021, 400)

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("text/html", b"<html>"),
            ("", b""),
            ("application/json", b"not json"),
            ("application/json", b'{"jsonrpc":"2.0"}'),
        ],
    )
    async def test_a_reply_that_is_no_answer_is_an_error(self, kind: str, body: bytes) -> None:
        async with http(calling(lambda posted: posted.send(body, 200, kind))) as server, Client(server.url) as client:
            with pytest.raises(MCPError, match=r"no MCP answer|no answer to it"):
                await client.call_tool("add")

    async def test_an_answer_to_something_else_is_none(self) -> None:
        async with (
            http(calling(only({"jsonrpc": "2.0", "id": 999, "result": TEXT}))) as server,
            Client(server.url) as client,
        ):
            with pytest.raises(MCPError, match="no answer"):
                await client.call_tool("add")


class TestLegacy:
    @pytest.mark.parametrize("status", [200, 400, 404, 405, 406, 415, 422])
    async def test_a_refused_probe_leads_to_a_handshake(self, status: int) -> None:
        async def handler(posted: Posted) -> None:
            if posted.message.get("method") == "server/discover":
                await posted.json(error(posted.message, -32000, "Bad Request: no session"), status)
            else:
                await speaking(legacy())(posted)

        async with http(handler) as server, Client(server.url) as client:
            assert client.era == "legacy"
        assert server.methods() == ["server/discover", "initialize", "notifications/initialized"]

    async def test_an_empty_refusal_does_too(self) -> None:
        async def handler(posted: Posted) -> None:
            if posted.message.get("method") == "server/discover":
                await posted.send(b"", 404)
            else:
                await speaking(legacy())(posted)

        async with http(handler) as server, Client(server.url) as client:
            assert client.era == "legacy"

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    async def test_other_refusals_are_raised(self, status: int) -> None:
        async with http(lambda posted: posted.send(b"", status)) as server:
            with pytest.raises(MCPError, match=f"HTTP {status}") as caught:
                async with Client(server.url):
                    pass
        assert (caught.value.status, caught.value.code) == (status, status)
        assert server.methods() == ["server/discover"]

    async def test_the_session_is_kept_named_and_ended(self) -> None:
        async with (
            http(speaking(legacy({"tools/list": {"tools": []}}), session="s-1")) as server,
            Client(server.url) as client,
        ):
            await client.list_tools()
        assert server.methods() == [
            "server/discover", "initialize", "notifications/initialized", "tools/list", "DELETE",
        ]  # fmt: skip
        assert [posted.headers.get("mcp-session-id") for posted in server.posted] == [None, None, "s-1", "s-1", "s-1"]
        versions = [posted.headers.get("mcp-protocol-version") for posted in server.posted]
        assert versions == [MODERN, None, LEGACY, LEGACY, LEGACY]
        assert "mcp-method" not in server.posted[3].headers

    async def test_a_session_that_is_gone_is_opened_again_once_for_all(self) -> None:
        current = ["s-1"]
        speak = legacy({"tools/call": TEXT})

        async def handler(posted: Posted) -> None:
            given = posted.headers.get("mcp-session-id")
            if given is not None and given != current[0]:
                await posted.json(error(posted.message, -32001, "Session not found"), 404)
            else:
                await speaking(speak, session=current[0])(posted)

        async with http(handler) as server, Client(server.url, era="legacy") as client:
            await client.call_tool("add")
            current[0] = "s-2"
            await asyncio.gather(*(client.call_tool("add") for _ in range(5)))
            assert server.methods().count("initialize") == 2

    async def test_a_session_that_stays_gone_is_an_error(self) -> None:
        async def handler(posted: Posted) -> None:
            if posted.message.get("method") == "tools/call":
                await posted.send(b"", 404)
            else:
                await speaking(legacy(), session="s")(posted)

        async with http(handler) as server, Client(server.url, era="legacy") as client:
            with pytest.raises(ConnectionLost, match="session"):
                await client.call_tool("add")

    async def test_giving_up_is_told_by_a_notification(self) -> None:
        async def work(posted: Posted) -> None:
            await asyncio.Event().wait()

        async with http(calling(work, legacy())) as server, Client(server.url, era="legacy") as client:
            with pytest.raises(CallTimedOut):
                await client.call_tool("slow", timeout=0.2)
            cancelled = await asyncio.wait_for(server.until_posted("notifications/cancelled"), 5)
            call = await server.until_posted("tools/call")
            assert cancelled.message["params"]["requestId"] == call.message["id"]

    async def test_a_server_may_ask_on_the_stream_and_is_answered_by_a_post(self) -> None:
        async def work(posted: Posted) -> None:
            ping = {"jsonrpc": "2.0", "id": "s1", "method": "ping"}
            await posted.events(ping, answer(posted.message, TEXT))

        async with http(calling(work, legacy())) as server, Client(server.url, era="legacy") as client:
            await client.call_tool("add")
        assert server.posted[-1].message == {"jsonrpc": "2.0", "id": "s1", "result": {}}

    @pytest.mark.parametrize("session", ["a b", "a\xe9"])
    async def test_a_session_id_that_is_none_is_refused(self, session: str) -> None:
        async with http(speaking(legacy(), session=session)) as server:
            with pytest.raises(MCPError, match="session id"):
                async with Client(server.url):
                    pass


class TestRedirects:
    async def test_within_the_origin_they_are_followed_and_remembered(self) -> None:
        async def handler(posted: Posted) -> None:
            if posted.path == "/mcp":
                await posted.send(b"", 307, location="/mcp/")
            else:
                await speaking(modern())(posted)

        async with http(handler) as server, Client(server.url, headers={"X-Secret": "x"}) as client:
            await client.ping()
        assert [posted.path for posted in server.posted] == ["/mcp", "/mcp/", "/mcp/"]

    async def test_to_another_origin_they_are_not(self) -> None:
        async with http(speaking(modern())) as other:
            elsewhere = http(lambda posted: posted.send(b"", 307, location=other.url))
            async with elsewhere as server:
                with pytest.raises(MCPError, match="another origin"):
                    await Client(server.url).__aenter__()
        assert other.posted == []

    async def test_a_circle_ends(self) -> None:
        async with http(lambda posted: posted.send(b"", 308, location="/mcp")) as server:
            with pytest.raises(MCPError, match="circle"):
                async with Client(server.url):
                    pass


class TestBounds:
    async def connected(self, url: str, limit: int) -> tuple[HttpConnection, Outbound]:
        era = stateless_client.StatelessClient(Introduction(Implementation("t", "1"), ClientCapabilities()), MODERN)
        return HttpConnection(url, Inbox(), max_bytes=limit), era.prepare("tools/list", {})

    @pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
    @pytest.mark.parametrize("packed", [True, False])
    async def test_a_reply_that_is_too_large_is_refused(self, kind: str, packed: bool) -> None:
        async def handler(posted: Posted) -> None:
            body = b"data: " + json.dumps({"x": "y" * 1_000_000}).encode()
            if packed:
                await posted.send(gzip.compress(body), 200, kind, content_encoding="gzip")
            else:
                await posted.send(body, 200, kind)

        async with http(handler) as server:
            connection, outbound = await self.connected(server.url, 10_000)
            with pytest.raises(ParseError, match="more than 10000 bytes"):
                await connection.call("tools/list", outbound, 5)
            await connection.close()

    async def test_a_server_that_is_not_there_is_a_lost_connection(self) -> None:
        async with http(speaking(modern())) as server:
            url = server.url
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            async with Client(url):
                pass

    async def test_a_server_that_is_silent_times_out_without_a_handshake(self) -> None:
        async def handler(posted: Posted) -> None:
            await asyncio.Event().wait()

        async with http(handler) as server:
            with pytest.raises(CallTimedOut):
                async with Client(server.url, timeout=0.2):
                    pass
        assert server.methods() == ["server/discover"]

    @pytest.mark.parametrize(
        ("url", "headers", "match"),
        [
            ("http://", {}, "host"),
            ("http://[::1", {}, "not valid"),
            ("http://a:b:c/", {}, "not valid"),
            ("http://a/", {"A b": "x"}, "header name"),
            ("http://a/", {"A": "x\r\nB: y"}, "value of the header A"),
            ("http://a/", {"A": "grün"}, "value of the header A"),
        ],
    )
    async def test_what_cannot_be_sent_is_a_clear_error(self, url: str, headers: dict[str, str], match: str) -> None:
        with pytest.raises(ConfigError, match=match):
            async with Client(url, headers=headers):
                pass

    async def test_a_body_that_raises_still_ends_the_session(self) -> None:
        async with http(speaking(legacy(), session="s")) as server:
            with pytest.raises(KeyError):
                async with Client(server.url):
                    raise KeyError
        assert server.methods()[-1] == "DELETE"

    async def test_a_server_that_will_not_end_the_session_does_not_hold_the_client(self) -> None:
        async def handler(posted: Posted) -> None:
            if posted.verb == "DELETE":
                await asyncio.Event().wait()
            await speaking(legacy(), session="s")(posted)

        async with asyncio.timeout(5), http(handler) as server, Client(server.url) as client:
            await client.ping()


def event(data: Any = b"", id: str | None = None, retry: int | None = None) -> bytes:
    return encode_event(data if isinstance(data, bytes) else json.dumps(data).encode(), id, retry)


class TestResuming:
    """A handshake-era server whose streams end before their answer."""

    async def call(self, first: list[Any], rest: Handler, **broken: Any) -> tuple[Any, list[Posted]]:
        """What a call gives whose stream begins with `first`, and what was posted; `rest` answers each GET."""
        greet = speaking(legacy())
        asked: list[Any] = []

        async def handler(posted: Posted) -> None:
            if posted.verb == "GET":
                posted.message = asked[0]
                await rest(posted)
            elif posted.message.get("method") == "tools/call":
                asked.append(posted.message)
                await posted.events(*first, end=not broken)
                if broken:
                    posted.hang_up()
            else:
                await greet(posted)

        async with http(handler) as server, Client(server.url, era="legacy", timeout=5) as client:
            try:
                return await client.call_tool("x"), [one for one in server.posted if one.verb == "GET"]
            except Exception as wrong:
                return wrong, [one for one in server.posted if one.verb == "GET"]

    @pytest.mark.parametrize("broken", [{}, {"cut": True}])
    async def test_the_rest_of_a_stream_is_fetched_from_where_it_ended(self, broken: Any) -> None:
        parts = iter(["b", None])

        async def rest(posted: Posted) -> None:
            part = next(parts)
            await posted.events(event(id=part, retry=1) if part else event(answer(posted.message, TEXT), "c"))

        result, fetched = await self.call([event(id="a", retry=1)], rest, **broken)
        assert result.content[0].text == "3"
        assert [one.headers["last-event-id"] for one in fetched] == ["a", "b"]
        assert fetched[0].headers["mcp-protocol-version"] == LEGACY
        assert fetched[0].headers["accept"] == "text/event-stream"

    async def test_a_stream_without_ids_cannot_be_gone_on_with(self) -> None:
        async def rest(posted: Posted) -> None:
            raise AssertionError("nothing to ask for")

        result, fetched = await self.call([event(retry=1)], rest)
        assert isinstance(result, ConnectionLost)
        assert fetched == []

    async def test_a_stream_that_brings_nothing_new_is_given_up(self) -> None:
        async def rest(posted: Posted) -> None:
            await posted.events(event(id="a"))

        result, fetched = await self.call([event(id="a", retry=1)], rest)
        assert isinstance(result, ConnectionLost)
        assert len(fetched) == 5

    async def test_a_refusal_ends_the_call(self) -> None:
        async def rest(posted: Posted) -> None:
            await posted.send(status=405)

        result, fetched = await self.call([event(id="a", retry=1)], rest)
        assert isinstance(result, MCPError)
        assert len(fetched) == 1

    async def test_an_id_that_no_header_can_hold_is_none(self) -> None:
        async def rest(posted: Posted) -> None:
            raise AssertionError("nothing to ask for")

        result, fetched = await self.call([event(id="a"), event(id="\u00e9\u4e00", retry=1)], rest)
        assert isinstance(result, ConnectionLost)
        assert fetched == []

    async def test_what_is_said_unasked_is_listened_to_again(self) -> None:
        greet = speaking(legacy())
        heard: asyncio.Queue[Any] = asyncio.Queue()
        streams = iter([[event(notice("a"), "1", 1)], [event(notice("b"), "2")]])

        async def handler(posted: Posted) -> None:
            if posted.verb != "GET":
                await greet(posted)
                return
            parts = next(streams, None)
            await (posted.send(status=405) if parts is None else posted.events(*parts))

        async with (
            http(handler) as server,
            Client(server.url, era="legacy", on_notice=lambda method, params: heard.put_nowait(method)),
        ):
            assert [await asyncio.wait_for(heard.get(), 5) for _ in range(2)] == ["a", "b"]
            gets = [one.headers.get("last-event-id") for one in server.posted if one.verb == "GET"]
        assert gets[:2] == [None, "1"]

    @pytest.mark.parametrize("opens", [True, False])
    async def test_nothing_is_asked_before_the_server_can_ask_back(
        self, opens: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        greet = speaking(legacy({"tools/call": {"content": []}}))
        asked, may_open = asyncio.Event(), asyncio.Event()

        async def handler(posted: Posted) -> None:
            if posted.verb == "GET":
                asked.set()
                await may_open.wait()
                await (posted.events(end=False) if opens else posted.send(status=405))
            else:
                await greet(posted)

        async def use(url: str) -> None:
            async with Client(url, era="legacy", on_notice=lambda method, params: None) as client:
                await client.call_tool("x")

        monkeypatch.setattr(http_client, "_OPENING", 60.0)
        async with http(handler) as server:
            using = asyncio.create_task(use(server.url))
            await asked.wait()
            for _ in range(50):
                await asyncio.sleep(0)
            before = [one.message.get("method") for one in server.posted if one.verb == "POST"]
            may_open.set()
            await asyncio.wait_for(using, 5)
            assert "tools/call" not in before
            assert "tools/call" in [one.message.get("method") for one in server.posted if one.verb == "POST"]

    async def test_a_stream_that_never_opens_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        greet = speaking(legacy({"tools/call": {"content": []}}))
        ended = asyncio.Event()

        async def handler(posted: Posted) -> None:
            await (ended.wait() if posted.verb == "GET" else greet(posted))

        monkeypatch.setattr(http_client, "_OPENING", 0.01)
        async with http(handler) as server:
            async with Client(server.url, era="legacy", on_notice=lambda method, params: None) as client:
                await client.call_tool("x")
            ended.set()
