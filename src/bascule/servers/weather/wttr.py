"""wttr.in: its JSON format `j1`, in which numbers are texts. It has three days.

Source: wttr.in/:help, "JSON output"; the format is that of World Weather Online's premium API.
"""

from urllib.parse import quote

from msgspec import Struct

from bascule import UpstreamFailed
from bascule.servers.weather.forecast import Day, Report
from bascule.servers.weather.service import Service

NAME = "wttr.in"


class _Value(Struct):
    value: str


class _Current(Struct):
    temp_C: float  # noqa: N815
    humidity: float
    windspeedKmph: float  # noqa: N815
    weatherDesc: list[_Value]  # noqa: N815


class _Hour(Struct):
    time: str
    weatherDesc: list[_Value]  # noqa: N815


class _Day(Struct):
    date: str
    maxtempC: float  # noqa: N815
    mintempC: float  # noqa: N815
    hourly: list[_Hour] = []


class _Area(Struct):
    areaName: list[_Value]  # noqa: N815


class _Answer(Struct):
    current_condition: list[_Current]
    weather: list[_Day]
    nearest_area: list[_Area] = []


class Wttr:
    """The source; `url` is where the service is."""

    def __init__(self, service: Service, url: str) -> None:
        self._service = service
        self._url = url.rstrip("/")

    async def report(self, city: str) -> Report:
        """What the weather is in a city. Raises ToolErrors."""
        answer = await self._service.get(f"{self._url}/{quote(city, safe='')}", {"format": "j1"}, _Answer)
        if not answer.current_condition or not answer.weather:
            raise UpstreamFailed(f"{NAME} answers without a forecast; try again later")
        now = answer.current_condition[0]
        area = next((_text(area.areaName) for area in answer.nearest_area), "")
        return Report(
            city=area or city,
            temperature_c=now.temp_C,
            description=_text(now.weatherDesc),
            humidity_pct=now.humidity,
            wind_kmh=now.windspeedKmph,
            days=[Day(day.date, day.maxtempC, day.mintempC, _noon(day.hourly)) for day in answer.weather],
        )


def _noon(hours: list[_Hour]) -> str:
    """The description of noon, which stands for its day; the hours are written 0, 300, ... 2100."""
    noon = [hour for hour in hours if hour.time == "1200"] or hours[len(hours) // 2 :]
    return _text(noon[0].weatherDesc) if noon else ""


def _text(values: list[_Value]) -> str:
    return values[0].value.strip() if values else ""
