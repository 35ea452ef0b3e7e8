"""The weather server itself: a tool, the cities as a resource, and a prompt for a traveller.

Uses only what every author may use. Sources know their services; here is what is offered, and what is kept for a while.
"""

import asyncio
import re
import time
import unicodedata
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated, Literal, Protocol

import httpx2
from msgspec import Meta, Struct

from bascule import Context, Rule, Server, ToolAnnotations, __version__
from bascule.servers.weather import open_meteo, sample, wttr
from bascule.servers.weather.forecast import Forecast, Report, Units, forecast_of
from bascule.servers.weather.service import Service

CITIES = ("Warsaw", "Berlin", "London", "New York", "Tokyo", "Sydney")
MAX_KEPT = 512
MAX_NAME = 80

_BETWEEN = frozenset(" -'.,()\u2019")
_ENDING = re.compile(r"\.(?! |$)")
"""A dot within a word, which services take for the ending of a file."""

_OPEN_WORLD = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)

Choice = Literal["wttr", "open-meteo"]


class Source(Protocol):
    """Who knows the weather."""

    async def report(self, city: str, /) -> Report: ...


class CityName(Rule):
    """The name of a city: words of letters, not what a service may take for a command, an address or a path."""

    def __init__(self) -> None:
        self.notes = {"minLength": 1, "maxLength": MAX_NAME}

    def check(self, value: str) -> str:
        name = " ".join(value.split(" "))
        if not 0 < len(name) <= MAX_NAME or not name[0].isalpha() or not all(map(_in_a_name, name)):
            raise ValueError("must be the name of a city: letters, with spaces, hyphens or apostrophes between")
        if _ENDING.search(name):
            raise ValueError("must be the name of a city, without a dot inside of a word")
        return name


def _in_a_name(sign: str) -> bool:
    return sign.isalnum() or sign in _BETWEEN or unicodedata.category(sign).startswith("M")


class TravelDate(Rule):
    """A date from today on, as in 2031-05-17."""

    def __init__(self, today: Callable[[], date]) -> None:
        self.notes = {"format": "date"}
        self._today = today

    def check(self, value: str) -> str:
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is None or value != day.isoformat():
            raise ValueError("must be a date, as in 2031-05-17")
        if day < self._today():
            raise ValueError("must not lie in the past")
        return value


class Options(Struct, frozen=True):
    """Which source is asked, where it is, how long it is waited for (each try), and for how long an answer counts."""

    source: Choice = "wttr"
    wttr_url: str = "https://wttr.in"
    open_meteo_url: str = "https://api.open-meteo.com"
    geocoding_url: str = "https://geocoding-api.open-meteo.com"
    cities: Sequence[str] = ()
    timeout: float = 8.0
    cache_seconds: float = 600.0


class Clock(Struct, frozen=True):
    """What passes time and what tells it: seconds, sleeping, the day."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    today: Callable[[], date] = date.today


class Desk:
    """Reports, each kept for a while; one city is asked for once at a time."""

    def __init__(self, source: Source, name: str, seconds: float, now: Callable[[], float]) -> None:
        self.name = name
        self.is_sample = isinstance(source, sample.Sample)
        self._source = source
        self._seconds = seconds
        self._now = now
        self._kept: OrderedDict[str, tuple[float, Report]] = OrderedDict()

    async def report(self, city: str) -> Report:
        """The report on a city, new or not older than allowed."""
        key = city.casefold()
        kept = self._kept.get(key)
        if kept is not None and self._now() - kept[0] < self._seconds:
            return kept[1]
        report = await self._source.report(city)
        self._kept[key] = (self._now(), report)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return report


def build(options: Options | None = None, *, offline: bool = False, clock: Clock | None = None) -> Server:
    """A server that tells the weather; `offline` serves sample data, and says so in every result."""
    chosen, clock = options or Options(), clock or Clock()

    @asynccontextmanager
    async def lifespan(_app: Server) -> AsyncIterator[Desk]:
        agent = {"User-Agent": f"Bascule/{__version__}", "Accept": "application/json"}
        async with httpx2.AsyncClient(timeout=chosen.timeout, follow_redirects=False, headers=agent) as client:
            source, name = _source(chosen, offline, client, clock.sleep)
            yield Desk(source, name, chosen.cache_seconds, clock.now)

    app = Server(
        "weather",
        version=__version__,
        title="Weather (sample data)" if offline else "Weather",
        instructions="Current conditions and a forecast by city." + (" All of it is sample data." if offline else ""),
        lifespan=lifespan,
    )
    _add_tool(app, chosen.timeout)
    _add_rest(app, list(dict.fromkeys([*CITIES, *chosen.cities])), clock.today)
    return app


def _source(
    options: Options, offline: bool, client: httpx2.AsyncClient, sleep: Callable[[float], Awaitable[None]]
) -> tuple[Source, str]:
    if offline:
        return sample.Sample(), sample.NAME
    if options.source == "open-meteo":
        service = Service(client, open_meteo.NAME, sleep)
        return open_meteo.OpenMeteo(service, options.open_meteo_url, options.geocoding_url), open_meteo.NAME
    return wttr.Wttr(Service(client, wttr.NAME, sleep), options.wttr_url), wttr.NAME


def _add_tool(app: Server, timeout: float) -> None:
    @app.tool(title="Weather", annotations=_OPEN_WORLD, untrusted=True, timeout=6 * timeout + 5)
    async def get_weather(
        city: Annotated[str, CityName(), Meta(description="A city, as in New York.")],
        units: Annotated[Units, Meta(description="The units of the summary.")] = "metric",
        *,
        ctx: Context,
    ) -> Forecast:
        """Current conditions and a forecast of three days, or of seven where the source has them."""
        desk: Desk = ctx.lifespan
        return forecast_of(await desk.report(city), units, desk.name, sample=desk.is_sample)


def _add_rest(app: Server, cities: list[str], today: Callable[[], date]) -> None:
    @app.resource("config://supported-cities", name="supported cities", mime_type="application/json")
    def supported_cities() -> list[str]:
        """Cities that are known to work; others may."""
        return cities

    @app.prompt(title="Weather briefing")
    def weather_briefing(city: Annotated[str, CityName()], arrival_date: Annotated[str, TravelDate(today)]) -> str:
        """A briefing for somebody who travels to a city.

        Args:
            city: Where they go.
            arrival_date: When they arrive, as in 2031-05-17.
        """
        return (
            f"Somebody arrives in {city} on {arrival_date}. Get the weather there with the tool get_weather. Say in "
            "three sentences what it is like now, what it will be like on arrival (or that the forecast does not "
            "reach that far), and what to pack. If the result says that it is sample data, say so first."
        )

    @app.completion(prompt="weather_briefing", argument="city")
    async def city_names(value: str, ctx: Context) -> list[str]:
        """Cities whose names begin so; capitals make no difference."""
        return [city for city in cities if city.casefold().startswith(value.casefold())]
