"""Load: the process bears so many calls, nobody holds more than a share of them, and nobody waits for long."""

import asyncio

import pytest

from bascule.engine.exchange import ANONYMOUS, LOCAL
from bascule.engine.settings import LoadSettings
from bascule.errors import Overloaded
from bascule.guards.load import Load, load_limit
from tests.guards.calls import exchange, feature, simulated, somebody


class Server:
    """A handler under a load guard; its calls end when they are let go, or after `seconds`."""

    def __init__(self, seconds=None, address=lambda exchange: None, **settings):
        self.load = Load(LoadSettings(**settings), address)
        self.seconds = seconds
        self.handler = load_limit(self.load)(self.work, feature())
        self.running = []
        self.served = []

    async def work(self, exchange):
        name = exchange.principal.subject
        self.running.append(name)
        try:
            if self.seconds is None:
                await asyncio.get_running_loop().create_future()
            else:
                await asyncio.sleep(self.seconds)
            self.served.append(name)
        finally:
            self.running.remove(name)

    def begin(self, name, many=1):
        """So many calls of somebody, under way."""
        return [asyncio.create_task(self.handler(exchange(somebody(name)))) for _ in range(many)]

    def assert_idle(self):
        assert (self.load.running, len(self.load), self.load.waiting) == (0, 0, 0)


async def turns(many=3):
    for _ in range(many):
        await asyncio.sleep(0)


async def ended(calls):
    for call in calls:
        call.cancel()
    return await asyncio.gather(*calls, return_exceptions=True)


def test_beyond_the_cap_and_the_queue_a_call_is_refused_at_once():
    async def main(loop):
        server = Server(max_calls=3, max_calls_per_principal=3, max_waiting=2, max_wait=1.0)
        calls = server.begin("ann", 3) + server.begin("bob", 2)
        await turns()
        assert server.running == ["ann"] * 3
        assert server.load.waiting == 2
        with pytest.raises(Overloaded, match="overloaded") as refused:
            await server.handler(exchange(somebody("cid")))
        assert loop.time() == 0
        error = refused.value
        assert (error.status, error.retry_after) == (503, 1.0)
        assert error.data == {"code": "overloaded", "retryAfter": 1.0}
        assert not -32768 <= error.code <= -32000
        await ended(calls)
        server.assert_idle()

    simulated(main)


def test_whoever_waits_too_long_is_refused():
    async def main(loop):
        server = Server(max_calls=1, max_calls_per_principal=1, max_waiting=5, max_wait=0.5)
        calls = server.begin("ann")
        await turns()
        with pytest.raises(Overloaded):
            await server.handler(exchange(somebody("bob")))
        assert loop.time() == 0.5
        assert server.load.waiting == 0
        await ended(calls)
        server.assert_idle()

    simulated(main)


def test_without_a_queue_nobody_waits():
    async def main(loop):
        server = Server(max_calls=1, max_waiting=0)
        calls = server.begin("ann")
        await turns()
        with pytest.raises(Overloaded):
            await server.handler(exchange(somebody("bob")))
        assert loop.time() == 0
        await ended(calls)

    simulated(main)


def test_turns_come_in_the_order_of_those_that_wait():
    async def main(_):
        server = Server(0.01, max_calls=1, max_calls_per_principal=1, max_waiting=10)
        await asyncio.gather(*[call for name in "abcdefgh" for call in server.begin(name)])
        assert "".join(server.served) == "abcdefgh"
        server.assert_idle()

    simulated(main)


def test_nobody_holds_more_than_its_share():
    async def main(_):
        server = Server(max_calls=10, max_calls_per_principal=4, max_waiting=10)
        calls = server.begin("hog", 6)
        await turns()
        assert server.running == ["hog"] * 4
        calls += server.begin("ann")
        await turns()
        assert server.running == ["hog"] * 4 + ["ann"]
        with pytest.raises(Overloaded, match="Too many of your calls"):
            await asyncio.gather(*calls)
        await ended(calls)
        server.assert_idle()

    simulated(main)


def test_who_has_room_is_not_blocked_behind_one_that_has_its_share():
    async def main(_):
        server = Server(max_calls=3, max_calls_per_principal=2, max_waiting=9, max_wait=9)
        hog, bob = server.begin("hog", 2), server.begin("bob")
        await turns()
        waiting = server.begin("hog", 2)
        await turns()
        ann = server.begin("ann")
        await turns()
        assert server.load.waiting == 3
        await ended(bob)
        await turns()
        assert sorted(server.running) == ["ann", "hog", "hog"]
        await ended(hog[:1])
        await turns()
        assert sorted(server.running) == ["ann", "hog", "hog"]
        await ended(hog + waiting + ann)
        server.assert_idle()

    simulated(main)


