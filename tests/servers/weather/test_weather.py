"""The weather from a stand-in on loopback that answers as wttr.in and Open-Meteo do; and when it does not."""

import json
import threading
from contextlib import asynccontextmanager, suppress
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bascule import Client, MCPError
from bascule.servers.weather.server import CITIES, Clock, Options, build
from bascule.testing import ManualClock, serve_http, serve_stdio

DATA = Path(__file__).parent
J1 = (DATA / "wttr_j1.json").read_bytes()
PLACES = (DATA / "open_meteo_search.json").read_bytes()
FORECAST = (DATA / "open_meteo_forecast.json").read_bytes()


class StandIn:
    """Serves what `answers` has for a path's beginning: (status, body); a list is gone through, the last one stays."""

    def __init__(self):
        self.answers = {"/v1/search": (200, PLACES), "/v1/forecast": (200, FORECAST), "/": (200, J1)}
        self.asked = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                stand_in.asked.append(self.path)
                found = next(one for path, one in stand_in.answers.items() if self.path.startswith(path))
                if isinstance(found, list):
                    found = found.pop(0) if len(found) > 1 else found[0]
                if callable(found):
                    found = found()
                with suppress(OSError):  # whoever asked may have gone
                    self.send_response(found[0])
                    self.send_header("Content-Length", str(len(found[1])))
                    self.end_headers()
                    self.wfile.write(found[1])

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service():
    running = StandIn()
    yield running
    running.close()


class Naps:
    """Time that passes at once, and is counted."""

    def __init__(self):
        self.clock = ManualClock(1000.0)
        self.naps = []

    async def sleep(self, seconds):
        self.naps.append(seconds)

    def as_clock(self):
        return Clock(self.clock, self.sleep, lambda: date(2026, 7, 1))


def options(service, source="wttr", **more):
    urls = {"wttr_url": service.url, "open_meteo_url": service.url + "/", "geocoding_url": service.url}
    return Options(**{"source": source, "timeout": 5.0, **urls, **more})


@asynccontextmanager
async def asking(service, source="wttr", naps=None, **more):
    async with Client(build(options(service, source, **more), clock=(naps or Naps()).as_clock())) as client:

        async def ask(city="Berlin", **arguments):
            return await client.call_tool("get_weather", {"city": city, **arguments})

        yield ask


async def test_wttr_is_read_into_the_answer(service):
    async with asking(service) as ask:
        found = (await ask()).structured_content
    assert found["city"] == "Berlin"
    assert (found["temperature_c"], found["temperature_f"]) == (21.0, 69.8)
    assert (found["humidity_pct"], found["wind_kmh"]) == (56.0, 13.0)
    assert found["description"] == "Partly cloudy"
    assert found["forecast_3day"][0] == {"date": "2026-07-01", "max_c": 24.0, "min_c": 13.0, "description": "Sunny"}
    assert len(found["forecast_3day"]) == 3
    assert "forecast_7day" not in found
    assert found["source"] == "wttr.in"
    assert "sample" not in found
    assert service.asked == ["/Berlin?format=j1"]


async def test_open_meteo_is_read_into_the_answer(service):
    async with asking(service, "open-meteo") as ask:
        found = (await ask()).structured_content
    assert found["city"] == "Berlin"
    assert (found["temperature_c"], found["humidity_pct"], found["wind_kmh"]) == (18.4, 63.0, 11.2)
    assert found["description"] == "Overcast"
    assert len(found["forecast_3day"]) == 3
    assert len(found["forecast_7day"]) == 7
    assert found["forecast_7day"][6]["description"] == "Thunderstorm with slight hail"
    search, forecast = (parse_qs(urlsplit(path).query) for path in service.asked)
    assert search["name"] == ["Berlin"]
    assert forecast["latitude"] == ["52.52437"]
    assert forecast["daily"] == ["weather_code,temperature_2m_max,temperature_2m_min"]


@pytest.mark.parametrize(("units", "said"), [("metric", "21 °C"), ("imperial", "69.8 °F"), ("imperial", "8.1 mph")])
async def test_the_summary_is_in_the_units_asked_for(service, units, said):
    async with asking(service) as ask:
        assert said in (await ask(units=units)).structured_content["summary"]


@pytest.mark.parametrize(
    "city", ["New York", "São Paulo", "Saint-Denis", "L'Aquila", "東京", "दिल्ली", "Frankfurt (Oder)", "St. Gallen"]
)
async def test_a_city_is_one_encoded_segment_of_the_path(service, city):
    async with asking(service) as ask:
        assert not (await ask(city)).is_error
    (path,) = service.asked
    assert path.isascii()
    assert path.count("/") == 1
    assert " " not in path


@pytest.mark.parametrize(
    "city",
    [
        *["", " ", "../admin", "a/b", "a?format=1", "a#b", "@example.com", "~Eiffel tower", ":help", "1.2.3.4", "a\nb"],
        *["a%2fb", "London.png", "a\\b", "a&b=c", "x" * 81, "a\x00", "<b>"],
    ],
)
async def test_what_is_no_city_is_not_asked_for(service, city):
    async with asking(service) as ask:
        result = await ask(city)
    assert result.is_error
    assert "name of a city" in result.content[0].text or "at least" in result.content[0].text
    assert service.asked == []


