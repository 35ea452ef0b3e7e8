"""The seams of the assembled guards, through the public door: what each part promises holds where parts meet."""

import asyncio
import json
import time
from typing import Literal

import httpx2
import pytest

from bascule import (
    Client,
    ConfigError,
    Context,
    CreateMessageResult,
    DeclarationError,
    ElicitResult,
    MCPError,
    Redactor,
    Server,
    TextContent,
    ToolError,
)
from bascule.engine.demands import Demands
from bascule.engine.exchange import Principal
from bascule.engine.settings import ApprovalSettings, AuditSettings, HttpSettings, LimitSettings, LoadSettings, Settings
from bascule.pipeline import Pipeline
from bascule.policy import Rules
from bascule.serve import asgi, use_guards
from bascule.stores.sqlite_approvals import SqliteApprovals
from bascule.wire.content import ResourceLink
from bascule.wire.jsonrpc import encode
from bascule.wire.resources import Resource
from bascule.wire.tools import CallToolResult
from tests.guards.desk import Desk, able
from tests.messages import ACCEPT, headers, initialize, legacy, line, request
from tests.tasks.test_tasks import ABLE, UNABLE, Caller

KEY = "0123456789abcdef0123"


def guarded(app, **sections):
    """The server, by these settings."""
    app.use_guards(Pipeline(Settings(**sections), app.info.name))
    return app


def lines(file):
    """What the audit log says happened: method, feature, outcome."""
    said = [json.loads(line) for line in file.read_text().splitlines()]
    return [(one["method"], one["feature"], one["outcome"]) for one in said if "outcome" in one]


def inner():
    """A server one of whose tools reads one of its own resources."""
    app = Server("inner")
    app.resource("data://secret", name="secret")(lambda: "the secret")
    app.resource("row://{name}", name="row")(lambda name: f"row {name}")

    @app.tool
    async def peek(ctx: Context, uri: str) -> str:
        return (await ctx.read_resource(uri))[0].text

    return app


@pytest.mark.parametrize("prefix", [None, "in"])
@pytest.mark.parametrize("uri", ["data://secret", "row://a"])
@pytest.mark.parametrize("depth", [1, 2])
async def test_the_operators_policy_holds_for_what_a_mounted_tool_reads_of_its_own_server(prefix, uri, depth):
    app = inner()
    for _ in range(depth):
        home = Server("home")
        home.mount(app, prefix=prefix)
        app = home
    before = "" if prefix is None else "in_" * depth
    async with Client(app) as client:
        said = (await client.call_tool(f"{before}peek", {"uri": uri})).content[0].text
        assert said in ("the secret", "row a")
    guarded(app, policy={"resource:*": Demands(deny=True)})
    async with Client(app) as client:
        with pytest.raises(MCPError, match="switched off"):
            await client.call_tool(f"{before}peek", {"uri": uri})


async def test_what_a_mounted_tool_reads_is_in_the_audit_log(tmp_path):
    home, file = Server("home"), tmp_path / "audit.jsonl"
    home.mount(inner(), prefix="in")
    guarded(home, audit=AuditSettings(file=str(file), key=KEY))
    async with Client(home) as client:
        await client.call_tool("in_peek", {"uri": "data://secret"})
    assert lines(file) == [("resources/read", "data://in/secret", "ok"), ("tools/call", "in_peek", "ok")]


async def test_a_mounted_tool_reaches_nothing_of_its_home():
    home = Server("home")
    home.mount(inner(), prefix=None)
    home.resource("home://keys", name="keys")(lambda: "the keys")
    async with Client(home) as client:
        with pytest.raises(MCPError, match="not found"):
            await client.call_tool("peek", {"uri": "home://keys"})


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_approval_spent_for_an_inner_read_holds_for_the_rounds_that_follow(tmp_path, era):
    app, file = Server("t"), str(tmp_path / "approvals.db")
    app.resource("data://secret", name="secret", confirm="queue")(lambda: "the secret")

    @app.tool
    async def peek(ctx: Context) -> str:
        read = (await ctx.read_resource("data://secret"))[0].text
        said = await ctx.sample("Say something")
        return f"{read} {said.text}"

    guarded(app, approvals=ApprovalSettings(file=file))
    async with Client(
        app, era=era, on_sample=lambda params: CreateMessageResult("assistant", TextContent("something"), "m")
    ) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("peek")
        operator = SqliteApprovals(file)
        await operator.decide(caught.value.data["approvalId"], approve=True, by="ann")
        await operator.close()
        assert (await client.call_tool("peek")).content[0].text == "the secret something"
        with pytest.raises(MCPError):
            await client.call_tool("peek")


