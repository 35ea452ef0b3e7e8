"""A world for each test, with one site at two public addresses, and a canary everywhere else."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.fetch.world import OTHER, PUBLIC, Canary, Site, World, answer, make_certificates


class Scene:
    """What a test has at hand: the world, the site, the canary."""

    def __init__(self, world: World, site: Site, canary: Canary) -> None:
        self.world = world
        self.site = site
        self.canary = canary
        self.set()

    def set(self, **state: Any) -> None:
        """Say what names mean; without anything every name is the site's."""
        sites = {PUBLIC: self.site.ports, OTHER: self.site.ports}
        self.world.write(**{"sites": sites, "canary": self.canary.port, "dns": None, **state})

    def pages(self, pages: dict[str, bytes]) -> None:
        """Serve these whole answers by path, and 404 for anything else."""

        def serve(send: Any, path: str, _head: str) -> None:
            send(pages.get(path) or answer(b"", "404 Not Found"))

        self.site.serve = serve

    def paths(self) -> list[str]:
        """What was asked of the site, robots.txt left out."""
        return [path for path, _ in self.site.requests if path != "/robots.txt"]


@pytest.fixture
def scene(tmp_path) -> Iterator[Scene]:
    certificate = make_certificates(tmp_path, "site.example", "*.site.example", "inner.example")
    site = Site(lambda send, _path, _head: send(answer(b"", "404 Not Found")), certificate)
    canary = Canary()
    yield Scene(World(tmp_path), site, canary)
    site.close()
    canary.close()
