"""A courier delivers in order and one at a time, and nothing that a callback does stops it."""

import asyncio
import logging
from typing import Any

import pytest

from bascule.runtime.courier import Courier


async def test_sync_callbacks_are_called_at_once() -> None:
    seen: list[Any] = []
    courier = Courier(lambda *what: seen.append(what))
    courier.deliver(1, "a")
    courier.deliver(2, "b")
    assert seen == [(1, "a"), (2, "b")]
    await courier.finish()


async def test_async_callbacks_run_one_after_the_other() -> None:
    seen: list[str] = []

    async def slow(name: str) -> None:
        seen.append(f"{name} begins")
        await asyncio.sleep(0)
        seen.append(f"{name} ends")

    courier = Courier(slow)
    courier.deliver("a")
    courier.deliver("b")
    await courier.finish()
    assert seen == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_callback_that_raises_is_logged_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    async def broken(number: int) -> None:
        seen.append(number)
        raise ValueError(number)

    courier = Courier(broken)
    for number in range(3):
        courier.deliver(number)
    await courier.finish()
    assert seen == [0, 1, 2]
    assert caplog.text.count("failed on a notification") == 3


async def test_a_callback_that_cannot_keep_up_loses_the_newest_and_is_told_on_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []
    go = asyncio.Event()

    async def slow(number: int) -> None:
        await go.wait()
        seen.append(number)

    courier = Courier(slow, limit=2)
    for number in range(10):
        courier.deliver(number)
    go.set()
    await courier.finish()
    assert seen == [0, 1, 2]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("begun", [True, False])
async def test_stopping_drops_what_waits_and_cancels_what_runs(begun: bool) -> None:
    seen: list[int] = []

    async def endless(number: int) -> None:
        seen.append(number)
        await asyncio.Event().wait()

    courier = Courier(endless)
    courier.deliver(1)
    courier.deliver(2)
    if begun:
        await asyncio.sleep(0)
    courier.stop()
    await courier.finish()
    assert seen == ([1] if begun else [])