async def test_an_answer_counts_for_a_while(service):
    naps = Naps()
    async with asking(service, naps=naps, cache_seconds=60) as ask:
        for units in ("metric", "imperial"):
            await ask(units=units)
        await ask("BERLIN")
        assert len(service.asked) == 1
        naps.clock.advance(61)
        await ask()
    assert len(service.asked) == 2


async def test_what_fails_on_the_services_side_is_tried_again(service):
    naps = Naps()
    service.answers = {"/": [(503, b""), (200, b"<html>busy</html>"), (200, J1)]}
    async with asking(service, naps=naps) as ask:
        assert not (await ask()).is_error
    assert len(service.asked) == 3
    assert naps.naps == [0.3, 0.6]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (429, b""),
        (302, b""),
        (200, b""),
        (200, b"Unknown location; please try ~0,0"),
        (200, b"{}"),
        (200, b'{"current_condition": [], "weather": []}'),
        (200, b'{"current_condition": [{"temp_C": "warm"}], "weather": []}'),
        (200, b"[" * 100_000),
        (200, b'"' + b"x" * 600_000 + b'"'),
    ],
)
async def test_a_service_that_is_down_is_told_and_nothing_is_made_up(service, status, body):
    service.answers = {"/": (status, body)}
    async with asking(service) as ask:
        result = await ask()
    assert result.is_error
    assert "wttr.in" in result.content[0].text
    assert result.meta["dev.bascule/error"]["code"] == "upstream_failed"


async def test_nobody_at_the_address_is_told(service):
    service.close()
    async with asking(service) as ask:
        result = await ask()
    assert "cannot be reached" in result.content[0].text


async def test_a_service_that_does_not_answer_ends_at_the_time_limit(service):
    release = threading.Event()
    service.answers = {"/": lambda: (release.wait(20), (200, J1))[1]}
    async with asking(service, timeout=0.2) as ask:
        result = await ask()
    release.set()
    assert "did not answer in time" in result.content[0].text
    assert result.meta["dev.bascule/error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize(("source", "answers"), [("wttr", {"/": (404, b"")}), ("open-meteo", {"/": (200, b"{}")})])
async def test_an_unknown_city_is_told_and_not_tried_again(service, source, answers):
    service.answers = answers
    async with asking(service, source) as ask:
        result = await ask("Nowhereville")
    assert result.is_error
    assert "no " in result.content[0].text
    assert result.meta["dev.bascule/error"]["code"] == "not_found"
    assert len(service.asked) == 1


async def test_cities_and_more_cities_are_a_resource_and_complete_the_prompt(service):
    async with Client(build(options(service, cities=("Oslo", "Berlin")))) as client:
        (listed,) = (await client.read_resource("config://supported-cities")).contents
        completed = await client.complete(prompt="weather_briefing", argument="city", value="o")
    assert json.loads(listed.text) == [*CITIES, "Oslo"]
    assert list(completed.values) == ["Oslo"]


@pytest.mark.parametrize(
    "day", ["2026-06-30", "2026-02-30", "tomorrow", "20260702", "2026-7-2", "", "2026-07-02T00:00"]
)
async def test_the_date_of_a_briefing_is_checked(service, day):
    async with Client(build(options(service), clock=Naps().as_clock())) as client:
        with pytest.raises(MCPError, match="arrival_date"):
            await client.get_prompt("weather_briefing", {"city": "Berlin", "arrival_date": day})
        made = await client.get_prompt("weather_briefing", {"city": "Berlin", "arrival_date": "2026-07-01"})
    assert "Berlin on 2026-07-01" in made.messages[0].content.text


@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_offline_says_so_in_every_result_and_asks_nobody(service, transport, monkeypatch):
    if transport == "http":
        with serve_http(build(options(service), offline=True)) as serving:
            await check_offline(serving.url)
    else:
        command = serve_stdio("weather", env={"BASCULE_WEATHER__WTTR_URL": service.url})
        command.args.append("--offline")
        await check_offline(command)
    assert service.asked == []


async def check_offline(target):
    async with Client(target) as client:
        for city in ("Berlin", "Tokyo"):
            found = (await client.call_tool("get_weather", {"city": city})).structured_content
            assert found["sample"] is True
            assert found["summary"].startswith("SAMPLE DATA")
            assert "not the weather" in found["source"]


async def test_the_command_takes_its_service_from_the_settings(service):
    command = serve_stdio(
        "weather",
        env={"BASCULE_WEATHER__SOURCE": "open-meteo", "BASCULE_WEATHER__CITIES": "Oslo"}
        | {f"BASCULE_WEATHER__{name}_URL": service.url for name in ("OPEN_METEO", "GEOCODING")},
    )
    async with Client(command) as client:
        found = (await client.call_tool("get_weather", {"city": "Berlin"})).structured_content
        (listed,) = (await client.read_resource("config://supported-cities")).contents
    assert found["source"] == "Open-Meteo"
    assert "Oslo" in listed.text
    assert len(service.asked) == 2
