"""The table of URLs through the served tool, on both transports: attacks connect to nothing, honest URLs are read."""

import json
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from bascule import Client
from bascule.servers.fetch.limits import Limits
from bascule.servers.fetch.server import build
from bascule.testing import serve_http, serve_stdio
from tests.servers.fetch.world import OTHER, PUBLIC, answer

TABLE = tomllib.loads((Path(__file__).parents[2] / "attacks" / "urls.toml").read_text("utf-8"))
CASES = [*((case, False) for case in TABLE["attack"]), *((case, True) for case in TABLE["honest"])]
GROUPS = sorted({json.dumps(case.get("allow")) for case, _ in CASES})


@contextmanager
def served(scene, transport, allow):
    """What a client connects to: the server over this transport, in the scene's world."""
    if transport == "http":
        with serve_http(build(allow, limits=Limits(rate="100000/s"), network=scene.world.network())) as serving:
            yield serving.url
    else:
        env = {"FETCH_WORLD": str(scene.world.folder), "FETCH_ALLOW": json.dumps(allow)}
        yield serve_stdio(Path(__file__).parent / "served.py", env=env)


def on_the_wire(url, honest):
    """The URL as this world can serve it: names that have no certificate here are asked without TLS."""
    if honest and "//site.example" not in url and "//www.site." not in url and url.lower().startswith("https://"):
        url = "http://" + url[8:].replace(":443", "", 1).replace(":8443", "", 1)
    return url


def arrange(scene, case, honest):
    """Names and redirects as the case has them; an address that no site has would reach the canary."""
    redirects = [on_the_wire(url, honest) for url in case.get("redirects", ())]
    sites = dict.fromkeys(literal(case), scene.site.ports) | {PUBLIC: scene.site.ports, OTHER: scene.site.ports}

    def serve(send, path, _head):
        if path == "/robots.txt":
            send(answer(b"", "404 Not Found"))
        elif redirects:
            location = redirects.pop(0)
            send(answer(b"", "302 Found", Location=location.encode().decode("latin-1")))
        else:
            send(answer())

    scene.site.serve = serve
    scene.set(dns=case.get("dns"), sites=sites)


def literal(case):
    """The public addresses that honest cases name."""
    if case not in TABLE["honest"]:
        return []
    host = case["url"].split("://")[1].split("/")[0]
    address = host[1 : host.index("]")] if host.startswith("[") else host.split(":")[0]
    return [address.replace(":0:0:0:0:", "::")]


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize("group", GROUPS)
async def test_attacks_connect_to_nothing_and_honest_urls_are_read(scene, transport, group):
    wrong = []
    with served(scene, transport, json.loads(group)) as target:
        async with Client(target) as client:
            for number, (case, honest) in enumerate(CASES):
                if json.dumps(case.get("allow")) != group:
                    continue
                arrange(scene, case, honest)
                arguments = {"url": on_the_wire(case["url"], honest), "format": "raw", "max_length": 1000 + number}
                result = await client.call_tool("fetch", arguments)
                text = result.content[0].text
                dialed = set(scene.world.dials()) - set(scene.world.state()["sites"])
                if result.is_error is honest or ("HONEST PAGE" in text) is not honest or dialed:
                    wrong.append((case["name"], case["url"], text[-300:], dialed))
    assert wrong == []
    assert scene.canary.hits == 0


async def test_a_canary_would_be_reached_if_somebody_dialed(scene):
    for number, address in enumerate(["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"], start=1):
        with pytest.raises(Exception, match="canary"):
            await scene.world.dial(address, 80, 5)
        assert scene.world.dials() == [address]
        assert scene.canary.came.acquire(timeout=5)
        assert scene.canary.hits == number


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_a_name_that_changes_its_mind_is_dialed_where_it_was_checked(scene, transport):
    """DNS rebinding: what is dialed is what was checked, and whatever is answered later is checked anew."""
    scene.pages({"/": answer(), "/again": answer()})
    with served(scene, transport, None) as target:
        async with Client(target) as client:
            scene.set(answers={"site.example": [[PUBLIC], [PUBLIC], ["127.0.0.1"]]})
            first = await client.call_tool("fetch", {"url": "http://site.example/", "format": "raw"})
            second = await client.call_tool("fetch", {"url": "http://site.example/again", "format": "raw"})
            scene.set(answers={"other.example": [[PUBLIC], ["10.0.0.1"]]})
            third = await client.call_tool("fetch", {"url": "http://other.example/", "format": "raw"})
    assert not first.is_error
    assert second.is_error
    assert third.is_error
    assert "leads to a private address" in third.content[0].text
    assert set(scene.world.dials()) == {PUBLIC}
    assert scene.canary.hits == 0