def breaking(next, feature):
    """A guard of an author's that cannot be put around one feature."""
    if feature.name == "b":
        raise ValueError("not around b")

    async def refused(exchange):
        raise AssertionError("a guard that was refused runs")

    return refused


def three():
    app = Server("t")
    for name in "abc":
        app.tool(name=name)(lambda: "done")
    return app


async def called(app, *names):
    async with Client(app) as client:
        return [(await client.call_tool(name)).content[0].text for name in names]


async def test_a_guard_that_fails_around_one_feature_is_around_none():
    app = three()
    with pytest.raises(ValueError, match="not around b"):
        app.guard(breaking)
    app.tool(name="d")(lambda: "done")
    assert await called(app, *"abcd") == ["done"] * 4


async def test_a_guard_that_fails_at_home_is_around_nothing_of_what_is_mounted_there():
    app, home = three(), Server("home")
    home.mount(app)

    def at_home(next, feature):
        assert feature.name != "in_b"
        return breaking(next, feature) if feature.name != "b" else next

    outer = Server("outer")
    outer.mount(home, prefix="in")
    with pytest.raises(AssertionError):
        app.guard(at_home)
    assert await called(app, *"abc") == ["done"] * 3
    assert await called(home, *"abc") == ["done"] * 3


async def test_settings_that_cannot_hold_for_one_feature_hold_for_none():
    app = three()
    guarded(app, policy={"a": Demands(deny=True), "b": Demands(confirm="host")})
    with pytest.raises(ConfigError, match="queue"):
        guarded(app, policy={"b": Demands(confirm="queue"), "c": Demands(deny=True)})
    assert [one.policy.deny for one in app.explain()] == [True, False, False]
    async with Client(app) as client:
        assert [tool.name for tool in await client.list_tools()] == ["b", "c"]
        assert (await client.call_tool("c")).content[0].text == "done"


@pytest.mark.parametrize("made", [None, 3, "handler"])
def test_a_guard_that_returns_no_handler_is_told_at_once(made):
    with pytest.raises(DeclarationError, match="returned no handler"):
        three().guard(lambda next, feature: made)


def test_a_guard_that_is_async_where_it_must_not_be_is_told_at_once():
    async def guard(next, feature):
        return next

    with pytest.raises(DeclarationError, match="async"):
        three().guard(guard)


@pytest.mark.parametrize("name", ["rate", "lists", "per_address"])
def test_a_rate_of_lists_that_cannot_be_read_is_told_at_start(name):
    with pytest.raises(ConfigError, match="per time"):
        guarded(Server("t"), limits=LimitSettings(**{name: "often"}))


async def test_a_log_that_could_not_be_opened_is_opened_by_the_next_run(tmp_path):
    folder = tmp_path / "logs"
    app = guarded(three(), audit=AuditSettings(file=str(folder / "audit.jsonl"), key=KEY, fail="open"))
    folder.mkdir()
    (folder / "audit.jsonl").mkdir()
    with pytest.raises(ConfigError):
        await called(app, "a")
    (folder / "audit.jsonl").rmdir()
    assert await called(app, "a") == ["done"]
    assert await called(app, "b") == ["done"]
    assert lines(folder / "audit.jsonl") == [("tools/call", "a", "ok"), ("tools/call", "b", "ok")]


async def test_what_an_optional_task_answers_at_once_is_enveloped_once():
    app = Server("t")

    @app.tool(untrusted=True, task="optional")
    async def fetch() -> str:
        return "text"

    async with Client(app) as client:
        assert (await client.call_tool("fetch")).content[0].text.count("source=") == 1