def test_nobody_fills_the_queue_alone():
    async def main(_):
        server = Server(max_calls=10, max_calls_per_principal=2, max_waiting=10, max_wait=5)
        calls = [call for name in "abcde" for call in server.begin(name, 2)]
        await turns()
        calls += server.begin("hog", 50)
        await turns()
        assert server.load.waiting == 2
        calls += server.begin("ann")
        await turns()
        assert server.load.waiting == 3
        await ended(calls)
        server.assert_idle()

    simulated(main)


def test_a_turn_that_is_given_to_one_that_is_cancelled_goes_to_the_next():
    async def main(_):
        server = Server(max_calls=1, max_calls_per_principal=1, max_waiting=9, max_wait=9)
        (first,) = server.begin("ann")
        await turns()
        (second,), (third,) = server.begin("bob"), server.begin("cid")
        await turns()
        first.cancel()
        await asyncio.sleep(0)  # the turn is given
        assert server.load.running == 1
        second.cancel()
        await turns()
        assert server.running == ["cid"]
        await ended([third])
        server.assert_idle()

    simulated(main)


def test_the_user_at_this_machine_may_hold_all():
    async def main(_):
        server = Server(max_calls=10, max_calls_per_principal=1, max_waiting=0)
        calls = [asyncio.create_task(server.handler(exchange(LOCAL))) for _ in range(10)]
        await turns()
        assert server.load.running == 10
        await ended(calls)

    simulated(main)


def test_those_without_credentials_have_a_share_for_each_address():
    where = {}

    async def main(_):
        server = Server(address=lambda one: where[id(one)], max_calls=10, max_calls_per_principal=2, max_waiting=0)
        asked = [exchange(ANONYMOUS) for _ in range(6)]
        where.update(zip(map(id, asked), ["10.0.0.1"] * 3 + ["10.0.0.2"] + [None] * 2, strict=True))
        calls = [asyncio.create_task(server.handler(one)) for one in asked]
        await turns()
        assert [call.done() for call in calls] == [False, False, True, False, False, False]
        assert len(server.load) == 3
        await ended(calls)

    simulated(main)


def test_a_call_that_a_handler_makes_is_part_of_its_own():
    async def main(loop):
        load = Load(LoadSettings(max_calls=1, max_waiting=0))

        async def read(_):
            await asyncio.sleep(1)
            return "read"

        inner = load_limit(load)(read, feature("resource"))

        async def tool(outer):
            return await inner(exchange(outer=outer))

        assert await load_limit(load)(tool, feature())(exchange()) == "read"
        assert load.running == 0

    simulated(main)


@pytest.mark.parametrize("wrong", [ValueError("x"), asyncio.CancelledError(), SystemExit()])
def test_whatever_goes_wrong_gives_the_turn_back(wrong):
    async def handler(_):
        await asyncio.sleep(0)
        raise wrong

    async def main(_):
        load = Load(LoadSettings(max_calls=1, max_waiting=0))
        guarded = load_limit(load)(handler, feature())
        for _ in range(3):
            with pytest.raises(type(wrong)):
                await guarded(exchange())
        assert load.running == 0

    simulated(main)


def test_a_million_callers_leave_nothing_behind():
    async def quick(_):
        return "done"

    async def main(_):
        load = Load(LoadSettings(max_calls=10, max_waiting=0))
        guarded = load_limit(load)(quick, feature())
        one = exchange()
        for number in range(100_000):
            one.principal = somebody(str(number))
            await guarded(one)
        assert len(load) == 0
        for number in range(900_000):  # the rest of them, by the short way
            load.enter(number)
            assert len(load) == 1
            load.leave(number)
        assert len(load) == 0

    simulated(main)


def test_a_storm_of_cancellations_keeps_the_books_balanced():
    async def main(loop):
        server = Server(0.1, max_calls=5, max_calls_per_principal=2, max_waiting=6, max_wait=0.15)
        every = []
        for turn in range(300):
            calls = [call for name in "abcdef" for call in server.begin(name, 3)]
            every += calls
            await asyncio.sleep(0.03 * (turn % 9))
            for call in calls[turn % 5 :: 3]:
                call.cancel()
            if turn % 3:
                await asyncio.gather(*calls, return_exceptions=True)
            most = {name: server.running.count(name) for name in server.running}
            assert len(server.running) <= 5
            assert max(most.values(), default=0) <= 2
            assert server.load.waiting <= 6
        outcomes = await asyncio.gather(*every, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {type(None), Overloaded, asyncio.CancelledError}
        server.assert_idle()
        assert loop.timers() == []
        assert len(server.served) > 1000

    simulated(main)
