"""What the weather is: the answer that every source is turned into."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Units = Literal["metric", "imperial"]


class Day(Struct):
    """One day's forecast."""

    date: Annotated[str, Meta(description="As in 2031-05-17, where the city is.")]
    max_c: float
    min_c: float
    description: str


class Forecast(Struct, omit_defaults=True):
    """Current conditions and what comes."""

    city: Annotated[str, Meta(description="The city as the source knows it.")]
    temperature_c: float
    temperature_f: float
    description: str
    humidity_pct: float
    wind_kmh: float
    forecast_3day: list[Day]
    summary: Annotated[str, Meta(description="All of it in one line, in the units asked for.")]
    source: Annotated[str, Meta(description="Who says so.")]
    forecast_7day: Annotated[list[Day] | UnsetType, Meta(description="Up to seven days, where there are some.")] = UNSET
    sample: Annotated[bool, Meta(description="Whether this is sample data, and not the weather.")] = False


class Report(Struct, frozen=True):
    """What a source says, before it is put in units."""

    city: str
    temperature_c: float
    description: str
    humidity_pct: float
    wind_kmh: float
    days: list[Day]


def forecast_of(report: Report, units: Units, source: str, *, sample: bool = False) -> Forecast:
    """The answer to one who wants these units."""
    fahrenheit = _fahrenheit(report.temperature_c)
    return Forecast(
        city=report.city,
        temperature_c=report.temperature_c,
        temperature_f=fahrenheit,
        description=report.description,
        humidity_pct=report.humidity_pct,
        wind_kmh=report.wind_kmh,
        forecast_3day=report.days[:3],
        forecast_7day=report.days[:7] if len(report.days) > 3 else UNSET,
        summary=("SAMPLE DATA, not the weather: " if sample else "") + _summary(report, units),
        source=source,
        sample=sample,
    )


def _summary(report: Report, units: Units) -> str:
    metric = units == "metric"

    def degrees(celsius: float) -> str:
        return f"{celsius:g} °C" if metric else f"{_fahrenheit(celsius):g} °F"

    wind = f"{report.wind_kmh:g} km/h" if metric else f"{round(report.wind_kmh / 1.609344, 1):g} mph"
    days = "; ".join(f"{day.date} {degrees(day.min_c)} to {degrees(day.max_c)}" for day in report.days[:3])
    now = f"{report.city}: {degrees(report.temperature_c)}, {report.description}, humidity {report.humidity_pct:g} %"
    return f"{now}, wind {wind}. {days}"


def _fahrenheit(celsius: float) -> float:
    return round(celsius * 9 / 5 + 32, 1)
