"""Time-outs: a call that is late is stopped, cleans up, and is answered; one that is not is left alone."""

import asyncio
import gc
import time
from contextvars import copy_context

import pytest
from msgspec import Raw

from bascule.engine.asking import Asking, Question
from bascule.errors import MCPError, TimedOut, ToolError
from bascule.guards.deadlines import LONGEST, SPACING, Deadlines, time_limit
from tests.guards.calls import exchange, feature, result, simulated

GRACE = 5.0


class World:
    """A loop, its deadlines, and the guard of one tool that may take `timeout` seconds."""

    def __init__(self, loop):
        self.loop = loop
        self.deadlines = Deadlines(GRACE, loop.time)

    def timed(self, handler, timeout=1.0, kind="tool"):
        return time_limit(self.deadlines)(handler, feature(kind, timeout=timeout))

    async def called(self, handler, seconds=1.0, **options):
        """What a call gave or raised, and when."""
        began = self.loop.time()
        try:
            outcome = await self.timed(handler, seconds)(exchange(**options))
        except Exception as error:
            outcome = error
        assert asyncio.current_task().cancelling() == 0
        return outcome, self.loop.time() - began


async def hang(_):
    await asyncio.get_running_loop().create_future()


def test_a_feature_without_a_time_out_is_left_as_it_is():
    assert time_limit(Deadlines())(hang, feature(timeout=None)) is hang


def test_a_call_that_hangs_is_stopped_and_its_finally_runs():
    ended = []

    async def handler(_):
        try:
            await hang(_)
        finally:
            ended.append(asyncio.get_running_loop().time())

    async def main(loop):
        world = World(loop)
        error, took = await world.called(handler, 2.5)
        assert isinstance(error, TimedOut)
        assert (error.code, error.details) == ("timed_out", {"timeout": 2.5})
        assert "work was stopped after 2.5 s" in error.message
        assert 2.5 <= took <= 2.5 + SPACING
        assert ended
        assert len(world.deadlines) == 0

    simulated(main)


@pytest.mark.parametrize("timeout", [0.001, 0.05, 1.0, 30.0, 3600.0])
def test_a_deadline_is_noticed_in_time(timeout):
    async def main(loop):
        world = World(loop)
        crowd = [asyncio.create_task(world.called(hang, timeout)) for _ in range(20)]
        await asyncio.sleep(timeout / 3)
        crowd += [asyncio.create_task(world.called(hang, timeout)) for _ in range(20)]
        for error, took in await asyncio.gather(*crowd):
            assert isinstance(error, TimedOut)
            assert timeout <= took <= timeout + SPACING + 1e-6

    simulated(main)


def test_a_shorter_deadline_is_not_kept_waiting_by_a_longer_one():
    async def main(loop):
        world = World(loop)
        long = asyncio.create_task(world.called(hang, 50.0))
        await asyncio.sleep(3.3)
        _, took = await world.called(hang, 0.2)
        assert took <= 0.2 + SPACING
        _, took = await long
        assert 50 <= took <= 50 + SPACING

    simulated(main)


def test_a_flood_of_deadlines_is_looked_at_together():
    """However many there are, and however close to one another: a look costs time for every call under way."""

    async def main(loop):
        world = World(loop)
        timers = []
        call_later = loop.call_later
        loop.call_later = lambda *given: timers.append(given) or call_later(*given)
        await asyncio.gather(*(world.called(hang, 0.001 * number) for number in range(1, 1001)))
        assert 1 <= loop.time() <= 1 + SPACING
        assert len(timers) <= 2 / SPACING

    simulated(main)


def test_a_call_in_time_is_not_touched():
    async def handler(_):
        await asyncio.sleep(0.99)
        return "in time"

    async def main(loop):
        assert await World(loop).called(handler) == ("in time", pytest.approx(0.99))

    simulated(main)


def test_a_call_that_never_waits_costs_no_timer():
    async def handler(_):
        return "at once"

    async def main(loop):
        assert await World(loop).called(handler) == ("at once", 0.0)
        assert loop.timers() == []

    simulated(main)


def test_the_timer_lives_hardly_longer_than_the_calls():
    async def handler(_):
        await asyncio.sleep(0.01)

    async def main(loop):
        world = World(loop)
        for _ in range(10_000):
            await world.called(handler, 3600.0)
        assert len(world.deadlines) == 0
        assert len(loop.timers()) <= 1
        await asyncio.sleep(LONGEST + SPACING)
        assert loop.timers() == []
        assert world.deadlines._sweeps == {}
        assert world.deadlines.cut_off == set()

    simulated(main)


