"""Who may not use a resource hears nothing of its changes, in whatever way and order it asks for them."""

import asyncio

import pytest

from bascule import Client, MCPError, Server
from bascule.engine.demands import Demands
from bascule.engine.exchange import Principal
from bascule.engine.hub import LISTS, TASK_TOPIC, Hub
from bascule.engine.settings import Settings
from bascule.serve import use_guards
from tests.serving import serving

ERAS = ["modern", "legacy"]


class Door:
    """Lets everybody in, with these scopes."""

    def __init__(self, *scopes):
        self.scopes = frozenset(scopes)

    async def authenticate(self, headers, address):
        return Principal(issuer="test", subject="ada", scopes=self.scopes, anonymous=False)

    async def close(self):
        """Nothing is held."""


@pytest.fixture
def app():
    app = Server("t", version="1")

    @app.resource("note://open")
    async def note() -> str:
        return "open"

    @app.resource("note://secret", scopes=["secrets:read"])
    async def secret() -> str:
        return "secret"

    @app.resource("vault://{name}", scopes=["secrets:read"])
    async def vault(name: str) -> str:
        return name

    return app


async def late(name: str) -> str:
    return name


async def heard(app, changes):
    """What is told of all resources, up to the last, which everybody may hear of."""
    for uri in ("note://secret", "vault://a", "late://a", "note://open"):
        app.notify_resource_updated(uri)
    found = []
    async with asyncio.timeout(10):
        async for change in changes:
            found.append(change.uri)
            if change.uri == "note://open":
                break
    return found


@pytest.mark.parametrize("uri", ["note://secret", "vault://a"])
async def test_the_handshake_era_does_not_know_what_the_caller_may_not_use(app, uri):
    with serving(app, door=Door("tools:read")) as server:
        async with Client(server.url, era="legacy") as client:
            with pytest.raises(MCPError, match="Resource not found") as refused:
                await client.request("resources/subscribe", {"uri": uri})
    assert (refused.value.code, refused.value.data) == (-32002, {"uri": uri})


async def test_the_stateless_era_leaves_out_what_the_caller_may_not_use(app):
    wanted = ["note://secret", "note://open", "vault://a"]
    with serving(app, door=Door()) as server:
        async with Client(server.url, era="modern") as client, client.subscribe(wanted) as changes:
            assert await heard(app, changes) == ["note://open"]


@pytest.mark.parametrize("era", ERAS)
async def test_who_holds_the_scopes_hears_all(app, era):
    wanted = ["note://secret", "note://open", "vault://a"]
    with serving(app, door=Door("secrets:read")) as server:
        async with Client(server.url, era=era) as client, client.subscribe(wanted) as changes:
            assert sorted(await heard(app, changes)) == sorted(wanted)


@pytest.mark.parametrize("era", ERAS)
async def test_what_becomes_forbidden_later_is_not_told_of(app, era):
    """The caller has subscribed to what nobody served yet."""
    with serving(app, door=Door()) as server:
        async with Client(server.url, era=era) as client, client.subscribe(["late://a", "note://open"]) as changes:
            app.resource("late://{name}", scopes=["secrets:read"])(late)
            assert await heard(app, changes) == ["note://open"]


@pytest.mark.parametrize("era", ERAS)
async def test_what_the_operator_denies_is_told_to_nobody(app, era):
    with serving(app) as server:
        async with Client(server.url, era=era) as client, client.subscribe(["late://a", "note://open"]) as changes:
            app.resource("late://{name}")(late)
            use_guards(app, Settings(policy={"late://*": Demands(deny=True)}))
            assert await heard(app, changes) == ["note://open"]


def test_lists_and_tasks_are_no_resources():
    hub = Hub(lambda scopes, topic: False)
    topics = [*LISTS, TASK_TOPIC + "1"]
    listener = hub.listen([*topics, "note://a"], lambda: None)
    for topic in (*topics, "note://a"):
        hub.tell(topic)
    assert listener.take() == topics
