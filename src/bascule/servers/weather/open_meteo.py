"""Open-Meteo: a city is looked up by name first, then its weather by place. It has seven days.

Source: open-meteo.com/en/docs and /en/docs/geocoding-api; weather codes are WMO's (code table 4677, as listed there).
"""

from msgspec import Struct

from bascule import UpstreamFailed
from bascule.servers.weather.forecast import Day, Report
from bascule.servers.weather.service import Service, UnknownCity

NAME = "Open-Meteo"

_CODES = {
    0: "Clear sky",
    1: "Mainly clear",
    2: "Partly cloudy",
    3: "Overcast",
    45: "Fog",
    48: "Depositing rime fog",
    51: "Light drizzle",
    53: "Moderate drizzle",
    55: "Dense drizzle",
    56: "Light freezing drizzle",
    57: "Dense freezing drizzle",
    61: "Slight rain",
    63: "Moderate rain",
    65: "Heavy rain",
    66: "Light freezing rain",
    67: "Heavy freezing rain",
    71: "Slight snow fall",
    73: "Moderate snow fall",
    75: "Heavy snow fall",
    77: "Snow grains",
    80: "Slight rain showers",
    81: "Moderate rain showers",
    82: "Violent rain showers",
    85: "Slight snow showers",
    86: "Heavy snow showers",
    95: "Thunderstorm",
    96: "Thunderstorm with slight hail",
    99: "Thunderstorm with heavy hail",
}


class _Place(Struct):
    name: str
    latitude: float
    longitude: float


class _Places(Struct):
    results: list[_Place] = []


class _Current(Struct):
    temperature_2m: float
    relative_humidity_2m: float
    weather_code: int
    wind_speed_10m: float


class _Daily(Struct):
    time: list[str]
    weather_code: list[int]
    temperature_2m_max: list[float]
    temperature_2m_min: list[float]


class _Answer(Struct):
    current: _Current
    daily: _Daily


class OpenMeteo:
    """The source; `url` is where forecasts are, `geocoding_url` where cities are looked up."""

    def __init__(self, service: Service, url: str, geocoding_url: str) -> None:
        self._service = service
        self._url = url.rstrip("/")
        self._geocoding = geocoding_url.rstrip("/")

    async def report(self, city: str) -> Report:
        """What the weather is in a city. Raises ToolErrors."""
        search = {"name": city, "count": "1", "language": "en", "format": "json"}
        places = await self._service.get(f"{self._geocoding}/v1/search", search, _Places)
        if not places.results:
            raise UnknownCity(f"{NAME} knows no city of this name; try its English name, or a larger one nearby")
        place = places.results[0]
        asked = {
            "latitude": f"{place.latitude:.5f}",
            "longitude": f"{place.longitude:.5f}",
            "current": ",".join(_Current.__struct_fields__),
            "daily": "weather_code,temperature_2m_max,temperature_2m_min",
            "timezone": "auto",
            "forecast_days": "7",
        }
        answer = await self._service.get(f"{self._url}/v1/forecast", asked, _Answer)
        daily = answer.daily
        days = [
            Day(date, most, least, _words(code))
            for date, code, most, least in zip(
                daily.time, daily.weather_code, daily.temperature_2m_max, daily.temperature_2m_min, strict=False
            )
        ]
        if not days:
            raise UpstreamFailed(f"{NAME} answers without a forecast; try again later")
        now = answer.current
        return Report(
            city=place.name,
            temperature_c=now.temperature_2m,
            description=_words(now.weather_code),
            humidity_pct=now.relative_humidity_2m,
            wind_kmh=now.wind_speed_10m,
            days=days,
        )


def _words(code: int) -> str:
    return _CODES.get(code, f"Weather code {code}")