@pytest.mark.parametrize("peers", [(ABLE, ABLE), (ABLE, UNABLE), (UNABLE, ABLE)])
async def test_tasks_and_plain_calls_of_a_tool_together_are_as_many_as_its_concurrency_allows(peers):
    app, go, began, ran = Server("t"), asyncio.Event(), asyncio.Event(), []

    @app.tool(task="optional", concurrency=1)
    async def work() -> str:
        ran.append("work")
        began.set()
        await go.wait()
        return "done"

    async with app.running() as state:
        caller = Caller(app, state)

        async def outcome(peer):
            answer = await caller.call("work", peer=peer)
            while not isinstance(answer, CallToolResult):
                shown = await caller.look(answer)
                if shown.status == "completed":
                    return bytes(shown.result)
                await asyncio.sleep(0)
            return encode(answer)

        first = asyncio.ensure_future(outcome(peers[0]))
        await began.wait()
        assert b'"code":"overloaded"' in await outcome(peers[1])
        go.set()
        assert b"done" in await first
    assert ran == ["work"]


@pytest.mark.parametrize(("stated", "peer", "late"), [(None, UNABLE, True), (None, ABLE, False), (0.01, ABLE, True)])
async def test_a_plain_call_has_the_default_time_and_a_task_only_a_stated_one(stated, peer, late, monkeypatch):
    monkeypatch.setattr("bascule.engine.demands.TIMEOUT", 0.01)
    app, go = Server("t"), asyncio.Event()

    @app.tool(task="optional", timeout=stated)
    async def work() -> str:
        await asyncio.wait_for(go.wait(), 10 if late else None)
        return "done"

    async with app.running() as state:
        caller = Caller(app, state)
        answer = await caller.call("work", peer=peer)
        if not late:
            asyncio.get_running_loop().call_later(0.15, go.set)
        while not isinstance(answer, CallToolResult):
            shown = await caller.look(answer)
            if shown.status == "completed":
                assert (b"timed_out" in bytes(shown.result)) is late
                return
            await asyncio.sleep(0)
        assert answer.meta["dev.bascule/error"]["code"] == "timed_out"


def test_a_pattern_full_of_stars_costs_no_time():
    rules = Rules({"*a" * 30 + "b": Demands(deny=True)})
    began = time.process_time()
    assert not rules.sources("tool", "a" * 128)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("scopes", [["a b"], [""], ['a"b'], ["a\nb"], ["a\\b"], ["ä"]])
def test_a_scope_that_no_caller_can_hold_is_told(scopes):
    with pytest.raises(DeclarationError, match="scope is printable"):
        Server("t").tool(name="x", scopes=scopes)(lambda: 1)


@pytest.mark.parametrize("part", ["name", "title", "uri"])
async def test_a_link_is_as_large_as_all_of_its_texts(part):
    app = Server("t")

    @app.tool(max_result_bytes=1000)
    async def link() -> CallToolResult:
        return CallToolResult(content=[ResourceLink(**{"uri": "a://b", "name": "b", part: "x" * 5000})])

    async with Client(app) as client:
        assert (await client.call_tool("link")).meta["dev.bascule/error"]["code"] == "result_too_large"


