"""Rate limits: who shares a count with whom, what a refusal says, and what is free."""

import asyncio

import httpx2
import pytest
from msgspec import UNSET, Raw

from bascule import Client, Context, ElicitResult, MCPError, Server, ToolError
from bascule.engine.asking import Dialogue
from bascule.engine.exchange import ANONYMOUS, CLOSED, LOCAL, Conversation, Exchange, Peer, Principal
from bascule.engine.policy import Policy, Window
from bascule.engine.ports import Verdict
from bascule.errors import RateLimited, TooManyRequests
from bascule.guards.rate_limit import LIMITS_KEY, address_limit, method_limit, rate_limit
from bascule.stores.limits_memory import MemoryCounters
from bascule.stores.memory import MemoryMarks
from bascule.wire.requests import ClientCapabilities, RequestParams
from bascule.wire.results import EmptyResult
from tests.messages import headers, initialize, legacy, request
from tests.serving import serving

NOW = 1_700_000_000.0
ERAS = ["modern", "legacy"]
TWO = (Window(2, 60.0),)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Thing:
    """A feature."""

    def __init__(self, name="thing", kind="tool", rate=TWO):
        self.name = name
        self.address = name
        self.kind = kind
        self.policy = Policy(rate=rate)


async def done(exchange):
    return EmptyResult()


def counters(clock=lambda: 0.0):
    return MemoryCounters(1000, clock, lambda: NOW + clock())


def exchange(principal=LOCAL, address="", session=None, method="tools/call", mark=None):
    peer = Peer("", None, ClientCapabilities())
    made = Exchange(
        method=method,
        request_id=1,
        params=RequestParams(),
        raw_params=None,
        peer=peer,
        principal=principal,
        channel=CLOSED,
        inquire=None,
        address=address,
        conversation=None if session is None else Conversation(peer, session),
    )
    if mark is not None:
        made.dialogue = Dialogue()
        made.dialogue.mark = (mark, NOW + 600)
    return made


async def started(handler, times, **facts):
    """How many of so many calls began."""
    count = 0
    for _ in range(times):
        try:
            await handler(exchange(**facts))
            count += 1
        except RateLimited:
            pass
    return count


def known(subject, tenant="t", issuer="i"):
    return Principal(issuer=issuer, subject=subject, tenant=tenant, anonymous=False)