def test_a_call_that_completes_in_the_moment_of_its_deadline_is_not_lost():
    async def main(loop):
        world = World(loop)
        waited = loop.create_future()

        async def handler(_):
            await waited
            return "just in time"

        call = asyncio.create_task(world.called(handler))
        await asyncio.sleep(0)
        waited.set_result(None)  # in one turn of the loop: what it waits for is there, and its time is over
        loop._now = 1.0
        world.deadlines.sweep()._look()
        assert await call == ("just in time", 1.0)

    simulated(main)


def test_a_handler_that_never_stops_for_breath_is_stopped_all_the_same():
    async def handler(_):
        while True:
            await asyncio.sleep(0)
            asyncio.get_running_loop()._now += 0.001

    async def main(loop):
        error, took = await World(loop).called(handler)
        assert isinstance(error, TimedOut)
        assert took <= 1.0 + 3 * SPACING

    simulated(main)


def test_a_cancellation_from_outside_is_not_taken_for_a_time_out():
    async def main(loop):
        call = asyncio.create_task(World(loop).timed(hang)(exchange()))
        await asyncio.sleep(0.5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    simulated(main)


@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_cancellation_from_outside_wins_over_a_time_out(delay):
    """It comes in the same turn, or while the handler cleans up."""

    async def handler(_):
        try:
            await hang(_)
        finally:
            await asyncio.sleep(2)

    async def main(loop):
        world = World(loop)
        call = asyncio.create_task(world.timed(handler)(exchange()))
        await asyncio.sleep(0)
        due = world.deadlines.sweep()._timer.when()
        loop.call_at(due + delay, call.cancel)
        with pytest.raises(asyncio.CancelledError):
            await call
        assert loop.time() == due + (delay or 2), "the second cancellation ends the clean-up, the first does not"
        assert len(world.deadlines) == 0

    simulated(main)


def test_a_task_that_was_cancelled_before_can_still_time_out():
    async def main(loop):
        world = World(loop)

        async def caller():
            try:
                await hang(None)
            except asyncio.CancelledError:
                with pytest.raises(TimedOut):
                    await world.timed(hang)(exchange())
            assert asyncio.current_task().cancelling() == 1

        task = asyncio.create_task(caller())
        await asyncio.sleep(0)
        task.cancel()
        await task

    simulated(main)


@pytest.mark.parametrize("wrong", [ValueError("x"), ToolError("no"), MCPError("no"), Asking({})])
def test_what_goes_wrong_in_the_clean_up_does_not_hide_that_it_was_late(wrong):
    async def handler(_):
        try:
            await hang(_)
        finally:
            raise wrong

    async def main(loop):
        error, _ = await World(loop).called(handler)
        assert isinstance(error, TimedOut)
        assert error.__cause__ is wrong

    simulated(main)


@pytest.mark.parametrize("wrong", [ValueError("x"), ToolError("no"), MCPError("no"), TimeoutError()])
def test_what_a_handler_raises_in_time_passes(wrong):
    async def handler(_):
        await asyncio.sleep(0.5)
        raise wrong

    async def main(loop):
        assert await World(loop).called(handler) == (wrong, 0.5)

    simulated(main)


def test_a_failure_made_of_the_cancellation_is_a_time_out_and_a_result_is_a_result():
    def handler(outcome):
        async def handle(_):
            try:
                await hang(_)
            except asyncio.CancelledError:
                return outcome

        return handle

    async def main(loop):
        world = World(loop)
        error, _ = await world.called(handler(result("a stack of driver errors", is_error=True)))
        assert isinstance(error, TimedOut)
        partly = result("what I have so far")
        assert (await world.called(handler(partly)))[0] is partly

    simulated(main)


def test_a_time_out_of_the_handlers_own_is_its_own():
    async def handler(_):
        try:
            async with asyncio.timeout(0.5):
                await hang(_)
        except TimeoutError:
            return "as planned"

    async def main(loop):
        assert await World(loop).called(handler) == ("as planned", 0.5)

    simulated(main)


@pytest.mark.parametrize("inner", [0.2, 5.0])
def test_a_call_within_a_call_keeps_both_deadlines(inner):
    """The inner one's error reaches the outer handler; the outer one's stops both, and the caller hears of that one."""

    async def main(loop):
        world = World(loop)
        inside = world.timed(hang, inner)

        async def outer(_):
            try:
                await inside(exchange())
            except TimedOut as error:
                return error.details

        outcome, took = await world.called(outer, 1.0)
        if inner < 1:
            assert outcome == {"timeout": 0.2}
        else:
            assert isinstance(outcome, TimedOut)
            assert outcome.details == {"timeout": 1.0}
        assert took <= min(inner, 1.0) + 2 * SPACING
        assert len(world.deadlines) == 0

    simulated(main)


def test_two_deadlines_at_the_same_moment_cancel_once():
    async def handler(_):
        try:
            await hang(_)
        finally:
            await asyncio.sleep(2)

    async def main(loop):
        world = World(loop)
        inside = world.timed(handler)
        outcome, took = await world.called(lambda _: inside(exchange()))
        assert isinstance(outcome, TimedOut)
        assert took == 3.0

    simulated(main)


# Questions


QUESTIONS = {"q1": Question("elicitation/create", None, "elicitation")}


def answering(after):
    async def inquire(exchange, questions):
        await asyncio.sleep(after)
        return {key: Raw(b"{}") for key in questions}

    return inquire


def test_the_time_of_a_person_does_not_count():
    async def handler(exchange):
        await asyncio.sleep(0.6)
        await exchange.inquire(exchange, QUESTIONS)
        await asyncio.sleep(0.3)
        return "answered"

    async def main(loop):
        assert await World(loop).called(handler, inquire=answering(500)) == ("answered", pytest.approx(500.9))

    simulated(main)


def test_the_time_around_a_question_does():
    async def handler(exchange):
        await asyncio.sleep(0.6)
        await exchange.inquire(exchange, QUESTIONS)
        await asyncio.sleep(0.5)

    async def main(loop):
        error, took = await World(loop).called(handler, inquire=answering(500))
        assert isinstance(error, TimedOut)
        assert 501 <= took <= 501 + SPACING

    simulated(main)


def test_questions_side_by_side_stop_the_clock_once():
    async def handler(exchange):
        async def ask(after):
            await asyncio.sleep(after)
            return await exchange.inquire(exchange, QUESTIONS)

        await asyncio.gather(ask(0), ask(0.5), ask(7))
        await hang(exchange)

    async def main(loop):
        error, took = await World(loop).called(handler, inquire=answering(10))
        assert isinstance(error, TimedOut)
        assert 18 - 1e-6 <= took <= 18 + SPACING

    simulated(main)


@pytest.mark.parametrize("wrong", [ToolError("nobody answers"), Asking({})])
def test_a_question_that_fails_starts_the_clock_again(wrong):
    async def inquire(exchange, questions):
        await asyncio.sleep(10)
        raise wrong

    async def handler(exchange):
        try:
            await exchange.inquire(exchange, QUESTIONS)
        except (ToolError, Asking):
            await hang(exchange)

    async def main(loop):
        error, took = await World(loop).called(handler, inquire=inquire)
        assert isinstance(error, TimedOut)
        assert 11 <= took <= 11 + SPACING

    simulated(main)


def test_a_round_that_ends_with_a_question_is_no_time_out():
    async def inquire(exchange, questions):
        raise Asking(questions)

    async def handler(exchange):
        await asyncio.sleep(0.1)
        await exchange.inquire(exchange, QUESTIONS)

    async def main(loop):
        world = World(loop)
        with pytest.raises(Asking):
            await world.timed(handler)(exchange(inquire=inquire))
        assert len(world.deadlines) == 0

    simulated(main)


@pytest.mark.parametrize("after", [3, 500])
def test_who_is_cancelled_may_not_hide_behind_a_question(after):
    async def handler(exchange):
        try:
            await hang(exchange)
        except asyncio.CancelledError:
            await exchange.inquire(exchange, QUESTIONS)
            await hang(exchange)

    async def main(loop):
        error, took = await World(loop).called(handler, inquire=answering(after))
        assert isinstance(error, TimedOut)
        assert took <= 1 + GRACE + 2 * SPACING

    simulated(main)


# Handlers that do not end


async def deaf(_):
    """Swallows whatever it can, for ever."""
    while True:
        try:
            await hang(_)
        except asyncio.CancelledError:
            pass


async def deaf_child(_):
    """Waits for a task that cannot be cancelled."""
    return await asyncio.create_task(deaf(_))


async def deaf_children(_):
    return await asyncio.gather(deaf(_), deaf(_))


async def deaf_group(_):
    async with asyncio.TaskGroup() as group:
        group.create_task(deaf(_))


async def slow_to_clean(_):
    try:
        await hang(_)
    finally:
        await asyncio.sleep(60)


@pytest.mark.parametrize("handler", [deaf, deaf_child, deaf_children, deaf_group, slow_to_clean])
def test_who_does_not_end_loses_its_reply_after_the_grace_period(handler, caplog):
    async def main(loop):
        world = World(loop)
        error, took = await world.called(handler)
        assert isinstance(error, TimedOut)
        assert 1 + GRACE <= took <= 1 + GRACE + 2 * SPACING
        assert len(world.deadlines) == 0
        assert "tool work goes on although its time was over: it is cut off" in caplog.text

    loop_of_deaf_tasks(main)


def loop_of_deaf_tasks(main):
    """As `simulated`, for what cannot be ended: it is let go of when the loop closes."""

    async def silent(loop):
        await main(loop)
        loop.set_exception_handler(lambda loop, context: None)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task._log_destroy_pending = False

    simulated(silent)


def test_what_was_cut_off_ends_in_a_task_of_its_own():
    ended = []

    async def handler(_):
        try:
            await hang(_)
        finally:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(1)
                ended.append("all of it")

    async def main(loop):
        world = World(loop)
        await world.called(handler)
        assert len(world.deadlines.cut_off) == 1
        await asyncio.sleep(1.1)
        assert ended == ["all of it"]
        assert world.deadlines.cut_off == set()

    simulated(main)


def test_the_failure_of_what_was_cut_off_is_logged(caplog):
    async def handler(_):
        try:
            await deaf_once(_)
        finally:
            raise ValueError("much later")

    async def deaf_once(_):
        try:
            await hang(_)
        except asyncio.CancelledError:
            await hang(_)

    async def main(loop):
        world = World(loop)
        await world.called(handler)
        await asyncio.sleep(1)
        assert world.deadlines.cut_off == set()

    simulated(main)
    assert "much later" in caplog.text


def test_a_task_whose_handler_was_cut_off_is_seen_to_be_unclean():
    """The streams' workers serve several requests each, and give up a task whose context has changed."""

    async def main(loop):
        clean = copy_context()
        await World(loop).called(slow_to_clean)
        assert copy_context() != clean

    simulated(main)


@pytest.mark.parametrize("inner", [1.0, 1.02, 3.0])
def test_a_call_within_one_that_was_cut_off_goes_with_it(inner):
    async def main(loop):
        world = World(loop)
        inside = world.timed(slow_to_clean, inner)
        error, took = await world.called(lambda _: inside(exchange()), 1.0)
        assert isinstance(error, TimedOut)
        assert error.details == {"timeout": 1.0}
        assert took <= 1 + GRACE + 2 * SPACING
        assert len(world.deadlines) == 0

    simulated(main)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_handler_that_awaits_a_task_is_cancelled_with_it(stubborn):
    """Waiting for a task is as it was: its result comes, its error too, and cancelling the one cancels the other."""

    async def main(loop):
        world = World(loop)

        async def child():
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                if not stubborn:
                    raise
                await asyncio.sleep(0.5)
                return "all the same"
            raise ValueError("a child's")

        async def handler(_):
            return await asyncio.create_task(child())

        error, took = await world.called(handler)
        assert (str(error), took) == ("a child's", 0.2)
        call = asyncio.create_task(world.timed(handler)(exchange()))
        await asyncio.sleep(0.1)
        call.cancel()
        if stubborn:
            assert await call == "all the same"
        else:
            with pytest.raises(asyncio.CancelledError):
                await call

    simulated(main)


def test_a_storm_of_cancellations_leaves_nothing_behind():
    async def handler(_):
        try:
            await asyncio.sleep(2)
        finally:
            await asyncio.sleep(0.1)

    async def main(loop):
        world = World(loop)
        crowd = [asyncio.create_task(world.timed(handler)(exchange())) for _ in range(1000)]
        for round_ in range(30):
            await asyncio.sleep(0.05)
            for call in crowd[round_::7]:
                call.cancel()
        outcomes = await asyncio.gather(*crowd, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {asyncio.CancelledError, TimedOut}
        assert len(world.deadlines) == 0

    simulated(main)


def test_loops_that_have_closed_are_forgotten():
    deadlines = Deadlines(clock=time.monotonic)

    async def handler(_):
        await asyncio.sleep(0)

    for _ in range(5):
        asyncio.run(time_limit(deadlines)(handler, feature())(exchange()))
    assert len(deadlines._sweeps) == 1


async def test_what_a_cancelled_call_waited_for_is_not_told_of_as_lost():
    """A gathering fails in the moment in which its waiter is cancelled, so that nobody looks at it any more."""
    loop, heard = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
    inner = loop.create_future()

    async def handler(given):
        await asyncio.gather(inner)

    deadlines = Deadlines()
    call = time_limit(deadlines)(handler, feature(timeout=30.0))
    calling = asyncio.create_task(call(exchange()))
    await asyncio.sleep(0)
    inner.set_exception(OSError("late"))
    for _ in range(2):
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.wait({calling})
    del call, calling
    gc.collect()
    loop.set_exception_handler(None)
    assert heard == []
