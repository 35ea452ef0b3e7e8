"""robots.txt: whether a site wants its pages fetched by programs (RFC 9309).

One that does not exist allows everything; one that cannot be had (a server's error, no answer, a redirect to what may
not be fetched) allows nothing until it can be. The rules are read by Protego, in a reader's process: patterns are a
stranger's.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from bascule import PermissionDenied, ToolError, UpstreamFailed
from bascule.checks.urls import PublicURL, check_url
from bascule.servers.fetch.limits import Limits
from bascule.servers.fetch.readers import Readers

MAX_SITES = 64
_GONE = range(400, 500)

Get = Callable[[PublicURL], Awaitable[tuple[int, str]]]
"""Fetches a robots.txt, redirects and all: status and text. Raises ToolError."""


class Robots:
    """The robots.txt of the sites met lately, each kept for as long as the limits say."""

    def __init__(self, get: Get, readers: Readers, limits: Limits, clock: Callable[[], float]) -> None:
        self._get = get
        self._readers = readers
        self._limits = limits
        self._clock = clock
        self._sites: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def check(self, url: PublicURL, agent: str) -> None:
        """Raise PermissionDenied where the site does not want this URL fetched, or does not say."""
        text = await self._rules(url)
        if text.strip() and not await self._readers.allows(text, str(url), agent):
            raise PermissionDenied(f"The site does not want this page fetched by programs ({url.host}/robots.txt)")

    async def _rules(self, url: PublicURL) -> str:
        site = f"{url.scheme}://{url.authority}"
        now = self._clock()
        kept = self._sites.get(site)
        if kept is not None and now - kept[0] < self._limits.robots_seconds:
            return kept[1]
        try:
            status, text = await self._get(check_url(f"{site}/robots.txt"))
        except ToolError as error:
            sentence = f"{url.host}/robots.txt cannot be read, so nothing is fetched: {error.message}"
            raise type(error)(sentence, details=error.details) from None
        if status in _GONE:
            text = ""
        elif status != 200:
            raise UpstreamFailed(
                f"{url.host}/robots.txt cannot be read, so nothing is fetched: the answer was {status}"
            )
        self._sites[site] = (now, text)
        self._sites.move_to_end(site)
        while len(self._sites) > MAX_SITES:
            self._sites.popitem(last=False)
        return text