async def test_a_batch_counts_for_as_many_requests_of_its_address_as_it_has_parts():
    app, settings = three(), Settings(limits=LimitSettings(per_address="10/min"))
    server = asgi(app, settings=HttpSettings(), per_address=Pipeline(settings).address_limit)
    transport = httpx2.ASGITransport(server, client=("192.0.2.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        plain = {"accept": ACCEPT, "content-type": "application/json"}
        begun = await http.post("/mcp", json=initialize("2025-03-26"), headers=plain)
        session = {**plain, "mcp-session-id": begun.headers["mcp-session-id"]}
        pings = [legacy("ping", id=at) for at in range(5)]
        assert [len((await http.post("/mcp", json=pings, headers=session)).json())] == [5]
        refused = await http.post("/mcp", json=pings, headers=session)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
    await server.stop(1)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_what_lists_and_completes_is_held_to_the_time_of_its_feature(era):
    app, ended = Server("t"), []

    async def hang(what):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(what)

    async def listed(ctx):
        await hang("list")

    app.resource("a://{b}", name="a", timeout=0.01, list=listed)(lambda b: b)
    app.prompt(name="p", timeout=0.01)(lambda word: word)

    @app.completion(prompt="p", argument="word")
    async def words(value: str) -> list[str]:
        await hang("complete")
        return []

    async with Client(app, era=era) as client:
        with pytest.raises(MCPError, match="stopped after") as caught:
            await client.list_resources()
        assert caught.value.data["code"] == "timed_out"
        with pytest.raises(MCPError, match="stopped after"):
            await client.complete(argument="word", value="a", prompt="p")
    assert ended == ["list", "complete"]


async def test_requests_for_completion_are_counted_like_lists():
    app = Server("t")

    @app.prompt
    async def greet(way: Literal["kindly", "coldly"]) -> str:
        return way

    guarded(app, limits=LimitSettings(lists="1/min"))
    async with Client(app) as client:
        await client.complete(argument="way", value="k", prompt="greet")
        with pytest.raises(MCPError, match="allows 1 call ") as caught:
            await client.complete(argument="way", value="c", prompt="greet")
        assert caught.value.data["code"] == "rate_limited"


async def test_a_server_whose_log_opens_with_its_first_request_is_ready_before(tmp_path):
    app = guarded(three(), audit=AuditSettings(file=str(tmp_path / "audit.jsonl"), key=KEY))
    transport = httpx2.ASGITransport(asgi(app, settings=HttpSettings()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/readyz")).status_code == 200


def test_an_entry_that_is_for_nothing_is_told(caplog):
    entries = {
        "a": Demands(deny=True),
        "tool:[bc]": Demands(),
        "Tool:a": Demands(deny=True),
        "drop_*": Demands(deny=True),
    }
    use_guards(three(), Settings(policy=entries))
    assert [record.getMessage() for record in caplog.records] == [
        f'[policy."{pattern}"] is for nothing that the server t has' for pattern in ("Tool:a", "drop_*")
    ]


async def test_a_tool_reads_for_its_caller_only_what_that_one_may_read(tmp_path):
    app, file = inner(), tmp_path / "audit.jsonl"
    guarded(app, policy={"data://*": Demands(scopes=("data:read",))}, audit=AuditSettings(file=str(file), key=KEY))
    principal = Principal("i", "ann", scopes=frozenset({"other"}), anonymous=False)
    message = line(request("tools/call", {"name": "peek", "arguments": {"uri": "data://secret"}}))
    async with app.running():
        answer = await Desk(app).send(message, principal)
    assert "data:read" in json.dumps(answer["error"])
    assert "the secret" not in json.dumps(answer)
    assert lines(file) == [("resources/read", "data://secret", "refused"), ("tools/call", "peek", "refused")]


@pytest.mark.parametrize("peer", [ABLE, UNABLE])
@pytest.mark.parametrize("untrusted", [False, True])
@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("how", ["result", "hidden", "refusal", "error"])
async def test_a_server_lets_no_secret_leave_however_its_tool_answers(peer, untrusted, mounted, how):
    app, redactor = Server("t"), Redactor()
    redactor.register("correct horse battery", kind="word")

    @app.tool(untrusted=untrusted, task="optional", max_result_bytes=60)
    async def tell() -> str:
        if how == "refusal":
            raise ToolError("It is correct horse battery")
        if how == "error":
            raise MCPError("It is correct horse battery")
        return "correct ho\u200brse battery" if how == "hidden" and untrusted else "It is correct horse battery"

    app.redact(redactor)
    home = Server("home")
    if mounted:
        home.mount(app)
    home = home if mounted else app
    async with home.running() as state:
        caller = Caller(home, state)
        try:
            answer = await caller.call("tell", peer=peer)
            while not isinstance(answer, CallToolResult):
                answer = await caller.look(answer)
                if answer.status in ("completed", "failed"):
                    break
                await asyncio.sleep(0)
            said = encode(answer)
        except MCPError as error:
            said = error.message.encode()
    assert b"horse" not in said
    assert b"redacted:word" in said
    assert b"left out" not in said
    assert said.count(b"source=") == (untrusted and how != "error")


async def test_what_strangers_wrote_is_read_with_a_redactor_too():
    app, redactor = Server("t"), Redactor()
    redactor.register("correct horse battery", kind="word")
    app.resource("a://b", name="b", untrusted=True)(lambda: "correct ho\u200brse battery")
    app.redact(redactor)
    async with Client(app) as client:
        (read,) = (await client.read_resource("a://b")).contents
    assert "redacted:word" in read.text
    assert "horse" not in read.text


def reached(server, address):
    """An HTTP client at an address."""
    transport = httpx2.ASGITransport(server, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=10)


@pytest.mark.parametrize(("other", "status"), [("2001:db8::2", 503), ("2001:db8:0:1::1", 200)])
async def test_neighbours_in_one_network_have_one_share_of_the_load(other, status):
    app, go, began = Server("t"), asyncio.Event(), asyncio.Event()

    @app.tool
    async def work() -> str:
        began.set()
        await go.wait()
        return "done"

    app.tool(name="quick")(lambda: "done")
    guarded(app, load=LoadSettings(max_calls_per_principal=1, max_waiting=0))
    server = asgi(app, settings=HttpSettings())

    def call(http, name):
        message = request("tools/call", {"name": name, "arguments": {}})
        return http.post("/mcp", json=message, headers=headers(message))

    async with reached(server, "2001:db8::1") as first, reached(server, other) as second:
        held = asyncio.ensure_future(call(first, "work"))
        await began.wait()
        assert (await call(second, "quick")).status_code == status
        go.set()
        assert (await held).status_code == 200
    await server.stop(1)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_nobody_hears_of_changes_of_what_it_may_not_read(era):
    app = inner()
    app.resource("data://open", name="open")(lambda: "open")
    guarded(app, policy={"data://secret": Demands(deny=True), "row://*": Demands(deny=True)})
    async with Client(app, era=era) as client:
        for uri in ("data://secret", "row://a"):
            if era == "legacy":
                with pytest.raises(MCPError, match="not found"):
                    async with client.subscribe(["data://open", uri]):
                        pass
                continue
            async with client.subscribe(["data://open", uri]) as changes:
                app.notify_resource_updated(uri)
                app.notify_resource_updated("data://open")
                assert (await anext(aiter(changes))).uri == "data://open"


async def test_calls_that_run_count_when_guards_are_folded_anew():
    app, go, began = Server("t"), asyncio.Event(), asyncio.Event()

    @app.tool(concurrency=1)
    async def work() -> str:
        began.set()
        await go.wait()
        return "done"

    async with Client(app) as client:
        first = asyncio.ensure_future(client.call_tool("work"))
        await began.wait()
        app.guard(lambda next, feature: next)
        assert (await client.call_tool("work")).meta["dev.bascule/error"]["code"] == "overloaded"
        go.set()
        assert (await first).content[0].text == "done"
        assert (await client.call_tool("work")).content[0].text == "done"


async def test_the_meta_of_a_result_is_bounded_and_may_still_say_what_went_wrong():
    app = Server("t")

    @app.tool(max_result_bytes=10)
    async def work(size: int) -> CallToolResult:
        return CallToolResult(content=[], meta={"example.com/x": "x" * size})

    @app.tool(max_result_bytes=10)
    async def fail() -> str:
        raise ToolError("No", details={"reason": "a reason of more than ten bytes"})

    async with Client(app) as client:
        assert (await client.call_tool("work", {"size": 1000})).meta["example.com/x"] == "x" * 1000
        too_large = await client.call_tool("work", {"size": 70_000})
        assert too_large.meta["dev.bascule/error"]["code"] == "result_too_large"
        assert (await client.call_tool("fail")).meta["dev.bascule/error"]["reason"]


@pytest.mark.parametrize("answer", [None, "text", {}])
async def test_what_a_guard_returned_in_place_of_a_result_is_an_error_in_the_log_too(tmp_path, answer):
    app, file = three(), tmp_path / "audit.jsonl"

    def mistaken(next, feature):
        async def answered(exchange):
            return answer

        return answered

    app.guard(mistaken)
    guarded(app, audit=AuditSettings(file=str(file), key=KEY))
    async with Client(app) as client:
        with pytest.raises(MCPError, match="Internal error"):
            await client.call_tool("a")
    assert lines(file) == [("tools/call", "a", "error")]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_declined_call_costs_one_start_and_its_answer_none(era):
    app = Server("t")
    app.tool(name="drop", confirm=True, rate="2/min")(lambda: "dropped")
    guarded(app, load=LoadSettings(max_repeats=2))
    async with Client(app, era=era, on_elicit=lambda params: ElicitResult("decline")) as client:
        codes = [(await client.call_tool("drop")).meta["dev.bascule/error"]["code"] for _ in range(3)]
    assert codes == ["confirmation_declined", "confirmation_declined", "rate_limited"]


async def test_what_cannot_be_guarded_where_its_server_is_mounted_is_offered_nowhere():
    app, home = Server("t"), Server("home")
    home.guard(breaking)
    home.mount(app)
    with pytest.raises(ValueError, match="not around b"):
        app.tool(name="b")(lambda: "done")
    app.tool(name="d")(lambda: "done")
    for server in (app, home):
        async with Client(server) as client:
            assert [tool.name for tool in await client.list_tools()] == ["d"]


async def test_a_server_of_which_one_feature_cannot_be_guarded_is_not_mounted():
    app, home = three(), Server("home")
    home.guard(breaking)
    with pytest.raises(ValueError, match="not around b"):
        home.mount(app)
    assert home.explain() == []
    app.tool(name="d")(lambda: "done")
    assert home.explain() == []


@pytest.mark.parametrize("method", ["completion/complete", "resources/list"])
async def test_what_lists_or_completes_asks_nobody_through_what_it_reads(method):
    app = Server("t")
    app.resource("data://secret", name="secret", confirm=True)(lambda: "the secret")

    async def listed(ctx: Context):
        return [Resource("row://a", (await ctx.read_resource("data://secret"))[0].text)]

    app.resource("row://{name}", name="row", list=listed)(lambda name: name)

    @app.completion(resource="row://{name}", argument="name")
    async def names(ctx: Context, value: str) -> list[str]:
        return [(await ctx.read_resource("data://secret"))[0].text]

    wanted = {"ref": {"type": "ref/resource", "uri": "row://{name}"}, "argument": {"name": "name", "value": ""}}
    message = line(request(method, wanted if method.startswith("completion") else {}, meta=able(elicitation={})))
    async with app.running():
        answer = await Desk(app).send(message)
    assert "cannot be asked" in answer["error"]["message"]


async def test_who_thinks_about_a_confirmation_keeps_nobody_out():
    app, asked = Server("t"), asyncio.Event()

    @app.tool(concurrency=1, confirm=True)
    async def drop(city: str) -> str:
        return city

    async def thinks(params):
        asked.set()
        await asyncio.Event().wait()

    async def agrees(params):
        return ElicitResult("accept", {"confirm": True})

    async with (
        Client(app, era="legacy", on_elicit=thinks) as slow,
        Client(app, era="legacy", on_elicit=agrees) as quick,
    ):
        thinking = asyncio.create_task(slow.call_tool("drop", {"city": "Oslo"}))
        await asked.wait()
        assert (await quick.call_tool("drop", {"city": "Rome"})).content[0].text == "Rome"
        thinking.cancel()
        await asyncio.wait({thinking})


async def test_what_is_confirmed_while_all_places_are_taken_is_refused_and_not_run():
    app, began, ran = Server("t"), asyncio.Event(), []

    @app.tool(concurrency=1, confirm=True)
    async def drop(city: str) -> str:
        ran.append(city)
        began.set()
        await asyncio.Event().wait()
        return city

    async def agrees(params):
        return ElicitResult("accept", {"confirm": True})

    async with Client(app, on_elicit=agrees) as client:
        first = asyncio.create_task(client.call_tool("drop", {"city": "Oslo"}))
        await began.wait()
        refused = await client.call_tool("drop", {"city": "Rome"})
        assert refused.meta["dev.bascule/error"]["code"] == "overloaded"
        assert ran == ["Oslo"]
        first.cancel()
        await asyncio.wait({first})