def weather(**options):
    """A server of everything, each at most twice a minute, by the guard under test."""
    app = Server("weather")

    @app.tool(rate="2/min")
    async def forecast(city: str) -> str:
        return city

    @app.tool
    async def free() -> str:
        return "free"

    @app.resource("config://cities", rate="2/min")
    async def cities() -> str:
        return "Bern"

    @app.resource("city://{name}", rate="2/min")
    async def city(name: str) -> str:
        return name

    @app.prompt(rate="2/min")
    async def briefing() -> str:
        return "brief"

    @app.tool(rate="2/min")
    async def booked(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", bool)).content)

    app.guard(rate_limit(counters(), MemoryMarks(), **options), before="rate_limit")
    return app


@pytest.mark.parametrize("era", ERAS)
async def test_a_refused_tool_tells_the_model_the_figures(era):
    async with Client(weather(), era=era) as client:
        for _ in range(2):
            assert not (await client.call_tool("forecast", {"city": "Bern"})).is_error
        refused = await client.call_tool("forecast", {"city": "Basel"})
        assert refused.is_error
        assert "2 calls in 60 s" in refused.content[0].text
        assert "try again in 60 s" in refused.content[0].text
        assert refused.meta["dev.bascule/error"] == {
            "code": "rate_limited",
            "limit": 2,
            "remaining": 0,
            "resetAt": NOW + 60,
            "retryAfter": 60,
        }
        for _ in range(10):
            assert not (await client.call_tool("free")).is_error


@pytest.mark.parametrize("era", ERAS)
async def test_reads_and_prompts_are_limited_with_the_same_figures(era):
    async with Client(weather(), era=era) as client:
        cases = [
            lambda: client.read_resource("config://cities"),
            lambda: client.read_resource("city://a"),
            lambda: client.get_prompt("briefing"),
        ]
        for ask in cases:
            await ask()
            await ask()
            with pytest.raises(MCPError) as refused:
                await ask()
            assert refused.value.data["code"] == "rate_limited"
            assert refused.value.data["retryAfter"] == 60
        with pytest.raises(MCPError):
            await client.read_resource("city://b")


@pytest.mark.parametrize("era", ERAS)
async def test_answering_a_question_is_not_another_call(era):
    accepted = ElicitResult("accept", {"value": True})
    async with Client(weather(), era=era, on_elicit=lambda params: accepted) as client:
        calls = [await client.call_tool("booked") for _ in range(3)]
    assert [call.is_error or False for call in calls] == [False, False, True]


@pytest.mark.parametrize("era", ERAS)
async def test_results_say_what_is_left_where_that_is_asked_for(era):
    async with Client(weather(figures=True), era=era) as client:
        told = await client.call_tool("forecast", {"city": "Bern"})
        assert told.meta[LIMITS_KEY] == {"limit": 2, "remaining": 1, "resetAt": NOW + 60}
        read = await client.read_resource("config://cities")
        assert read.meta[LIMITS_KEY]["remaining"] == 1
    async with Client(weather(), era=era) as client:
        quiet = await client.call_tool("forecast", {"city": "Bern"})
        assert LIMITS_KEY not in (quiet.meta or {})


def test_a_feature_without_a_rate_has_no_guard():
    assert rate_limit(counters())(done, Thing(rate=())) is done


async def test_a_sealed_state_is_free_once_and_charged_after_that():
    handler = rate_limit(counters(), MemoryMarks(clock=lambda: NOW))(done, Thing())
    assert await started(handler, 1, mark="state:1") == 1
    assert await started(handler, 10, mark="state:1") == 2, "replayed, it is a call like any other"
    assert await started(handler, 10, mark="state:2") == 1, "another state is another answer"
    assert await started(handler, 10) == 0


async def test_without_room_for_marks_nothing_is_free():
    for marks in (None, MemoryMarks(0)):
        handler = rate_limit(counters(), marks)(done, Thing())
        assert sum([await started(handler, 1, mark=f"state:{number}") for number in range(9)]) == 2


async def test_each_caller_and_each_feature_has_a_count_of_its_own():
    guard = rate_limit(counters())
    handlers = [guard(done, Thing(name, kind)) for name in ("a", "b") for kind in ("tool", "prompt")]
    for handler in handlers:
        for caller in (LOCAL, known("ann"), known("ben"), known("ann", "other tenant"), known("ann", issuer="other")):
            assert await started(handler, 3, principal=caller) == 2


async def test_no_names_can_be_chosen_so_that_two_callers_share_a_count():
    handler = rate_limit(counters())(done, Thing())
    alike = [
        ("a", "b", "c"),
        ("a1:b", "", "c"),
        ("", "a1:b", "c"),
        ("a", "b1:c", ""),
        ("a:b", "c", ""),
        ("ab", "", "c"),
    ]
    for tenant, issuer, subject in alike:
        assert await started(handler, 3, principal=known(subject, tenant, issuer)) == 2
    assert await started(handler, 3, session="a1:b1:c") == 2
    assert await started(handler, 3, principal=ANONYMOUS, session="a1:b1:c") == 2


async def test_a_caller_without_credentials_is_its_session_or_else_its_address():
    handler = rate_limit(counters())(done, Thing())
    assert await started(handler, 3, principal=ANONYMOUS, address="192.0.2.1") == 2
    assert await started(handler, 3, principal=ANONYMOUS, address="192.0.2.2") == 2
    assert await started(handler, 3, principal=ANONYMOUS, address="192.0.2.1", session="s") == 2
    assert await started(handler, 3, principal=ANONYMOUS, address="192.0.2.1", session="t") == 2
    assert await started(handler, 3, principal=ANONYMOUS, address="2001:db8::1") == 2
    assert await started(handler, 3, principal=ANONYMOUS, address="2001:db8::2") == 0, "one site"
    assert await started(handler, 3, principal=ANONYMOUS) == 2
    assert await started(handler, 3, principal=known("ann"), address="192.0.2.1") == 2


async def test_what_waits_as_long_as_it_was_told_to_is_let_in():
    clock = Clock()
    handler = rate_limit(counters(clock))(done, Thing(rate=(Window(3, 7.0 / 3), Window(5, 11.1))))
    for _ in range(40):
        clock.now += 0.1
        try:
            await handler(exchange())
        except RateLimited as refused:
            assert refused.details["retryAfter"] > 0
            clock.now += refused.details["retryAfter"] + 1e-9
            await handler(exchange())


async def test_a_hundred_calls_at_once_are_as_many_as_the_limit():
    handler = rate_limit(counters())(done, Thing())
    assert sum(await asyncio.gather(*(started(handler, 1) for _ in range(100)))) == 2


async def test_what_cannot_be_counted_is_refused_with_that_reason():
    class Nothing:
        async def charge(self, key, windows):
            return Verdict(False, 0, NOW + 1, 1.0, windows[0], False)

    with pytest.raises(RateLimited, match="cannot be counted at the moment; try again in 1 s"):
        await rate_limit(Nothing())(done, Thing())(exchange())


async def test_encoded_figures_of_an_author_stay_as_they_are():
    async def encoded(exchange):
        return EmptyResult(meta=Raw(b'{"a":1}'))

    async def own(exchange):
        return EmptyResult(meta={"a": 1})

    guard = rate_limit(counters(), figures=True)
    assert (await guard(encoded, Thing("encoded"))(exchange())).meta == Raw(b'{"a":1}')
    assert set((await guard(own, Thing("own"))(exchange())).meta) == {"a", LIMITS_KEY}
    kept = EmptyResult()

    async def same(exchange):
        return kept

    await guard(same, Thing("same"))(exchange())
    assert kept.meta is UNSET, "a result that an author keeps is not written into"


async def test_methods_that_are_no_feature_are_limited_apart():
    check = method_limit(counters(), TWO)
    for method in ("tools/list", "prompts/list"):
        for caller in (LOCAL, known("ann")):
            await check(exchange(caller, method=method))
            await check(exchange(caller, method=method))
            with pytest.raises(ToolError, match=f"The method {method} allows 2 calls"):
                await check(exchange(caller, method=method))


async def test_an_address_is_limited_with_an_http_status():
    check = address_limit(counters(), TWO)
    for _ in range(2):
        await check(ANONYMOUS, "2001:db8::1")
    with pytest.raises(TooManyRequests) as refused:
        await check(ANONYMOUS, "2001:db8::2")
    assert (refused.value.status, refused.value.retry_after) == (429, 60.0)
    assert refused.value.data == {
        "code": "rate_limited",
        "limit": 2,
        "remaining": 0,
        "resetAt": NOW + 60,
        "retryAfter": 60,
    }
    for _ in range(5):
        await check(ANONYMOUS, "192.0.2.1" if _ < 2 else "")
        await check(known("ann"), "2001:db8::2")


@pytest.fixture
def seen():
    """A server that says from where it is called, limited by address through a guard of its own."""
    app = Server("seen")
    check = address_limit(counters(), (Window(3, 60.0),))

    @app.tool
    async def where() -> str:
        return "here"

    def guard(next, feature):
        async def admitted(exchange):
            await check(exchange.principal, exchange.address)
            return await next(exchange)

        return admitted

    app.guard(guard)
    with serving(app) as running:
        yield running.url


def client_at(address):
    return httpx2.Client(timeout=10, transport=httpx2.HTTPTransport(local_address=address))


def test_clients_at_one_address_share_its_limit_over_http(seen):
    message = request("tools/call", {"name": "where"})
    with client_at("127.0.0.1") as here, client_at("127.0.0.2") as there:
        answers = [here.post(seen, json=message, headers=headers(message)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["error"]["data"]["code"] == "rate_limited"
        assert there.post(seen, json=message, headers=headers(message)).status_code == 200


def test_sessions_do_not_hide_an_address(seen):
    plain = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    answers = []
    with client_at("127.0.0.3") as http:
        for _ in range(5):
            opened = http.post(seen, json=initialize(), headers=plain)
            session = {**plain, "mcp-session-id": opened.headers["mcp-session-id"]}
            answers.append(http.post(seen, json=legacy("tools/call", {"name": "where"}), headers=session).json())
    assert ["error" in answer for answer in answers] == [False, False, False, True, True]
