"""The door before all guards, as a program that serves over HTTP has it: who gets in, and what the others are told."""

from itertools import count

import pytest

from bascule import Client, MCPError
from tests.details import up_to, wrong_with
from tests.peers.refusals import MAX_FAILURES, PER_ADDRESS, WAYS, knock, served

ERAS = ("modern", "legacy")
KEY = next(way.key for way in WAYS if way.transport == "http")
WRONG = {"X-API-Key": "wrong"}
FIGURES = {"limit": PER_ADDRESS, "remaining": 0, "resetAt": bool, "retryAfter": up_to(3600)}


@pytest.fixture(scope="module")
def places():
    with served() as places:
        yield places


@pytest.fixture(scope="module")
def address():
    """An address that nobody else comes from."""
    numbers = count(1)
    return lambda: {"X-Forwarded-For": f"203.0.113.{next(numbers)}"}


async def refused(url, headers, era):
    with pytest.raises(MCPError) as refused:
        async with Client(url, headers=headers, era=era):
            raise AssertionError("it was let in")
    return refused.value


@pytest.mark.parametrize("era", ERAS)
async def test_a_key_in_either_header_opens_and_an_address_without_failures_is_let_in(places, address, era):
    for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        async with Client(places.keyed, headers={**headers, **address()}, era=era) as client:
            assert "forecast" in [tool.name for tool in await client.list_tools()]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({}, 401, "unauthenticated"),
        ({"Authorization": "Basic eDp5"}, 401, "unauthenticated"),
        (WRONG, 403, "unknown_key"),
    ],
)
async def test_who_has_no_good_key_is_told_what_is_wrong_with_it(places, address, headers, status, word, era):
    error = await refused(places.keyed, {**headers, **address()}, era)
    assert (error.code, error.status, error.data) == (status, status, {"code": word})


@pytest.mark.parametrize("era", ERAS)
async def test_an_address_that_fails_too_often_waits_and_whoever_has_a_good_key_there_does_not(places, address, era):
    here = address()
    for _ in range(MAX_FAILURES):
        knock(places.keyed, {**WRONG, **here})
    error = await refused(places.keyed, {**WRONG, **here}, era)
    assert error.status == 429
    assert wrong_with({"code": "too_many_failures", "retryAfter": up_to(3600)}, error.data) == []
    assert error.retry_after == error.data["retryAfter"]
    async with Client(places.keyed, headers={"X-API-Key": KEY, **here}, era=era) as client:
        assert await client.list_tools()


@pytest.mark.parametrize("era", ERAS)
async def test_an_address_without_a_key_is_held_to_its_rate_and_the_others_are_not(places, address, era):
    here = address()
    for _ in range(PER_ADDRESS):
        knock(places.open, here)
    error = await refused(places.open, here, era)
    assert error.status == 429
    assert wrong_with({"code": "rate_limited", **FIGURES}, error.data) == []
    assert 0 < error.data["retryAfter"] <= error.retry_after <= 3600
    with pytest.raises(MCPError, match="This address"):
        async with Client(places.open, headers={**here, "X-API-Key": KEY}, era=era):
            raise AssertionError("a key that nobody asked for let it in")
    async with Client(places.open, headers=address(), era="modern") as client:
        assert client.era == "modern"
